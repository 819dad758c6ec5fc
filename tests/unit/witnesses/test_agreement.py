"""From evidence to the effective state: agreement, contradiction, clamps, chains and idleness."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import Basis, DraftRange, Evidence, Span
from harness.settings.base import DisagreementError
from harness.settings.observation import Observation
from harness.settings.speculation import testimony
from harness.settings.speculation.agreement import agree
from tests.unit.witnesses import recorded


def length(n_max: int | None = None, n_min: int | None = None) -> DraftRange:
    return DraftRange(n_min=n_min, n_max=n_max)


def settings(name: str = "log", **configured: DraftRange) -> Evidence:
    return Evidence(
        witness=name,
        basis=Basis.SETTINGS,
        configured={key.replace("_", "-"): value for key, value in configured.items()},
    )


def limit(longest: int) -> Evidence:
    span = Span(at_least=longest, at_most=longest)
    return Evidence(witness="limit", basis=Basis.SETTINGS, longest=span)


def counted(at_least: int, at_most: int | None = None, name: str = "counted") -> Evidence:
    span = Span(at_least=at_least, at_most=at_least if at_most is None else at_most)
    return Evidence(witness=name, basis=Basis.BEHAVIOUR, longest=span)


def statistics(**drafted: Span | None) -> Evidence:
    names = {key.replace("_", "-"): span for key, span in drafted.items()}
    return Evidence(
        witness="statistics",
        basis=Basis.BEHAVIOUR,
        configured=dict.fromkeys(names, length()),
        drafted={key: span for key, span in names.items() if span is not None},
    )


def silent(basis: Basis = Basis.SETTINGS) -> Evidence:
    return Evidence(witness="silent", basis=basis, speaks=False)


@pytest.mark.parametrize(
    ("seen", "effective", "supporters"),
    [
        (recorded.PY0_3_16_DRAFT, {"draft-simple": length(5, 0)}, 4),
        (recorded.B8929_DRAFT, {"draft-simple": length(5, 0)}, 5),
        (recorded.B8929_NGRAM, {"ngram-mod": length(64, 48)}, 5),
        (recorded.B9093_DRAFT, {"draft-simple": length(5)}, 4),
        (recorded.B9246_MTP, {"draft-mtp": length(5, 0)}, 4),
    ],
)
def test_recorded_runs(
    seen: Observation, effective: dict[str, DraftRange], supporters: int
) -> None:
    state = agree(testimony.testify(seen))
    assert state.implementations == effective
    assert state.idle == ()
    assert [len(names) for names in state.witnessed_by.values()] == [supporters]


def test_a_recorded_chain() -> None:
    state = agree(testimony.testify(recorded.B11434_CHAIN))
    assert state.implementations == {"draft-mtp": length(5, 0), "ngram-mod": length(64, 48)}
    assert state.witnessed_by["draft-mtp"] == ("startup-log", "run-statistics")
    assert set(state.witnessed_by["ngram-mod"]) >= {"startup-log", "step-trace", "metrics"}


@pytest.mark.parametrize("seen", [recorded.PY0_3_16_OFF, recorded.B11434_OFF])
def test_nothing_on(seen: Observation) -> None:
    state = agree(testimony.testify(seen))
    assert (state.implementations, state.witnessed_by, state.idle) == ({}, {}, ())


def test_behaviour_below_a_setting_is_a_clamp_and_counts() -> None:
    state = agree([settings(draft_mtp=length(16, 0)), counted(9), counted(9, name="steps")])
    assert state.implementations == {"draft-mtp": length(9, 0)}
    assert state.witnessed_by["draft-mtp"] == ("counted", "steps")


def test_a_limit_below_the_setting_is_a_clamp_too() -> None:
    state = agree([settings(draft_simple=length(16)), limit(7), counted(5, 90)])
    assert state.implementations["draft-simple"].n_max == 7
    assert state.witnessed_by["draft-simple"] == ("limit", "counted")


def test_what_is_set_up_but_never_drafts_is_idle() -> None:
    state = agree([settings(draft_mtp=length(5), ngram_mod=length(64)), counted(0)])
    assert state.implementations == {}
    assert state.idle == ("draft-mtp", "ngram-mod")


def test_one_half_of_a_chain_may_be_idle() -> None:
    evidence = [
        settings(draft_mtp=length(5), ngram_mod=length(64)),
        statistics(draft_mtp=Span(at_least=5, at_most=5), ngram_mod=None),
        counted(5),
    ]
    state = agree(evidence)
    assert set(state.implementations) == {"draft-mtp"}
    assert state.idle == ("ngram-mod",)


def test_some_implementations_need_not_be_seen_drafting() -> None:
    state = agree([settings(ngram_simple=length(48)), counted(0)])
    assert state.implementations == {"ngram-simple": length(48)}
    assert state.idle == ()


def test_a_length_that_nobody_tells_stays_open() -> None:
    state = agree([settings(draft_mtp=length()), counted(5, 105)])
    assert state.implementations == {"draft-mtp": length()}
    assert state.witnessed_by == {"draft-mtp": ("log",)}


def test_exact_statistics_tell_a_length_that_no_setting_does() -> None:
    exact = statistics(
        draft_mtp=Span(at_least=5, at_most=5), ngram_mod=Span(at_least=9, at_most=90)
    )
    state = agree([settings(draft_mtp=length(), ngram_mod=length()), exact, counted(64)])
    assert state.implementations == {"draft-mtp": length(5), "ngram-mod": length()}


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ([], "no witness of behaviour"),
        ([settings(draft_mtp=length(5))], "no witness of behaviour"),
        ([settings(draft_mtp=length(5)), silent(Basis.BEHAVIOUR)], "no witness of behaviour"),
        (
            [settings(draft_mtp=length(5)), settings("http", ngram_mod=length(5)), counted(5)],
            "log says draft-mtp is set up, http says ngram-mod",
        ),
        (
            [settings(draft_mtp=length(5)), settings("http", draft_mtp=length(4)), counted(5)],
            "http says 4 for draft-mtp",
        ),
        (
            [
                settings(draft_mtp=length(5, 0)),
                settings("http", draft_mtp=length(5, 2)),
                counted(5),
            ],
            "http says 2 for draft-mtp",
        ),
        ([settings(draft_mtp=length(5)), counted(5), counted(0, name="other")], "saw none"),
        (
            [settings(draft_mtp=length(5)), counted(5), counted(4, name="other")],
            "longest draft of 4",
        ),
        ([settings(draft_mtp=length(5)), counted(5), counted(6, 9, name="o")], "6 to 9"),
        ([counted(5)], "no witness can say who"),
        ([settings(), counted(5)], "no witness can say who"),
        (
            [
                settings(draft_mtp=length(5)),
                Evidence(
                    witness="statistics",
                    basis=Basis.BEHAVIOUR,
                    drafted={"ngram-mod": Span(at_least=5, at_most=5)},
                ),
            ],
            "ngram-mod drafted, but draft-mtp is what is set up",
        ),
    ],
)
def test_contradictions_are_told_and_never_settled(evidence: list[Evidence], words: str) -> None:
    with pytest.raises(DisagreementError, match=words):
        agree(evidence)


lengths = st.integers(1, 64)


@given(n_max=lengths, seen=lengths, order=st.permutations(range(4)))
def test_the_order_of_the_witnesses_changes_nothing(
    n_max: int, seen: int, order: list[int]
) -> None:
    evidence = [
        settings(draft_mtp=length(n_max, 0)),
        counted(seen, name="steps"),
        statistics(draft_mtp=Span(at_least=1, at_most=seen)),
        silent(),
    ]
    shuffled = [evidence[place] for place in order]
    one, other = agree(evidence), agree(shuffled)
    assert one.implementations == other.implementations
    assert {name: set(who) for name, who in one.witnessed_by.items()} == {
        name: set(who) for name, who in other.witnessed_by.items()
    }


@given(n_max=lengths, seen=lengths)
def test_no_more_is_ever_claimed_than_was_set_and_seen(n_max: int, seen: int) -> None:
    state = agree([settings(draft_mtp=length(n_max)), counted(seen)])
    assert state.implementations["draft-mtp"].n_max == min(n_max, seen)


@given(n_max=lengths, low=lengths, more=st.integers(0, 64))
def test_a_supporter_always_allows_the_length_it_supports(n_max: int, low: int, more: int) -> None:
    span = counted(low, low + more)
    state = agree([settings(draft_mtp=length(n_max)), span])
    effective = state.implementations["draft-mtp"].n_max
    assert span.longest is not None
    assert effective is not None
    assert ("counted" in state.witnessed_by["draft-mtp"]) == (effective in span.longest)
