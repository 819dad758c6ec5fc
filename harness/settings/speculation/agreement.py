"""From what the witnesses saw, one by one, to the effective state that they agree on."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness.model import Basis, DraftRange, Evidence, Speculation
from harness.settings.base import DisagreementError

_UNKNOWN: Final = DraftRange(n_min=None, n_max=None)

NEVER_SEEN_DRAFTING: Final = frozenset({"ngram-simple", "ngram-map-k", "ngram-map-k4v"})
"""Implementations that a constant text never makes draft.

They copy what followed the latest earlier occurrence of the last tokens; where all tokens are
equal that occurrence is one token back and what followed it is too short to be a draft. Being set
up is all that can be seen of them.
"""


def agree(evidence: Sequence[Evidence]) -> Speculation:
    """The effective state that all evidence supports.

    Settings say which implementations are set up and with which lengths; behaviour says which of
    them draft, and how far. What is set up but never drafts is idle, not on: a user gets nothing
    from it. Where behaviour stays below a setting the server clamped it, and behaviour counts.

    Raises:
        DisagreementError: Witnesses contradict each other, or none of them speaks.
    """
    speaking = [witness for witness in evidence if witness.speaks]
    settings = [witness for witness in speaking if witness.basis is Basis.SETTINGS]
    behaviour = [witness for witness in speaking if witness.basis is Basis.BEHAVIOUR]
    if not behaviour:
        raise DisagreementError("no witness of behaviour speaks on this build")
    configured = _configured(speaking)
    drafting = _names_drafting(configured, behaviour) if _seen_drafting(behaviour) else frozenset()
    names = drafting | (NEVER_SEEN_DRAFTING & set(configured or ()))
    longest = _exact_longest(behaviour)
    implementations: dict[str, DraftRange] = {}
    for name in sorted(names):
        known = (configured or {}).get(name, _UNKNOWN)
        n_max = known.n_max
        if drafting == {name}:
            n_max = _least_known(n_max, _limit(settings), longest)
        if n_max is None:
            n_max = _drafted_exactly(name, behaviour)
        implementations[name] = DraftRange(n_min=known.n_min, n_max=n_max)
    return Speculation(
        implementations=implementations,
        witnessed_by={
            name: _supporters(name, length, implementations, speaking)
            for name, length in implementations.items()
        },
        idle=tuple(sorted(set(configured or ()) - names)),
    )


def _configured(speaking: Sequence[Evidence]) -> Mapping[str, DraftRange] | None:
    """What is set up, merged over all witnesses; None where none of them names it."""
    naming = [witness for witness in speaking if witness.configured is not None]
    if not naming:
        return None
    merged: dict[str, DraftRange] = {}
    first = naming[0]
    assert first.configured is not None
    for witness in naming:
        assert witness.configured is not None
        if set(witness.configured) != set(first.configured):
            raise DisagreementError(
                f"{first.witness} says {_listed(first.configured)} is set up, "
                f"{witness.witness} says {_listed(witness.configured)}"
            )
        for name, length in witness.configured.items():
            merged[name] = _merge(name, merged.get(name, _UNKNOWN), length, witness.witness)
    return merged


def _merge(name: str, known: DraftRange, told: DraftRange, witness: str) -> DraftRange:
    for one, other in ((known.n_max, told.n_max), (known.n_min, told.n_min)):
        if one is not None and other is not None and one != other:
            raise DisagreementError(f"{witness} says {other} for {name}, another witness {one}")
    return DraftRange(
        n_min=told.n_min if known.n_min is None else known.n_min,
        n_max=told.n_max if known.n_max is None else known.n_max,
    )


def _seen_drafting(behaviour: Sequence[Evidence]) -> bool:
    drafting: list[str] = []
    not_drafting: list[str] = []
    for witness in behaviour:
        if witness.longest is not None:
            drafts = witness.longest.at_most > 0
        elif witness.drafted is not None:
            drafts = bool(witness.drafted)
        else:
            continue
        (drafting if drafts else not_drafting).append(witness.witness)
    if drafting and not_drafting:
        raise DisagreementError(
            f"{', '.join(drafting)} saw drafts, {', '.join(not_drafting)} saw none"
        )
    return bool(drafting)


def _names_drafting(
    configured: Mapping[str, DraftRange] | None, behaviour: Sequence[Evidence]
) -> frozenset[str]:
    drafted = [frozenset(witness.drafted) for witness in behaviour if witness.drafted is not None]
    if configured is not None and drafted:
        stray = drafted[0] - set(configured)
        if stray:
            raise DisagreementError(
                f"{_listed(stray)} drafted, but {_listed(configured)} is what is set up"
            )
        return drafted[0]
    if drafted:
        return drafted[0]
    if configured:
        return frozenset(configured)
    raise DisagreementError("drafts were counted, but no witness can say who made them")


def _exact_longest(behaviour: Sequence[Evidence]) -> int | None:
    spans = [witness for witness in behaviour if witness.longest is not None]
    exact: int | None = None
    for witness in spans:
        assert witness.longest is not None
        if witness.longest.at_least == witness.longest.at_most:
            if exact is not None and witness.longest.at_least != exact:
                raise DisagreementError(
                    f"{witness.witness} counted a longest draft of {witness.longest.at_least}, "
                    f"another witness {exact}"
                )
            exact = witness.longest.at_least
    if exact is not None:
        for witness in spans:
            assert witness.longest is not None
            if exact not in witness.longest:
                raise DisagreementError(
                    f"{witness.witness} saw a longest draft of {witness.longest.at_least} to "
                    f"{witness.longest.at_most}, another witness {exact}"
                )
    return exact


def _limit(settings: Sequence[Evidence]) -> int | None:
    return _least_known(*(one.longest.at_most if one.longest else None for one in settings))


def _drafted_exactly(name: str, behaviour: Sequence[Evidence]) -> int | None:
    for witness in behaviour:
        span = (witness.drafted or {}).get(name)
        if span is not None and span.at_least == span.at_most:
            return span.at_least
    return None


def _least_known(*lengths: int | None) -> int | None:
    return min((length for length in lengths if length is not None), default=None)


def _supporters(
    name: str,
    length: DraftRange,
    implementations: Mapping[str, DraftRange],
    speaking: Sequence[Evidence],
) -> tuple[str, ...]:
    n_max = length.n_max
    if n_max is None:
        return tuple(
            witness.witness
            for witness in speaking
            if name in (witness.configured or {}) or name in (witness.drafted or {})
        )
    longest_of_all = max(one.n_max or 0 for one in implementations.values()) == n_max
    return tuple(
        witness.witness
        for witness in speaking
        if _supports(witness, name, n_max, longest_of_all=longest_of_all)
    )


def _supports(witness: Evidence, name: str, n_max: int, *, longest_of_all: bool) -> bool:
    told = (witness.configured or {}).get(name, _UNKNOWN).n_max
    if told is not None:
        return told == n_max
    if witness.drafted is not None and name in witness.drafted:
        return n_max in witness.drafted[name]
    return longest_of_all and witness.longest is not None and n_max in witness.longest


def _listed(names: object) -> str:
    assert isinstance(names, Mapping | frozenset | set)
    return " and ".join(sorted(names)) or "nothing"
