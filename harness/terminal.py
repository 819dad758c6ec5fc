"""All that a command writes to the terminal.

Answers go to standard output, where scripts read them; everything else goes to standard error.
"""

import errno
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Self, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN_WIDTH: Final = 160
"""Columns where the output is no terminal and so has no width of its own."""

Unit = Literal["bytes", "steps"]


def same_output_everywhere() -> None:
    """Write UTF-8 and plain line ends where the output is no terminal, on Windows too.

    Python writes its code page there, which lacks characters of our tables, and CRLF, of which a
    shell leaves half behind each value. ``PYTHONIOENCODING`` still decides on the encoding.
    """
    if sys.platform != "win32":
        return
    chosen = os.environ.get("PYTHONIOENCODING")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding=None if chosen else "utf-8", newline="\n")


def is_broken_pipe(error: OSError) -> bool:
    """Whether an error means that whoever read the output has gone."""
    if sys.platform == "win32" and error.errno == errno.EINVAL and error.filename is None:
        return True  # Windows' C runtime knows no better name for it.
    return isinstance(error, BrokenPipeError)


def say(text: str, *, end: str = "\n") -> None:
    """Print a part of the answer, at once."""
    print(text, end=end, flush=True)


def note(text: str) -> None:
    """Tell the user something that is no part of the answer."""
    print(text, file=sys.stderr)


def complain(what: object) -> None:
    """Tell the user what is wrong, in the name of the command."""
    note(f"llama-harness: {what}")


def say_json(document: Any) -> None:
    """Print an answer as JSON."""
    import json

    import msgspec

    say(json.dumps(msgspec.to_builtins(document), indent=2))


def say_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, each column as wide as its longest field."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        fields = (field.ljust(width) for field, width in zip(row, widths, strict=True))
        say("  ".join(fields).rstrip())


def open_console(stream: IO[str]) -> "Console":
    """A console that prints text as it is."""
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def new_table(title: str, headings: Iterable[str], console: "Console") -> "Table":
    """An empty table, in colour on a terminal; it folds what is too long for its column."""
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


@dataclass(frozen=True)
class Task:
    """One thing under way.

    Attributes:
        reach: Says how far it is, and how far it goes; None where that is not known.
    """

    reach: Callable[[int, int | None], None]


class Progress:
    """Several tasks at once, from several threads; this one shows nothing of them."""

    @contextmanager
    def task(self, label: str, unit: Unit) -> Iterator[Task]:  # noqa: ARG002
        """Show a task while the context is open."""
        yield Task(lambda _done, _total: None)

    def note(self, line: str) -> None:
        """Tell the user one line that stays."""


class PlainProgress(Progress):
    """Writes whole lines: when a task starts, at times while it runs, and when it ends."""

    def __init__(self, stream: TextIO, *, interval_s: float = 15.0) -> None:
        self._stream = stream
        self._interval_s = interval_s
        self._lock = threading.Lock()

    @contextmanager
    def task(self, label: str, unit: Unit) -> Iterator[Task]:
        """Write the task's lines."""
        start = told = time.monotonic()

        def reach(done: int, total: int | None) -> None:
            nonlocal told
            if time.monotonic() - told >= self._interval_s:
                told = time.monotonic()
                self.note(f"{label}: {_amount(done, total, unit)}")

        self.note(f"{label} ...")
        yield Task(reach)
        self.note(f"{label}: done in {time.monotonic() - start:.1f} s")

    def note(self, line: str) -> None:
        """Write one line."""
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()


def _amount(done: int, total: int | None, unit: Unit) -> str:
    def text(amount: int) -> str:
        return f"{amount / 1e6:.1f} MB" if unit == "bytes" else str(amount)

    return f"{text(done)} of {text(total)}" if total else text(done)


class BarProgress(Progress):
    """Draws one bar per task on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def task(self, label: str, unit: Unit) -> Iterator[Task]:  # noqa: ARG002
        """Draw a bar."""
        bar = self._bars.add_task(label, total=None)

        def reach(done: int, total: int | None) -> None:
            self._bars.update(bar, completed=done, total=total or None)

        start = time.monotonic()
        try:
            yield Task(reach)
            self.note(f"{label}: done in {time.monotonic() - start:.1f} s")
        finally:
            self._bars.remove_task(bar)

    def note(self, line: str) -> None:
        """Print one line above the bars."""
        self._bars.console.print(line, markup=False, highlight=False)


@contextmanager
def open_progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Give what suits standard error: bars on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        yield Progress()
    elif sys.stderr.isatty():
        with BarProgress() as bars:
            yield bars
    else:
        yield PlainProgress(sys.stderr)
