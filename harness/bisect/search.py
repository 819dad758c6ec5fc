"""Which point to test next: a pure function of the answers so far.

Points are the positions of an ordered sequence; position 0 is claimed good and the last one bad.
Nothing here tests, acquires or prints anything, so the strategy can be held against an oracle.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Answer(StrEnum):
    """What testing one point came to."""

    GOOD = "good"
    BAD = "bad"
    UNTESTABLE = "untestable"
    """It cannot be had, or fails otherwise than the bad end does."""
    FLAKY = "flaky"
    """Repetition did not reach the stated confidence; narrows no window."""

    @property
    def decides(self) -> bool:
        """Whether the answer can end a window."""
        return self in {Answer.GOOD, Answer.BAD}


Answers = Mapping[int, Answer]


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Two decided points with different answers and no decided point between them.

    Attributes:
        before: The lower position.
        after: The upper position.
        breaks: True from good to bad, False from bad to good.
        skipped: Positions between them that are untestable or flaky.
    """

    before: int
    after: int
    breaks: bool
    skipped: tuple[int, ...] = ()


def boundaries(answers: Answers) -> tuple[Boundary, ...]:
    """Every change of answer between neighbouring decided points, in order."""
    return tuple(
        Boundary(
            before=before,
            after=after,
            breaks=answers[before] is Answer.GOOD,
            skipped=tuple(at for at in range(before + 1, after) if at in answers),
        )
        for before, after in pairwise(_decided(answers))
        if answers[before] is not answers[after]
    )


def window(answers: Answers) -> Boundary | None:
    """The change that the bad end goes back to: the last one from good to bad.

    None until a good point and a bad point above it are known.
    """
    return next((found for found in reversed(boundaries(answers)) if found.breaks), None)


def next_point(
    count: int,
    answers: Answers,
    *,
    stored: Collection[int] = frozenset(),
    stride: int | None = None,
    hints: Sequence[int] = (),
) -> int | None:
    """The position to test next, None when nothing more can be learnt.

    The bad end comes first, because the failure's signature is taken there, then the good end.
    Between them a point is chosen so that at most ``ceil(log2(points between + 1))`` decided
    answers are needed in the worst case, whichever points are stored: a stored point is preferred
    only while it keeps that bound. Every untestable point costs one step and no more.

    Args:
        count: Points in the sequence, ends included.
        answers: What is known; a point in it is never chosen again.
        stored: Positions that cost nothing to acquire.
        stride: None to look for one boundary. A number to look for all of them: neighbouring
            decided points that agree are then probed between as well, as long as ``stride`` or
            more points between them are unknown, so that only a run of fewer than ``stride``
            points can hide.
        hints: Positions to test first, as long as the change may be beside them.

    Raises:
        ValueError: With fewer than two points, or a stride below 1.
    """
    if count < 2:  # noqa: PLR2004 - a good end and a bad end
        raise ValueError(f"a bisection needs two ends, got {count} point(s)")
    if stride is not None and stride < 1:
        raise ValueError(f"a stride is at least 1, got {stride}")
    for end in (count - 1, 0):
        if end not in answers:
            return end
    last = window(answers)
    for at in hints:
        if last is not None and last.before < at < last.after and at not in answers:
            return at
    for gap in _gaps(answers, stride):
        if gap.unknown:
            return _choose(gap, stored)
    return None


def possible_next(
    count: int,
    answers: Answers,
    current: int,
    *,
    stored: Collection[int] = frozenset(),
    stride: int | None = None,
    hints: Sequence[int] = (),
) -> tuple[int, ...]:
    """The points that come after ``current`` if it is good and if it is bad, without repeats."""
    nexts = (
        next_point(count, {**answers, current: answer}, stored=stored, stride=stride, hints=hints)
        for answer in (Answer.GOOD, Answer.BAD)
    )
    return tuple(dict.fromkeys(at for at in nexts if at is not None))


def steps_left(count: int, answers: Answers, *, stride: int | None = None) -> int:
    """How many more points need testing if all of them decide.

    In the worst case when one boundary is looked for; with a stride, if no further boundary shows.
    """
    missing = sum(end not in answers for end in (0, count - 1))
    if missing:
        return missing + _halvings(count - 1)
    return sum(
        _halvings(len(gap.unknown) + 1)
        if gap.changes
        else _probes(len(gap.unknown), stride or len(gap.unknown) + 1)
        for gap in _gaps(answers, stride)
    )


@dataclass(frozen=True, kw_only=True)
class _Gap:
    """What lies between two neighbouring decided points."""

    changes: bool
    unknown: Sequence[int]
    skipped: Sequence[int]


def _decided(answers: Answers) -> list[int]:
    return sorted(at for at, answer in answers.items() if answer.decides)


def _gaps(answers: Answers, stride: int | None) -> Iterator[_Gap]:
    """The gaps worth testing in: changes first, the last of them before the others."""
    last = window(answers)
    if last is None:
        return
    changing = boundaries(answers) if stride is not None else (last,)
    for found in sorted(changing, key=lambda found: (not found.breaks, -found.before)):
        yield _gap(answers, found.before, found.after, changes=True)
    if stride is None:
        return
    alike = [
        _gap(answers, before, after, changes=False)
        for before, after in pairwise(_decided(answers))
        if answers[before] is answers[after]
    ]
    for gap in sorted(alike, key=lambda gap: -len(gap.unknown)):
        if len(gap.unknown) >= stride:
            yield gap


def _gap(answers: Answers, before: int, after: int, *, changes: bool) -> _Gap:
    between = range(before + 1, after)
    return _Gap(
        changes=changes,
        unknown=[at for at in between if at not in answers],
        skipped=[at for at in between if at in answers],
    )


def _halvings(intervals: int) -> int:
    """``ceil(log2(intervals))`` without rounding errors."""
    return (intervals - 1).bit_length()


def _probes(unknown: int, stride: int) -> int:
    if unknown < stride:
        return 0
    left = unknown // 2
    return 1 + _probes(left, stride) + _probes(unknown - 1 - left, stride)


_RUN = 3
"""Untestable points between two decided ones that count as a run."""


def _choose(gap: _Gap, stored: Collection[int]) -> int:
    unknown = gap.unknown
    size = len(unknown)
    zone = _zone(size)
    kept = [rank for rank in zone if unknown[rank] in stored]
    if not kept:
        # Untestable points come in runs (sources that do not compile for a week). The first one
        # is followed by its neighbour, each further one by a point twice as far from all of them.
        # Once it is a run, a less even split is cheaper than walking through the run.
        if len(gap.skipped) >= _RUN:
            zone = range(size // 4, size - size // 4)
        distances = {rank: _distance(unknown[rank], gap.skipped) for rank in zone}
        wanted = 2 ** max(len(gap.skipped) - 1, 0)
        reach = min(wanted, max(distances.values()))
        kept = [rank for rank in zone if distances[rank] >= reach]
    return unknown[min(kept, key=lambda rank: (abs(2 * rank - (size - 1)), rank))]


def _zone(size: int) -> range:
    """The ranks that leave no more worst-case steps than the middle one does.

    Choosing among them by other merits is free.
    """
    most = 2 ** (_halvings(size + 1) - 1)
    return range(size - most, most) if size > most else range(size)


def _distance(at: int, skipped: Sequence[int]) -> int:
    """Steps to the nearest skipped position."""
    below = bisect_left(skipped, at)
    above = bisect_right(skipped, at)
    nearest = [at - skipped[below - 1]] if below else []
    if above < len(skipped):
        nearest.append(skipped[above] - at)
    return min(nearest, default=2**62)
