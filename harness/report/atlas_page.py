"""The atlas as one self-contained HTML file: all options over builds, a box for a command line.

The page works on the data as it is; what it makes of a command line, its scripts work out alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import CatalogueError
from harness.report.html import render_template


def render_atlas_page(atlas: Mapping[str, Any], *, title: str) -> str:
    """The whole page.

    Args:
        atlas: The data, as ``fixtures/atlas/atlas.json`` holds it.
        title: The page's heading.
    """
    return render_template("atlas.html.j2", title=title, data=atlas)


def read_atlas(directory: Path | None = None) -> Mapping[str, Any]:
    """The data as it is.

    Args:
        directory: Where it lies; default: the harness's own, in a checkout or installed.

    Raises:
        CatalogueError: It is not there, or cannot be read.
    """
    file = (directory or _own_directory()) / "atlas.json"
    try:
        atlas: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogueError(f"{file}: cannot be read as JSON: {error}") from error
    return atlas


def _own_directory() -> Path:
    package = Path(__file__).resolve().parent.parent
    installed = package / "_fixtures" / "atlas"
    return installed if installed.is_dir() else package.parent / "fixtures" / "atlas"
