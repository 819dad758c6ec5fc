"""Cells dealt out over several jobs, so that all take about as long."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import UsageError
from harness.model import Cell, CellResult

Group = tuple[str, str, str, str | None, str]
"""Build, environment, subject, mode and model: cells that may share launches stay together."""

_EVEN_ENOUGH: Final = 1.05
"""A shard this many times as long as the mean is left as it is."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One job's part.

    Attributes:
        number: From 1.
        of: How many there are.
        seconds: Expected time of its cells, one after another.
    """

    number: int
    of: int
    cells: tuple[Cell, ...]
    seconds: float

    @property
    def builds(self) -> tuple[str, ...]:
        """The builds it needs."""
        return tuple(dict.fromkeys(cell.build for cell in self.cells))


def deal(cells: Sequence[Cell], count: int, measured: Iterable[CellResult] = ()) -> list[Shard]:
    """Deal cells out so that the expected times are as even as their groups allow.

    The same input gives the same shards, so that each job can work out its own.

    Args:
        cells: All of them.
        count: How many shards; some stay empty where there are fewer groups.
        measured: Earlier results; a group they do not know is taken to cost the median.
    """
    from statistics import median  # brings fractions and decimals along

    groups: dict[Group, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_group(cell), []).append(cell)
    seconds = _seconds(measured)
    usual = median(seconds.values()) if seconds else 1.0
    costs = {key: seconds.get(key, usual) for key in groups}
    parts = _stretches(costs, count)
    _level(parts, costs)
    places = {key: place for place, key in enumerate(groups)}
    return [
        Shard(
            number=number,
            of=count,
            cells=tuple(
                cell for key in sorted(part, key=places.__getitem__) for cell in groups[key]
            ),
            seconds=sum(costs[key] for key in part),
        )
        for number, part in enumerate(parts, start=1)
    ]


def _stretches(costs: Mapping[Group, float], count: int) -> list[list[Group]]:
    """Cut the row of groups into stretches, so that each job has few builds to acquire.

    Neighbouring groups are of one build; the middle of a group decides to which side of a cut it
    belongs.
    """
    total = sum(costs.values()) or 1.0
    parts: list[list[Group]] = [[] for _ in range(count)]
    passed = 0.0
    for key, cost in costs.items():
        parts[min(int(count * (passed + cost / 2) / total), count - 1)].append(key)
        passed += cost
    return parts


def _level(parts: Sequence[list[Group]], costs: Mapping[Group, float]) -> None:
    """Move groups from the longest stretch to the shortest while that evens them out.

    Groups of a build that the shortest has already are moved first. Every move makes the two
    more alike than they were, so this ends.
    """
    lengths = [sum(costs[key] for key in part) for part in parts]
    while True:
        longest = max(range(len(parts)), key=lengths.__getitem__)
        shortest = min(range(len(parts)), key=lengths.__getitem__)
        gap = lengths[longest] - lengths[shortest]
        if lengths[longest] * len(parts) <= sum(lengths) * _EVEN_ENOUGH:
            return
        movable = [key for key in parts[longest] if 0 < costs[key] < gap * (1 - 1e-9)]
        if not movable:
            return
        builds = {key[0] for key in parts[shortest]}
        key = min(movable, key=lambda key: (key[0] not in builds, abs(costs[key] - gap / 2)))
        parts[longest].remove(key)
        parts[shortest].append(key)
        lengths[longest] -= costs[key]
        lengths[shortest] += costs[key]


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``3/8``.

    Raises:
        UsageError: It is not of that form, or out of range.
    """
    number, slash, count = text.partition("/")
    if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise UsageError(f"--shard {text!r}: write K/N with K from 1 to N, for example 3/8")


def _group(cell: Cell | CellResult) -> Group:
    request = cell.request
    return (cell.build, cell.environment, cell.subject, request.mode, request.model)


def _seconds(measured: Iterable[CellResult]) -> Mapping[Group, float]:
    seconds: dict[Group, float] = {}
    for result in measured:
        key = _group(result)
        seconds[key] = seconds.get(key, 0.0) + result.wall_ms / 1000
    return seconds
