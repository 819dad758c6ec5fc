"""A pytest plugin that notes when each cell begins and ends; see ``fixed_cost.py``."""

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

CLOCK_VARIABLE: Final = "LLAMA_HARNESS_CELL_CLOCK"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Append a line to the file that the variable names; one line is written whole."""
    begun = time.monotonic()
    try:
        yield
    finally:
        with Path(os.environ[CLOCK_VARIABLE]).open("a", encoding="ascii") as clock:
            clock.write(f"{begun} {time.monotonic()}\n")


def read_clock(path: Path) -> list[tuple[float, float]]:
    """Begin and end of every cell, in the order of their begins."""
    lines = path.read_text(encoding="ascii").splitlines()
    return sorted((float(begun), float(ended)) for begun, ended in map(str.split, lines))
