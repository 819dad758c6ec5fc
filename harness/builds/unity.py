"""Compiling many sources as few: which go together, and what to do when some cannot.

Most of the time that llama.cpp takes to compile goes into reading the same large headers again
and again. A unit that includes many sources reads them once. Sources that define the same
file-local names cannot share a unit; those that look so are kept apart from the start, and a unit
that the compiler still refuses is divided until it is accepted. cmake makes the units itself, as
the groups of a unity build.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
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
_MENTIONED = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_REFUSED = re.compile(
    r"^[ \t]*#[ \t]*if(?:def[ \t]+|[ \t]+defined[ \t]*\(?[ \t]*)(\w+)[^\n]*\n[ \t]*#[ \t]*error\b",
    re.MULTILINE,
)
_ALIAS = re.compile(r"^using\s+(?:(\w+)\s*=\s*([^;]+)|([\w:]+::(\w+)));", re.MULTILINE)
_SPECIALISED = re.compile(
    r"^template\s*<\s*>[^;{(]*?\b((?:\w+(?:<[^;{(]*?>)?::)*~?\w+)(?:<[^;{(]*?>)?\s*\(", re.MULTILINE
)
_TEMPLATE = re.compile(r"^\s*template\s*<[^>\n][^\n]*>[^;{(]*?\b(\w+)\s*\(", re.MULTILINE)
_GUARD = re.compile(r"^[ \t]*#[ \t]*(?:pragma[ \t]+once|ifndef|if[ \t]+!)", re.MULTILINE)
_CONDITION = re.compile(r"^\s*#\s*(?:el)?if(?:n?def)?\b(.*)", re.MULTILINE)
_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^">]+)[">]', re.MULTILINE)
SINGLE_SOURCES = """\
function(llama_harness_single_sources directory)
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    set_property(TARGET ${target} PROPERTY UNITY_BUILD OFF)
  endforeach()
  get_property(directories DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(each IN LISTS directories)
    llama_harness_single_sources(${each})
  endforeach()
endfunction()
cmake_language(DEFER CALL llama_harness_single_sources ${CMAKE_CURRENT_SOURCE_DIR})
"""
"""Has cmake list every source by itself, for ``CMAKE_PROJECT_TOP_LEVEL_INCLUDES``.

Upstream joins some itself (b11434); its model would then tell of what it joined, and no more.
"""
COMPUTES = re.compile(r"ggml.*|llama")
"""cmake targets with code that runs for each number, or each pair of the sequences of a batch."""
LIGHT = re.compile(
    r"models/.*|llama-(?:adapter|arch|chat|grammar|hparams|impl|io|mmap|model.*|quant|vocab)\..*"
    r"|unicode.*"
)
"""Sources of such a target that run once per model or prompt, or only lay out what to compute."""
_ERROR_LINE = re.compile(r"^(.+?):\d+(?::\d+)?: (?:fatal )?error: ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Sources of one target that are compiled together.

    Attributes:
        name: Unique, and part of the name of the file that cmake makes.
        target: The cmake target they belong to.
        language: As cmake calls it, ``C`` or ``CXX``.
        sources: The files, in cmake's order.
        light: Whether they compute so little that optimising them is not worth the time.
    """

    name: str
    target: str
    language: str
    sources: tuple[Path, ...]
    light: bool


def divide(unit: Unit, compiler_output: str, directory: Path) -> list[Unit]:
    """Divide a unit that the compiler refused: without the sources that its errors name.

    Args:
        unit: The unit; of two sources or more.
        compiler_output: What the compiler said.
        directory: Where it ran, to which the paths in its output are relative.
    """
    paths = {(directory / name).resolve() for name in _ERROR_LINE.findall(compiler_output)}
    blamed = tuple(source for source in unit.sources if source.resolve() in paths)
    if 0 < len(blamed) < len(unit.sources):
        rest = tuple(source for source in unit.sources if source not in blamed)
        parts = [rest, *((source,) for source in blamed)]
    else:
        half = len(unit.sources) // 2
        parts = [unit.sources[:half], unit.sources[half:]]
    return [
        replace(unit, name=f"{unit.name}-{number}", sources=part)
        for number, part in enumerate(parts)
    ]


def cmake_text(units: Sequence[Unit], light_flags: Sequence[str]) -> str:
    """Return what tells cmake of the units, for ``CMAKE_PROJECT_TOP_LEVEL_INCLUDES``.

    Args:
        units: All units of the program.
        light_flags: Further compiler flags for light units.
    """
    lines = ["function(llama_harness_units)"]
    for target in sorted({unit.target for unit in units}):
        lines.append(
            f"set_target_properties({target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP"
            " UNITY_BUILD_RELOCATABLE ON)"
        )
        lines.append(f"get_target_property(directory {target} BINARY_DIR)")
        for unit in units:
            if unit.target == target:
                lines += _unit_text(unit, light_flags)
    # Called at the end of the tree's top CMakeLists.txt, when there are all targets.
    lines += ["endfunction()", "cmake_language(DEFER CALL llama_harness_units)"]
    return "".join(f"{line}\n" for line in lines)


def _unit_text(unit: Unit, light_flags: Sequence[str]) -> Iterator[str]:
    """What tells cmake of one unit, where ``directory`` is that of its target's objects."""
    compiled = files = " ".join(f"[[{source.as_posix()}]]" for source in unit.sources)
    place = f"TARGET_DIRECTORY {unit.target} PROPERTIES"
    if len(unit.sources) > 1:
        yield (
            f"set_source_files_properties({files} {place}"
            f" UNITY_GROUP {unit.name} SKIP_UNITY_BUILD_INCLUSION OFF)"
        )
        made = f"CMakeFiles/{unit.target}.dir/Unity/unity_{unit.name}"
        ending = "_c.c" if unit.language == "C" else "_cxx.cxx"
        compiled = f'"${{directory}}/{made}{ending}"'
    if unit.light:
        flags = ";".join(light_flags)
        yield f'set_source_files_properties({compiled} {place} COMPILE_OPTIONS "{flags}")'


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
        self._files: dict[Path, bool] = {}
        self._headers: dict[Path, tuple[frozenset[str], tuple[str, ...]]] = {}
        total = sum(self._cost(source) for group in self._groups for source in group.sources)
        self._full = max(total // (jobs * per_job), _HEADER_COST)

    def plan(self) -> list[Unit]:
        """Divide the sources into units of like cost.

        A source keeps its unit when others grow, come or go: what a compile cache holds of a unit
        is of use for the next build as long as none of its own sources changed.
        """
        units: list[Unit] = []
        numbers: Counter[tuple[str, str]] = Counter()
        for group, light in _by_weight(self._groups):
            kind = (group.target, group.language)
            for part in self._parts_of(group):
                units.append(
                    Unit(
                        name=f"{group.target}-{group.language}-{numbers[kind]}",
                        target=group.target,
                        language=group.language,
                        sources=part,
                        light=light,
                    )
                )
                numbers[kind] += 1
        return units

    def _parts_of(self, group: SourceGroup) -> Iterator[tuple[Path, ...]]:
        cost = sum(self._cost(source) for source in group.sources)
        count = max(1, round(cost / self._full))
        bins = [_Bin() for _ in range(count)]
        specialised = frozenset(
            name for source in group.sources for name in _specialised(self._text(source))
        )
        for source in sorted(group.sources):
            names = self._names(source, group, specialised)
            free = [each for each in bins if not each.names.clash(names)]
            if not free:
                bins.append(_Bin())
                free = bins[-1:]
            free[zlib.crc32(source.name.encode()) % len(free)].add(source, names)
        yield from (
            tuple(sorted(each.sources, key=group.sources.index)) for each in bins if each.sources
        )

    def _names(self, source: Path, group: SourceGroup, specialised: frozenset[str]) -> "Names":
        """Read the names of a source, with what the tree's own headers bring it."""
        names = Names.of(self._text(source))
        local, macros, words = set(names.local), set(names.macros), set(names.words)
        seen: set[Path] = set()
        left = [(source.parent, name) for name in _INCLUDE.findall(self._text(source))]
        while left:
            directory, name = left.pop()
            places = (directory, *group.include_directories)
            header = next((place / name for place in places if self._is_file(place / name)), None)
            if header is None or header in seen:
                continue
            seen.add(header)
            mentioned, includes = self._header(header)
            macros |= mentioned
            if not _GUARD.search(self._text(header)):
                # Two sources of one unit would bring it twice.
                local |= Names.of(self._text(header)).local
            words |= {word for word in specialised if word in self._text(header)}
            left += [(header.parent, each) for each in includes]
        return replace(
            names, local=frozenset(local), macros=frozenset(macros), words=frozenset(words)
        )

    def _header(self, header: Path) -> tuple[frozenset[str], tuple[str, ...]]:
        """What a header defines, and what it includes."""
        if header not in self._headers:
            text = self._text(header)
            self._headers[header] = (
                frozenset(_MENTIONED.findall(text)),
                tuple(_INCLUDE.findall(text)),
            )
        return self._headers[header]

    def _cost(self, source: Path) -> int:
        """Estimate what a source adds to a unit."""
        return len(self._text(source)) + 2_000

    def _text(self, source: Path) -> str:
        if source not in self._texts:
            self._texts[source] = (
                source.read_text(encoding="utf-8", errors="replace") if source.is_file() else ""
            )
        return self._texts[source]

    def _is_file(self, path: Path) -> bool:
        if path not in self._files:
            self._files[path] = path.is_file()
        return self._files[path]


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names in a source text that other sources may use otherwise.

    Attributes:
        local: What it seems to keep to itself: static functions, tables, types.
        defined: Macros that it gives a value.
        asked: Macros whose being defined it asks about.
        macros: All macros that it defines, with a value or without.
        refused: Macros that it does not compile with.
        aliases: Names that it gives to what has another, each with that other.
        specialised: Templates of others of which it defines one case, which must come before any
            use.
        words: All words in it; of what its headers say those that some source specialises.
    """

    local: frozenset[str] = frozenset()
    defined: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    macros: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    aliases: frozenset[tuple[str, str]] = frozenset()
    specialised: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str) -> "Names":
        """Read the names of a source text."""
        return cls(
            local=frozenset(name for match in _LOCAL_NAME.findall(text) for name in match if name),
            defined=frozenset(_DEFINED.findall(text)),
            asked=frozenset(
                name for line in _CONDITION.findall(text) for name in re.findall(r"\w+", line)
            ),
            macros=frozenset(_MENTIONED.findall(text)),
            refused=frozenset(_REFUSED.findall(text)),
            aliases=frozenset(
                (name or short, " ".join((meant or full).split()))
                for name, meant, full, short in _ALIAS.findall(text)
            ),
            specialised=_specialised(text),
            words=frozenset(re.findall(r"\w+", text)),
        )

    def clash(self, other: "Names") -> bool:
        """Whether two texts had better not be in one unit.

        That both define a macro is harmless; that one asks about what the other defined is not:
        it would compile, and mean something else.
        """
        return bool(
            self.local & other.local
            or self.defined & other.asked
            or self.asked & other.defined
            or self.refused & other.macros
            or self.macros & other.refused
            or self.specialised & other.words
            or self.words & other.specialised
            or self._differs(other)
        )

    def _differs(self, other: "Names") -> bool:
        """Whether one name stands for different things."""
        names = {name for name, _ in self.aliases} & {name for name, _ in other.aliases}
        return any(
            {meant for each, meant in self.aliases if each == name}
            != {meant for each, meant in other.aliases if each == name}
            for name in names
        )

    def with_(self, other: "Names") -> "Names":
        """Return the names of two texts together."""
        return Names(
            local=self.local | other.local,
            defined=self.defined | other.defined,
            asked=self.asked | other.asked,
            macros=self.macros | other.macros,
            refused=self.refused | other.refused,
            aliases=self.aliases | other.aliases,
            specialised=self.specialised | other.specialised,
            words=self.words | other.words,
        )


def _by_weight(groups: Iterable[SourceGroup]) -> Iterator[tuple[SourceGroup, bool]]:
    """Divide groups into sources that compute, and light ones."""
    for group in groups:
        computes = COMPUTES.fullmatch(group.target) is not None
        light = {source for source in group.sources if not (computes and _computes(source))}
        for is_light in (False, True):
            sources = tuple(each for each in group.sources if (each in light) is is_light)
            if sources:
                yield replace(group, sources=sources), is_light


def _computes(source: Path) -> bool:
    return not any(
        LIGHT.fullmatch(name) for name in (source.name, f"{source.parent.name}/{source.name}")
    )


def _specialised(text: str) -> frozenset[str]:
    """Return what a text has cases of; a class's own constructor is nobody else's affair."""
    found = set()
    for chain in _SPECIALISED.findall(text):
        parts = re.sub(r"<[^<>]*>", "", chain).split("::")
        if parts[-2:-1] != parts[-1:]:
            found.add(parts[0])
    return frozenset(found) - frozenset(_TEMPLATE.findall(text))


@dataclass
class _Bin:
    sources: list[Path] = field(default_factory=list)
    names: Names = field(default_factory=Names)

    def add(self, source: Path, names: Names) -> None:
        self.sources.append(source)
        self.names = self.names.with_(names)
