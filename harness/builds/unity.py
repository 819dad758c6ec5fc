"""Compiling many sources as few: which go together, and what to do when some cannot.

Most of the time that llama.cpp takes to compile goes into reading the same large headers again
and again. A unit that includes many sources reads them once. Sources that define the same
file-local names cannot share a unit; those that look so are kept apart from the start, and a unit
that the compiler still refuses is divided until it is accepted.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.builds.cmake_model import SourceGroup

_HEADER_COST = 150_000
"""What reading the headers of a unit costs, in bytes of plain source."""

_LOCAL_NAME = re.compile(
    r"""^(?:
        (?:static|inline|constexpr)\b[^;={(\n]*?(?<!::)\b(\w+)\s*(?:\[[^\]\n]*\]\s*)*[=({]
      | const\b[^;={(\n]*?(?<!::)\b(\w+)\s*(?:\[[^\]\n]*\]\s*)*[={]
      | (?:typedef\s+)?(?:struct|class|union|enum(?:\s+class)?)\s+(\w+)[^;(\n]*\{
    )""",
    re.MULTILINE | re.VERBOSE,
)
_DEFINED = re.compile(r"^\s*#\s*define\s+(\w+)(?:\([^)\n]*\))?[ \t]+\S", re.MULTILINE)
_CONDITION = re.compile(r"^\s*#\s*(?:el)?if(?:n?def)?\b(.*)", re.MULTILINE)
_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^">]+)[">]', re.MULTILINE)
_ERROR_LINE = re.compile(r"^(.+?):\d+(?::\d+)?: (?:fatal )?error: ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Sources that are compiled together.

    Attributes:
        group: Where they come from, with their arguments.
        sources: The files, in cmake's order.
        cost: An estimate of the time, to start the long ones first.
    """

    group: SourceGroup
    sources: tuple[Path, ...]
    cost: int


class UnityPlanner:
    """Decides which sources are compiled together."""

    def __init__(self, groups: Iterable[SourceGroup], *, jobs: int, per_job: int = 3) -> None:
        """Look at all sources.

        Args:
            groups: All sources.
            jobs: How many compilers run at once.
            per_job: How many units of full size each of them gets to do.
        """
        self._groups = tuple(groups)
        self._texts: dict[Path, str] = {}
        self._sizes: dict[Path, int | None] = {}
        total = sum(self._cost(source, group) for group in self._groups for source in group.sources)
        self._full = max(total // (jobs * per_job), _HEADER_COST)

    def plan(self) -> list[Unit]:
        """Divide the sources into units of like cost, the longest first."""
        units = [unit for group in self._groups for unit in self._units_of(group)]
        return sorted(units, key=lambda unit: -unit.cost)

    def divide(self, unit: Unit, compiler_output: str, directory: Path) -> list[Unit]:
        """Divide a unit that the compiler refused: without the sources that its errors name.

        Args:
            unit: The unit; of two sources or more.
            compiler_output: What the compiler said.
            directory: Where it ran, to which the paths in its output are relative.
        """
        paths = {(directory / name).resolve() for name in _ERROR_LINE.findall(compiler_output)}
        blamed = tuple(source for source in unit.sources if source.resolve() in paths)
        if not 0 < len(blamed) < len(unit.sources):
            half = len(unit.sources) // 2
            return [
                self._unit(unit.group, unit.sources[:half]),
                self._unit(unit.group, unit.sources[half:]),
            ]
        rest = tuple(source for source in unit.sources if source not in blamed)
        return [
            self._unit(unit.group, rest),
            *(self._unit(unit.group, (source,)) for source in blamed),
        ]

    def _units_of(self, group: SourceGroup) -> list[Unit]:
        cost = {source: self._cost(source, group) for source in group.sources}
        order = {source: index for index, source in enumerate(group.sources)}
        count = max(1, round(sum(cost.values()) / self._full))
        bins = [_Bin() for _ in range(count)]
        for source in sorted(group.sources, key=lambda each: -cost[each]):
            names = Names.of(self._text(source))
            free = [each for each in bins if not each.names.clash(names)]
            if not free:
                bins.append(_Bin())
                free = bins[-1:]
            min(free, key=lambda each: each.cost).add(source, cost[source], names)
        return [
            self._unit(group, sorted(each.sources, key=order.__getitem__))
            for each in bins
            if each.sources
        ]

    def _unit(self, group: SourceGroup, sources: Sequence[Path]) -> Unit:
        cost = _HEADER_COST + sum(self._cost(source, group) for source in sources)
        return Unit(group=group, sources=tuple(sources), cost=cost)

    def _cost(self, source: Path, group: SourceGroup) -> int:
        """Estimate what a source adds to a unit: its size and some of its own headers'."""
        text = self._text(source)
        cost = len(text) + 2_000
        for name in _INCLUDE.findall(text):
            for place in (source.parent, *group.include_directories):
                size = self._size(place / name)
                if size is not None:
                    cost += size // 4
                    break
        return cost

    def _text(self, source: Path) -> str:
        if source not in self._texts:
            self._texts[source] = (
                source.read_text(encoding="utf-8", errors="replace") if source.is_file() else ""
            )
        return self._texts[source]

    def _size(self, path: Path) -> int | None:
        if path not in self._sizes:
            self._sizes[path] = path.stat().st_size if path.is_file() else None
        return self._sizes[path]


def unit_text(unit: Unit, directory: Path) -> str:
    """Return the source text of a unit that lies in that directory."""
    return "".join(
        f'#include "{Path(os.path.relpath(source, directory)).as_posix()}"\n'
        for source in unit.sources
    )


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names in a source text that other sources may use otherwise.

    Attributes:
        local: What it seems to keep to itself: static functions, tables, types.
        defined: Macros that it gives a value.
        asked: Macros whose being defined it asks about.
    """

    local: frozenset[str] = frozenset()
    defined: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str) -> "Names":
        """Read the names of a source text."""
        return cls(
            local=frozenset(name for match in _LOCAL_NAME.findall(text) for name in match if name),
            defined=frozenset(_DEFINED.findall(text)),
            asked=frozenset(
                name for line in _CONDITION.findall(text) for name in re.findall(r"\w+", line)
            ),
        )

    def clash(self, other: "Names") -> bool:
        """Whether two texts had better not be in one unit.

        That both define a macro is harmless; that one asks about what the other defined is not:
        it would compile, and mean something else.
        """
        return bool(
            self.local & other.local or self.defined & other.asked or self.asked & other.defined
        )

    def with_(self, other: "Names") -> "Names":
        """Return the names of two texts together."""
        return Names(
            local=self.local | other.local,
            defined=self.defined | other.defined,
            asked=self.asked | other.asked,
        )


@dataclass
class _Bin:
    sources: list[Path] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    cost: int = 0

    def add(self, source: Path, cost: int, names: Names) -> None:
        self.sources.append(source)
        self.names = self.names.with_(names)
        self.cost += cost
