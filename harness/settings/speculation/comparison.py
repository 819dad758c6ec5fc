"""What is demanded of speculation against what is effective: the checks, and whom they blame."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.flags import families
from harness.flags.arguments import Argument
from harness.model import Check, DraftRange, Speculation
from harness.settings.base import EFFECT
from harness.settings.speculation.agreement import NEVER_SEEN_DRAFTING
from harness.settings.speculation.contract import Expectation, ExpectedDraft

IMPLEMENTATIONS: Final = "implementations"
DRAFT_N_MAX: Final = "draft-n-max"
DRAFT_N_MIN: Final = "draft-n-min"
TWO_WITNESSES: Final = "two-witnesses"
WITNESSES_NEEDED: Final = 2

_LENGTHS: Final[Mapping[str, tuple[families.Family, ...]]] = {
    "draft-mtp": (families.DRAFT_MAX,),
    "draft-simple": (families.DRAFT_MAX,),
    "ngram-mod": (families.NGRAM_MOD_MAX, families.DRAFT_MAX),
}
"""What sets an implementation's length, since and before b8955."""


def compare(
    expectation: Expectation, state: Speculation, arguments: Sequence[Argument]
) -> list[Check]:
    """What is effective against what is demanded; a bad check names who set it so."""
    if not expectation.exactly:
        return [
            Check(name=EFFECT, expected="what is asked for is so", observed=lack, ok=False)
            for lack in missing(expectation.implementations, state)
        ]
    expected = expectation.implementations
    checks = [_implementations(state, expected, arguments)]
    for name, draft in expected.items():
        observed = state.implementations.get(name)
        if observed is not None:
            checks += _range(name, draft, observed, arguments)
    checks += [
        _min_below_max(name, observed)
        for name, observed in state.implementations.items()
        if observed.n_min is not None and observed.n_max is not None
    ]
    return [*checks, *_witnesses(state, expected)]


def missing(asked: Mapping[str, ExpectedDraft], state: Speculation) -> tuple[str, ...]:
    """What is asked for and not so, one sentence each."""
    said = []
    for name, draft in asked.items():
        effective = state.implementations.get(name)
        if effective is None:
            said.append(f"{name} is asked for and never drafts")
        elif None not in (draft.n_max, effective.n_max) and draft.n_max != effective.n_max:
            said.append(f"{name} drafts {effective.n_max} tokens at most, not {draft.n_max}")
    return tuple(said)


def _witnesses(state: Speculation, expected: Mapping[str, ExpectedDraft]) -> list[Check]:
    """Two independent witnesses for every implementation that is on, and for its length."""
    return [
        _two_witnesses(name, witnesses, state, expected.get(name, ExpectedDraft()))
        for name, witnesses in state.witnessed_by.items()
    ]


def _two_witnesses(
    name: str, witnesses: Sequence[str], state: Speculation, expected: ExpectedDraft
) -> Check:
    n_max = state.implementations[name].n_max
    untold = expected.n_max is not None and n_max is None
    # What never drafts is only seen set up, in ik_llama.cpp by its statistics alone.
    needed = 1 if name in NEVER_SEEN_DRAFTING and n_max is None else WITNESSES_NEEDED
    told = ", ".join(witnesses) or "none"
    return Check(
        name=TWO_WITNESSES,
        expected=f"{needed} witnesses or more for {name}",
        observed=f"{told}, but nobody tells its n_max" if untold else told,
        ok=len(witnesses) >= needed and not untold,
    )


def _implementations(
    state: Speculation, expected: Mapping[str, ExpectedDraft], arguments: Sequence[Argument]
) -> Check:
    observed = _named(state.implementations)
    idle = f"; set up but never drafting: {_named(state.idle)}" if state.idle else ""
    right = set(state.implementations) == set(expected)
    return Check(
        name=IMPLEMENTATIONS,
        expected=_named(expected),
        observed=f"{observed}{idle}",
        ok=right,
        argument=None if right else families.written(families.SPECULATION_SWITCHES, arguments),
    )


def _range(
    name: str, expected: ExpectedDraft, observed: DraftRange, arguments: Sequence[Argument]
) -> list[Check]:
    checks = []
    # A length that nobody tells is the witnesses' failure, not the subject's.
    if expected.n_max is not None and observed.n_max is not None:
        right = observed.n_max == expected.n_max
        checks.append(
            Check(
                name=DRAFT_N_MAX,
                expected=f"{name} n_max {expected.n_max}",
                observed=f"{name} n_max {observed.n_max}",
                ok=right,
                argument=None if right else families.written(_LENGTHS.get(name, ()), arguments),
            )
        )
    if expected.n_min is not None and observed.n_min is not None:
        checks.append(
            Check(
                name=DRAFT_N_MIN,
                expected=f"{name} n_min {expected.n_min}",
                observed=f"{name} n_min {observed.n_min}",
                ok=observed.n_min == expected.n_min,
            )
        )
    return checks


def _min_below_max(name: str, observed: DraftRange) -> Check:
    return Check(
        name=DRAFT_N_MIN,
        expected=f"{name} n_min at most n_max",
        observed=f"{name} n_min {_told(observed.n_min)}, n_max {_told(observed.n_max)}",
        ok=(observed.n_min or 0) <= (observed.n_max or 0),
    )


def _named(names: Iterable[str]) -> str:
    return " and ".join(sorted(names)) or "nothing on"


def _told(length: int | None) -> str:
    return "unknown" if length is None else str(length)
