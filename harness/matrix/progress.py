"""How far a run is, and how long what is left of it will take."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from harness.model import BAD, Cell, CellResult

_FIRST_S: Final = 10.0
"""A run that is shorter than this says nothing on its way."""
_MINUTE_S: Final = 60.0
_OFTEN_S: Final = 10.0
_SELDOM_S: Final = 30.0


class RunProgress:
    """Counts the results of a run, and says at times how it stands.

    Args:
        cells: All that will run.
        clock: Seconds from any moment on.
    """

    def __init__(
        self, cells: Iterable[Cell] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._left = Counter(cell.subject for cell in cells)
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._total = self._left.total()
        self._bad = 0
        self._began = self._told = clock()

    @property
    def begun(self) -> bool:
        """Whether a result was counted."""
        return bool(self._seconds)

    def saw(self, result: CellResult) -> None:
        """Count a result."""
        seconds = 0.0 if result.remembered else result.wall_ms / 1000
        if not self._seconds:
            self._began = self._told = self._clock() - seconds
        self._seconds[result.subject].append(seconds)
        self._left[result.subject] -= 1
        self._bad += result.status in BAD

    def due(self) -> str:
        """One line where it is time for one, else nothing."""
        now = self._clock()
        elapsed = now - self._began
        pause = _OFTEN_S if elapsed <= _MINUTE_S else _SELDOM_S
        left = +self._left
        if elapsed < _FIRST_S or now - self._told < pause or not left:
            return ""
        self._told = now
        done = self._total - left.total()
        bad = f", {self._bad} bad" if self._bad else ""
        return f"{done} of {self._total} cells{bad}; {_about(self._left_s(elapsed))} left"

    def _left_s(self, elapsed_s: float) -> float:
        """Expected seconds: each subject's cells cost what they did so far, as many at a time."""
        spent = {subject: sum(seconds) for subject, seconds in self._seconds.items()}
        count = sum(map(len, self._seconds.values()))
        usual = sum(spent.values()) / count
        work = sum(
            number * (spent[subject] / len(self._seconds[subject]) if subject in spent else usual)
            for subject, number in self._left.items()
        )
        return work * elapsed_s / (sum(spent.values()) or elapsed_s)


def _about(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"about {minutes} min {rest:02} s" if minutes else f"about {max(rest, 1)} s"
