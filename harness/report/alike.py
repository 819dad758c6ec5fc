"""Bad cells with the same signature, told once: what they have in common, and which they are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from harness.model import BAD, CellResult
from harness.report.failures import describe, evidence_lines, repro_line
from harness.report.outline import LOOKS, grouped, remembered_text, request_texts

Signature = tuple[str, ...]
"""Verdict and subject, then each check or kind of failure with the argument to blame."""

_MOST_PLACES: Final = 8
"""Lines that tell where cells are; results files hold them all."""
_FEW_BUILDS: Final = 2


def signature(result: CellResult) -> Signature:
    """What a bad cell has in common with others that are bad for the same reason.

    A failure with no argument to blame is told by its message, of which numbers are no part: ports,
    process ids and builds differ between any two launches.
    """
    tries = [attempt.status.value for attempt in result.attempts]
    checks = [f"{check.name} {check.argument or ''}".rstrip() for check in result.failed]
    if result.failure is None:
        return (result.status.value, result.subject, *tries, *checks)
    failure = result.failure
    what = failure.argument or re.sub(r"\d+", "#", failure.message)
    return (result.status.value, result.subject, *tries, *checks, f"{failure.kind.value} {what}")


def bad_groups(results: Sequence[CellResult]) -> Iterator[Sequence[CellResult]]:
    """The bad cells by signature, the worst verdict first, else in the order of the results."""
    groups = grouped((result for result in results if result.status in BAD), signature)
    worst = [*LOOKS]
    yield from sorted(groups.values(), key=lambda alike: worst.index(alike[0].status))


def describe_bad(results: Sequence[CellResult]) -> Iterator[str]:
    """Each signature with its cells, the evidence of the first one, and a command that runs it."""
    for alike in bad_groups(results):
        first = alike[0]
        if len(alike) == 1:
            yield from describe(first).splitlines()
            continue
        yield f"{_headline(first)}: {len(alike)} cells"
        builds = dict.fromkeys(one.build for one in results if one.subject == first.subject)
        yield from (f"  {line}" for line in coverage(alike, tuple(builds)))
        if remembered := remembered_text(alike):
            yield f"  {remembered}"
        yield f"  the first of them, {first.id}:"
        yield from (f"  {line}" for line in evidence_lines(first))
        yield repro_line(first)


def _headline(result: CellResult) -> str:
    checks = ", ".join(
        f"{check.name} {check.argument or ''}".strip() for check in result.failed
    ) or (f"{result.failure.kind.value} {result.failure.argument or ''}" if result.failure else "")
    return f"{result.status.value}: {result.subject}: {checks.strip()}".removesuffix(": ")


def coverage(alike: Sequence[CellResult], builds: Sequence[str]) -> Iterator[str]:
    """Which cells they are: builds, environments and load requests, in as few lines as that takes.

    Args:
        alike: The cells.
        builds: All builds that could be among them, in order: neighbours are told as a range.
    """
    emulated = {one.build for one in alike if one.emulated}
    places = grouped(alike, lambda one: (one.build, one.environment))
    asked: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for (build, environment), cells in places.items():
        texts = tuple(request_texts(one.request for one in cells))
        asked.setdefault(texts, {}).setdefault(build, []).append(environment)
    lines = [
        f"{_ranges(where, builds, emulated)}, {', '.join(environments)}: {'; '.join(texts)}"
        for texts, by_build in asked.items()
        for environments, where in _by_environments(by_build).items()
    ]
    yield from lines[:_MOST_PLACES]
    if len(lines) > _MOST_PLACES:
        yield f"and in {len(lines) - _MOST_PLACES} more combinations; --jsonl FILE lists every cell"


def _by_environments(builds: Mapping[str, Sequence[str]]) -> Mapping[tuple[str, ...], list[str]]:
    alike: dict[tuple[str, ...], list[str]] = {}
    for build, environments in builds.items():
        alike.setdefault(tuple(environments), []).append(build)
    return alike


def _ranges(some: Sequence[str], builds: Sequence[str], emulated: set[str]) -> str:
    """Builds, of which neighbours in the order of all are told by the first and the last."""
    kept = [(place, build) for place, build in enumerate(builds) if build in some]
    texts = []
    for _, run in groupby(enumerate(kept), lambda one: one[1][0] - one[0]):
        row = [f"{name} (emulated)" if name in emulated else name for _, (_, name) in run]
        if len(row) > _FEW_BUILDS:
            row = [f"{row[0]} … {row[-1]} ({len(row)} builds)"]
        texts += row
    return ", ".join(texts)
