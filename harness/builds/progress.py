"""What the user sees while builds are fetched and compiled; all of it goes to standard error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, Self, TextIO

Unit = Literal["bytes", "steps"]


@dataclass(frozen=True)
class Task:
    """One thing under way.

    Attributes:
        reach: Says how far it is, and how far it goes; None where that is not known.
    """

    reach: Callable[[int, int | None], None]


class Progress(Protocol):
    """Shows several tasks at once; safe to use from several threads."""

    def task(self, label: str, unit: Unit) -> AbstractContextManager[Task]:
        """Show a task while the context is open."""

    def note(self, line: str) -> None:
        """Tell the user one line that stays."""


class SilentProgress:
    """Shows nothing."""

    @contextmanager
    def task(self, label: str, unit: Unit) -> Iterator[Task]:  # noqa: ARG002
        """Show nothing of a task."""
        yield Task(lambda _done, _total: None)

    def note(self, line: str) -> None:
        """Tell nothing."""


class PlainProgress:
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


class BarProgress:
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
        yield SilentProgress()
    elif sys.stderr.isatty():
        with BarProgress() as bars:
            yield bars
    else:
        yield PlainProgress(sys.stderr)
