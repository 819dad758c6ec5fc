"""Eras: builds that follow each other and do the same in every cell."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from harness.model import CellResult
from harness.report.outline import grouped
from harness.report.table import print_tables


@dataclass(frozen=True, kw_only=True)
class Era:
    """Builds that do the same.

    Attributes:
        builds: Ids, oldest first.
        results: What the cells of the first of them came to.
    """

    builds: tuple[str, ...]
    results: tuple[CellResult, ...]

    def __str__(self) -> str:
        first, last = self.builds[0], self.builds[-1]
        return first if first == last else f"{first} … {last}"


def eras(results: Sequence[CellResult]) -> Iterator[Era]:
    """The eras of a run.

    Args:
        results: Builds oldest first.
    """
    builds = grouped(results, lambda one: one.build)
    for _, group in groupby(builds.items(), key=lambda one: _done(one[1])):
        alike = [*group]
        yield Era(builds=tuple(build for build, _ in alike), results=tuple(alike[0][1]))


def _done(results: Sequence[CellResult]) -> frozenset[object]:
    """What the cells of a build came to, whichever build it is."""
    return frozenset(
        (
            one.environment,
            repr(one.request),
            one.status,
            repr(one.drafts),
            (one.reason or "").replace(one.build, "this build"),
            tuple((check.name, check.ok, check.argument) for check in one.failed),
            one.failure and (one.failure.kind, one.failure.argument),
        )
        for one in results
    )


def era_tables(found: Sequence[Era]) -> Iterator[str]:
    """The table that a run ends with, a build for each era."""
    shown = [replace(one, build=str(era), remembered="") for era in found for one in era.results]
    printed = io.StringIO()
    print_tables(shown, printed)
    *lines, _counted = printed.getvalue().splitlines()  # only of what is shown
    yield from (line.rstrip() for line in lines)
