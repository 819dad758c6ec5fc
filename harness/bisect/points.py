"""The points of each axis, in order: builds that a source offers, versions of a subject."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.bisect.journal import Point
from harness.builds import Build, Catalogue
from harness.builds.offers import Index, package_offers
from harness.errors import SourceUnavailableError, UsageError


def published_builds(index: Index) -> tuple[tuple[Build, str], ...]:
    """Every numbered build that some package carries, with its upload date.

    Raises:
        SourceUnavailableError: None of the packages can be listed; one alone may be missing, as
            on an index that mirrors a few projects.
    """
    offers = package_offers(index)
    if not offers.builds:
        raise SourceUnavailableError(
            f"no builds can be listed: {'; '.join(offers.problems)}; --catalogue-only does without"
        )
    return tuple(
        (Build(id=f"b{number}", number=number, sources=offer.origins), offer.date)
        for number, offer in offers.builds.items()
    )


def build_range(
    good: str, bad: str, catalogue: Catalogue, published: Iterable[tuple[Build, str]] = ()
) -> tuple[tuple[Point, ...], tuple[Build, ...]]:
    """All upstream builds from ``good`` to ``bad``, whichever is newer, and their definitions.

    The catalogue's definition wins.

    Raises:
        UsageError: An end is not among them, or both are the same.
    """
    published = tuple(published)
    dates = {build.number: date for build, date in published}
    upstream = [build for build in catalogue.builds if not build.fork and not build.emulated]
    by_number = {build.number: build for build in (*(each for each, _ in published), *upstream)}
    by_id = {by_number[number].id: by_number[number] for number in sorted(by_number)}
    builds = tuple(by_id[each] for each in _between(good, bad, tuple(by_id), "build"))
    points = tuple(
        Point(
            id=build.id,
            date=build.date or dates.get(build.number, ""),
            number=build.number if build.numbered else None,
        )
        for build in builds
    )
    return points, builds


def subject_range(over: str, good: str, bad: str, index: Callable[[], Index]) -> tuple[Point, ...]:
    """The subjects from ``good`` to ``bad``.

    Args:
        over: A package (``unsloth``), whose versions are the points, or specifications in order,
            separated by commas.
        good: A version, or one of the specifications.
        bad: Likewise.
        index: Gives what lists the package's versions; not asked for where none is needed.

    Raises:
        UsageError: An end is not among them, or both are the same.
        SourceUnavailableError: The versions cannot be listed.
    """
    if "," in over:
        listed = [each.strip() for each in over.split(",") if each.strip()]
        return tuple(Point(id=each) for each in _between(good, bad, listed, "subject"))
    dates = _versions(over, index())
    good, bad = (each.removeprefix(f"{over}==") for each in (good, bad))
    chosen = _between(good, bad, list(dates), f"{over} version")
    return tuple(Point(id=f"{over}=={each}", date=dates[each]) for each in chosen)


def _versions(project: str, index: Index) -> Mapping[str, str]:
    """Upload dates of a package's wheels by version, oldest version first."""
    from packaging.version import InvalidVersion, Version

    dates: dict[str, str] = {}
    for file in index.files(project):
        if file.name.endswith(".whl") and not file.yanked:
            dates.setdefault(file.version, file.uploaded)

    def key(version: str) -> Version:
        try:
            return Version(version)
        except InvalidVersion:
            return Version("0")

    return {version: dates[version] for version in sorted(dates, key=key)}


def _between(good: str, bad: str, ordered: Sequence[str], what: str) -> list[str]:
    for end in (good, bad):
        if end not in ordered:
            near = _some(end, ordered)
            raise UsageError(f"there is no {what} {end!r} to bisect over; there are {near}")
    if good == bad:
        raise UsageError(f"--good and --bad are both {good}: name two different {what}s")
    low, high = sorted((ordered.index(good), ordered.index(bad)))
    chosen = list(ordered[low : high + 1])
    return chosen if chosen[0] == good else chosen[::-1]


def _some(end: str, ordered: Sequence[str]) -> str:
    """The neighbours of a missing name, or the ends of the list."""
    import difflib

    near = difflib.get_close_matches(end, ordered, n=5, cutoff=0.6)
    if near:
        return f"{', '.join(sorted(near))} and {len(ordered) - len(near)} more"
    shown = [*ordered[:3], "…", *ordered[-3:]] if len(ordered) > 6 else ordered  # noqa: PLR2004
    return ", ".join(shown) or "none"
