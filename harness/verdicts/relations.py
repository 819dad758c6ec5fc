"""Differential relations: what must hold between two cells, whatever the contract says of each.

Judged are pairs of cells that are good on their own: a bad cell has been reported already. That a
guarded reload equals a fresh load is checked where loads are made, by ``harness.sessions``.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from harness.builds import Catalogue
from harness.model import GOOD, CellResult, DemandedBy, DraftRange, Flavour, Mode, Verdict
from harness.settings.speculation.contract import DRAFT_SIMPLE, NGRAM_MOD, canonical_mode

EQUAL_CAPABILITIES: Final = "equal-capabilities"
HOST_CHANGES_DEFAULTS_ONLY: Final = "host-changes-defaults-only"
ALIAS: Final = "alias"
TWO_RUNS: Final = "two-runs"

RELATIONS: Final[Mapping[str, str]] = {
    EQUAL_CAPABILITIES: "builds of equal capabilities do the same",
    HOST_CHANGES_DEFAULTS_ONLY: "a GPU changes only the default length, and the chain of auto",
    ALIAS: "an alias does what its canonical mode does",
    TWO_RUNS: "two runs of a cell are equal",
}
"""Each relation and what it says."""

_Key = Callable[[CellResult], Hashable]
"""What two cells must share to be a pair."""

_WITH_LENGTH: Final = frozenset({"draft-mtp", DRAFT_SIMPLE})


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One relation over one pair of cells.

    Attributes:
        name: Which relation.
        one: Id of a cell.
        other: Id of the cell it is held against.
        difference: What differs; None where the relation holds.
    """

    name: str
    one: str
    other: str
    difference: str | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether it holds."""
        return Verdict.PASS if self.difference is None else Verdict.FAIL


def judge_relations(results: Sequence[CellResult], catalogue: Catalogue) -> tuple[Relation, ...]:
    """Every relation over the pairs that these results have."""
    good = [one for one in results if one.status in GOOD and one.drafts is not None]
    # What a GPU and another word for a mode may change is Studio's policy.
    contracted = [one for one in good if one.demanded_by is DemandedBy.CONTRACT]
    return (
        *_chained(EQUAL_CAPABILITIES, _by_capabilities(good, catalogue)),
        *_over_hosts(contracted),
        *_chained(ALIAS, _by(contracted, _but_for_spelling)),
        *_chained(TWO_RUNS, _by(good, lambda result: result.id)),
    )


def _chained(name: str, groups: Iterable[Sequence[CellResult]]) -> Iterator[Relation]:
    """Neighbours of each group; equality carries over to the others."""
    for group in groups:
        for one, other in pairwise(group):
            yield Relation(
                name=name, one=one.id, other=other.id, difference=_difference(one, other)
            )


def _over_hosts(results: Sequence[CellResult]) -> Iterator[Relation]:
    for group in _by(results, _but_for_environment):
        for one, other in pairwise(sorted(group, key=_has_gpu)):
            if _has_gpu(one) != _has_gpu(other):
                difference = _difference_by_host(one, other)
            else:
                difference = _difference(one, other)
            yield Relation(
                name=HOST_CHANGES_DEFAULTS_ONLY,
                one=one.id,
                other=other.id,
                difference=difference,
            )


def _by_capabilities(results: Sequence[CellResult], catalogue: Catalogue) -> list[list[CellResult]]:
    facts = {build.id: build.expected for build in catalogue.builds if build.expected}
    comparable = [result for result in results if result.build in facts]
    return _by(
        comparable,
        lambda result: (
            facts[result.build],
            result.emulated,
            result.subject,
            result.environment,
            result.request,
        ),
        one_of=lambda result: result.build,
    )


def _by(
    results: Sequence[CellResult],
    key: _Key,
    *,
    one_of: _Key | None = None,
) -> list[list[CellResult]]:
    groups: dict[Hashable, list[CellResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    if one_of is not None:
        groups = {
            name: list({one_of(result): result for result in group}.values())
            for name, group in groups.items()
        }
    return [group for group in groups.values() if len(group) > 1]


def _but_for_spelling(result: CellResult) -> Hashable:
    return (
        result.build,
        result.subject,
        result.environment,
        replace(result.request, mode=canonical_mode(result.request.mode).value),
    )


def _but_for_environment(result: CellResult) -> Hashable:
    return result.build, result.subject, result.request


def _has_gpu(result: CellResult) -> bool:
    return result.host is not None and result.host.has_gpu


def _difference(one: CellResult, other: CellResult) -> str | None:
    """What differs in the effective states; a length that nobody told equals every length."""
    mine, theirs = _states(one, other)
    if set(mine) != set(theirs):
        return f"{_named(mine)} against {_named(theirs)}"
    for name in sorted(mine):
        if not _same(mine[name], theirs[name]):
            return f"{name} {_range(mine[name])} against {_range(theirs[name])}"
    return None


def _difference_by_host(without: CellResult, with_gpu: CellResult) -> str | None:
    """The same, but for the default length, and for ngram-mod that auto adds without a GPU."""
    mine, theirs = _states(without, with_gpu)
    if canonical_mode(without.request.mode) is Mode.AUTO and set(mine) == {*theirs, NGRAM_MOD}:
        mine = {name: length for name, length in mine.items() if name in theirs}
    if set(mine) != set(theirs):
        return f"{_named(mine)} against {_named(theirs)}"
    for name in sorted(mine):
        defaulted = without.request.draft_n_max is None and _takes_length(name, without)
        if not defaulted and not _same(mine[name], theirs[name]):
            return f"{name} {_range(mine[name])} against {_range(theirs[name])}"
    return None


def _takes_length(name: str, result: CellResult) -> bool:
    """Whether the draft length of the request reaches it; legacy chains share one length."""
    shared = result.flavour is Flavour.LEGACY and len(result.drafts or {}) > 1
    return name in _WITH_LENGTH or shared


def _states(
    one: CellResult, other: CellResult
) -> tuple[Mapping[str, DraftRange], Mapping[str, DraftRange]]:
    return one.drafts or {}, other.drafts or {}


def _same(one: DraftRange, other: DraftRange) -> bool:
    return all(
        None in pair or pair[0] == pair[1]
        for pair in ((one.n_min, other.n_min), (one.n_max, other.n_max))
    )


def _range(length: DraftRange) -> str:
    told = ["?" if n is None else str(n) for n in (length.n_min, length.n_max)]
    return "…".join(told)


def _named(state: Mapping[str, DraftRange]) -> str:
    return " and ".join(sorted(state)) or "nothing on"
