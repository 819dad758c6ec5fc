"""Which builds the sources offer, beyond those that the catalogue pins."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from harness.builds.catalogue import (
    UPSTREAM,
    Build,
    Catalogue,
    Origin,
    PackageFile,
    ReleaseAsset,
)
from harness.builds.sources.index import IndexFile, PackageIndexes
from harness.builds.sources.release import KNOWN_BAD, GitHub
from harness.builds.spacing import HISTORY, evenly
from harness.builds.tables import read_table
from harness.errors import SourceUnavailableError


class Index(Protocol):
    """Lists the files of a package."""

    def files(self, project: str) -> Sequence[IndexFile]:
        """Return all files of a project.

        Raises:
            SourceUnavailableError: It cannot be listed.
        """


class PackageSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A project whose versions carry llama.cpp builds.

    Attributes:
        project: The project's name.
        suffix: Ending of the files that carry it.
        tree: Where in an sdist the sources are.
        version: Matches the versions that name a build, whose number is the first group.
    """

    project: str
    suffix: str
    tree: str = ""
    version: str = ""

    def number(self, version: str) -> int | None:
        """Return the build number that a version carries, None where it is not known."""
        told = re.fullmatch(self.version, version) if self.version else None
        return int(told[1]) if told else _RELEASES.get(self.project, {}).get(version)


_RELEASES: Mapping[str, Mapping[str, int]] = read_table("releases.toml")
"""The build numbers of versions that do not name theirs, by project."""

_PACKAGES = read_table("packages.toml")

SERIES = msgspec.convert(_PACKAGES["numbered"], tuple[PackageSeries, ...])
"""Packages of whose versions the build number is known; a build's first source is preferred."""

UNNUMBERED = msgspec.convert(_PACKAGES["unnumbered"], PackageSeries)
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


def package_offers(index: Index | None = None) -> Offers:
    """Return every build that a package index lists, the user's if None, by build number."""
    index = index or PackageIndexes()
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


def numbered_offer(number: int) -> tuple[Origin, ...]:
    """Return all origins of a build number; nothing is asked of GitHub if a package has it.

    Raises:
        SourceUnavailableError: No source has it; the message names the nearest that packages have.
    """
    offers = package_offers()
    if number in offers.builds:
        return offers.builds[number].origins
    try:
        return (release_offer(f"b{number}", UPSTREAM, "cpu"),)
    except SourceUnavailableError as error:
        near = sorted(offers.builds, key=lambda each: abs(each - number))[:4]
        nearest = ", ".join(f"b{each}" for each in sorted(near)) or "none"
        reasons = "; ".join([*offers.problems, str(error)])
        raise SourceUnavailableError(
            f"no source has b{number} ({reasons}); the nearest that packages carry: {nearest}"
        ) from error


def release_offer(tag: str, repository: str, variant: str) -> ReleaseAsset:
    """Return a release with the digests that GitHub states.

    Raises:
        SourceUnavailableError: There is none, it is known to be bad, or GitHub does not answer.
    """
    if repository == UPSTREAM and tag in KNOWN_BAD:
        raise SourceUnavailableError(f"release {tag} is known to be bad: {KNOWN_BAD[tag]}")
    return ReleaseAsset(
        tag=tag,
        repository=repository,
        variant=variant,
        sha256={
            asset.name: asset.sha256 for asset in GitHub().assets(repository, tag) if asset.sha256
        },
    )


def python_binding_offer(version: str) -> PackageFile:
    """Return the sdist of a llama-cpp-python version.

    Raises:
        SourceUnavailableError: No index has it, or none can be reached.
    """
    files = [
        file
        for file in PackageIndexes().files(UNNUMBERED.project)
        if file.version == version and file.name.endswith(UNNUMBERED.suffix) and file.sha256
    ]
    if not files:
        raise SourceUnavailableError(f"no package index has an sdist of llama-cpp-python {version}")
    return _package_file(UNNUMBERED, files[0])


def catalogue_text(build: Build, profiles: Sequence[str] = ()) -> str:
    """Return the text of a catalogue file for a build that nobody has described yet."""
    bare = msgspec.structs.replace(build, profiles=tuple(profiles), expected=None)
    return msgspec.toml.encode(bare).decode()


def history_builds(offers: Offers, days: int, catalogue: Catalogue) -> tuple[Build, ...]:
    """Return what packages carry of the history, evenly by time, as builds of that profile.

    Those that the catalogue has in the profile stand for their time. Its own description of a
    build goes before what packages say.

    Raises:
        SourceUnavailableError: No index says when anything was uploaded.
    """
    known = {build.number: build for build in catalogue.builds if build.upstream_number}
    dates = {number: offer.date for number, offer in offers.builds.items()}
    kept = {number for number, build in known.items() if HISTORY in build.profiles}
    chosen = evenly(dates, days, kept)
    if not chosen:
        undated = "no index says when its files were uploaded"
        reason = undated if offers.builds else "; ".join(offers.problems) or "packages carry none"
        raise SourceUnavailableError(f"no builds can be chosen by time: {reason}")
    builds = (
        known.get(number)
        or Build(
            id=f"b{number}",
            number=number,
            sources=offers.builds[number].origins,
        )
        for number in chosen
    )
    return tuple(
        build
        if HISTORY in build.profiles
        else msgspec.structs.replace(build, profiles=(*build.profiles, HISTORY))
        for build in builds
    )
