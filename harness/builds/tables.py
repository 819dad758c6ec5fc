"""The tables of data beside this code."""

import tomllib
from importlib import resources
from typing import Any


def read_table(name: str) -> dict[str, Any]:
    """Read a file of ``resources``."""
    file = resources.files("harness.builds") / "resources" / name
    return tomllib.loads(file.read_text(encoding="utf-8"))
