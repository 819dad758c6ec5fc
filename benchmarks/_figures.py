"""What every benchmark does with its figures: a table for people, a file for programs."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

Figure = Mapping[str, object]

DIRECTORY: Final = Path(__file__).with_name("figures")


def add_json_option(parser: argparse.ArgumentParser, name: str) -> None:
    """Declare ``--json FILE``."""
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=DIRECTORY / f"{name}.json",
        help="where the figures are kept (default: %(default)s)",
    )


def keep(title: str, figures: Sequence[Figure], file: Path) -> None:
    """Print the figures as a table, and write them with what they were measured on."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in figures[0] if figures else ():
        table.add_column(heading.replace("_", " "), justify="right", overflow="fold")
    for row in figures:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({"title": title, "host": _host(), "figures": figures}, indent=2) + "\n",
        encoding="utf-8",
    )


def _host() -> Figure:
    return {
        "cores": os.cpu_count(),
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "when": datetime.now(UTC).replace(microsecond=0).isoformat(),
    }
