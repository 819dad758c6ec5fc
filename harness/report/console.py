"""Where tables are printed, and what they look like: in colour on a terminal, plain elsewhere."""

from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN_WIDTH: Final = 160
"""Columns where the output is no terminal and so has no width of its own."""


def open_console(stream: IO[str]) -> "Console":
    """A console that prints text as it is."""
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False)
    if console.is_terminal:
        return console
    return Console(file=stream, highlight=False, markup=False, width=PLAIN_WIDTH)


def new_table(title: str, headings: Iterable[str], console: "Console") -> "Table":
    """An empty table that folds what is too long for its column."""
    from rich.box import ASCII2, SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        box=SIMPLE_HEAD if console.is_terminal else ASCII2,
        pad_edge=False,
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
