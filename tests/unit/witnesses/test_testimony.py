"""Each witness on what real builds of each era said, and on what it must not believe."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import DraftRange, Evidence, Span
from harness.settings.observation import Observation
from harness.settings.speculation import testimony
from harness.settings.speculation.testimony import draft_span, implementation_name
from tests.unit.witnesses import recorded
from tests.unit.witnesses.recorded import observation

UNTOLD = DraftRange(n_min=None, n_max=None)


def evidence(seen: Observation, witness: str) -> Evidence:
    return next(one for one in testimony.testify(seen) if one.witness == witness)


def speaking(seen: Observation) -> set[str]:
    return {one.witness for one in testimony.testify(seen) if one.speaks}


@pytest.mark.parametrize(
    ("seen", "witnesses"),
    [
        (recorded.PY0_3_16_DRAFT, {"http-settings", "draft-limit", "step-trace"}),
        (recorded.PY0_3_16_OFF, {"http-settings"}),
        # It writes of each draft of 3 tokens that it accepted 3 of 0.
        (recorded.B7376_DRAFT, {"http-settings", "draft-limit"}),
        (
            recorded.B8929_DRAFT,
            {"http-settings", "draft-limit", "step-trace", "run-statistics"},
        ),
        (
            recorded.B9093_DRAFT,
            {"http-settings", "draft-limit", "step-trace", "run-statistics"},
        ),
        (
            recorded.B9246_MTP,
            {"http-settings", "startup-log", "step-trace", "run-statistics"},
        ),
        (
            recorded.B11434_CHAIN,
            {"http-settings", "startup-log", "step-trace", "run-statistics", "metrics"},
        ),
        (recorded.B11434_OFF, {"http-settings"}),
    ],
)
def test_who_speaks_in_which_era(seen: Observation, witnesses: set[str]) -> None:
    assert speaking(seen) == {*witnesses, "counted-drafts"}


def test_every_witness_gives_evidence_even_where_it_has_nothing_to_say() -> None:
    silent = [one for one in testimony.testify(observation(None)) if not one.speaks]
    assert len(silent) == 6
    assert all(one.configured is None and one.longest is None for one in silent)


def test_http_settings_of_the_legacy_era_tell_the_length() -> None:
    told = evidence(recorded.B8929_NGRAM, "http-settings")
    assert told.configured == {"ngram-mod": DraftRange(n_min=48, n_max=64)}


def test_http_settings_show_a_legacy_draft_model_only_in_the_slot() -> None:
    assert evidence(recorded.PY0_3_16_DRAFT, "http-settings").configured == {
        "draft-simple": DraftRange(n_min=0, n_max=5)
    }
    assert evidence(recorded.PY0_3_16_OFF, "http-settings").configured == {}


def test_http_settings_after_the_rename_tell_only_the_types() -> None:
    assert evidence(recorded.B9246_MTP, "http-settings").configured == {"draft-mtp": UNTOLD}
    assert evidence(recorded.B11434_OFF, "http-settings").configured == {}


def test_a_slot_that_does_not_speculate_outweighs_the_types() -> None:
    seen = replace(recorded.B9246_MTP, slots=({"speculative": False},))
    assert evidence(seen, "http-settings").configured == {}


@pytest.mark.parametrize("settings", [None, [], "none", 3, {"speculative.n_max": "5"}])
def test_http_settings_of_an_unknown_shape_say_nothing(settings: object) -> None:
    seen = replace(recorded.B9246_MTP, completion={"generation_settings": settings})
    assert not evidence(seen, "http-settings").speaks


def test_startup_log_reads_each_implementation_with_its_own_line() -> None:
    assert evidence(recorded.B11434_CHAIN, "startup-log").configured == {
        "ngram-mod": DraftRange(n_min=48, n_max=64),
        "draft-mtp": DraftRange(n_min=0, n_max=5),
    }


def test_startup_log_without_a_range_names_the_implementation_alone() -> None:
    seen = observation(9300, startup="adding speculative implementation 'ngram-cache'")
    assert evidence(seen, "startup-log").configured == {"ngram-cache": UNTOLD}


def test_draft_limit_is_the_longest_that_was_allowed() -> None:
    assert evidence(recorded.B8929_NGRAM, "draft-limit").longest == Span(at_least=64, at_most=64)


@pytest.mark.parametrize("build_number", [None, 9109, 11434])
def test_draft_limit_is_not_believed_where_it_no_longer_holds_the_length(
    build_number: int | None,
) -> None:
    seen = replace(recorded.B9093_DRAFT, build_number=build_number)
    assert not evidence(seen, "draft-limit").speaks


@pytest.mark.parametrize("limit", ["-3", "0"])
def test_draft_limit_of_nothing_says_nothing(limit: str) -> None:
    seen = observation(9093, run=f"slot x: max possible draft: {limit}")
    assert not evidence(seen, "draft-limit").speaks


@pytest.mark.parametrize(
    ("seen", "longest"),
    [
        (recorded.PY0_3_16_DRAFT, 5),
        (recorded.B8929_NGRAM, 64),
        (recorded.B9093_DRAFT, 5),
        (recorded.B9246_MTP, 5),
        (recorded.B11434_CHAIN, 64),
    ],
)
def test_step_trace_counts_the_longest_draft(seen: Observation, longest: int) -> None:
    assert evidence(seen, "step-trace").longest == Span(at_least=longest, at_most=longest)


def test_step_trace_of_the_fork() -> None:
    line = "accept: accepted 60 tokens from 64 drafted tokens"
    told = evidence(observation(None, run=line), "step-trace")
    assert told.longest == Span(at_least=64, at_most=64)


def test_run_statistics_keep_the_implementations_of_a_chain_apart() -> None:
    told = evidence(recorded.B11434_CHAIN, "run-statistics")
    assert told.configured == {"ngram-mod": UNTOLD, "draft-mtp": UNTOLD}
    assert told.drafted == {
        "ngram-mod": Span(at_least=48, at_most=94),
        "draft-mtp": Span(at_least=5, at_most=6),
    }


def test_run_statistics_of_an_implementation_that_never_drafted() -> None:
    line = "statistics ngram-simple: #gen drafts = 0, #acc drafts = 0, #gen tokens = 0,"
    told = evidence(observation(9246, run=line), "run-statistics")
    assert told.configured == {"ngram-simple": UNTOLD}
    assert told.drafted == {}


def test_metrics_count_positions_that_were_accepted() -> None:
    seen = observation(11434, metrics=recorded.positions(21, 21, 21, 20, 0))
    assert evidence(seen, "metrics").longest == Span(at_least=4, at_most=4)
    assert not evidence(observation(11434, metrics="# nothing"), "metrics").speaks


def test_counted_drafts_of_a_run_without_any() -> None:
    assert evidence(recorded.B11434_OFF, "counted-drafts").longest == Span(at_least=0, at_most=0)


def test_counted_drafts_are_at_least_the_mean() -> None:
    # 128 tokens, 105 of them drafted: 22 steps, so some draft had 5.
    told = evidence(recorded.B9246_MTP, "counted-drafts").longest
    assert told == Span(at_least=5, at_most=105)


def test_counted_drafts_of_the_fork_stand_in_its_log() -> None:
    timings = {"predicted_n": 128}
    line = "draft acceptance rate = 1.00000 (  105 accepted /   105 generated)"
    drafting = replace(observation(None, run=line), completion={"timings": timings}, fork=True)
    assert evidence(drafting, "counted-drafts").longest == Span(at_least=5, at_most=105)
    silent = replace(drafting, run_lines=())
    assert evidence(silent, "counted-drafts").longest == Span(at_least=0, at_most=0)
    upstream = evidence(replace(drafting, fork=False), "counted-drafts").longest
    assert upstream == Span(at_least=0, at_most=0)


@pytest.mark.parametrize(
    "timings",
    [None, {}, {"predicted_n": 0}, {"predicted_n": "128"}, {"predicted_n": 9, "draft_n": "4"}],
)
def test_counted_drafts_of_an_unknown_shape_say_nothing(timings: object) -> None:
    seen = replace(recorded.B9246_MTP, completion={"timings": timings})
    assert not evidence(seen, "counted-drafts").speaks


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("ngram_mod", "ngram-mod"),
        ("ngram - mod", "ngram-mod"),
        (" draft ", "draft-simple"),
        ("mtp", "draft-mtp"),
        ("draft-mtp", "draft-mtp"),
        ("eagle3", "draft-eagle3"),
        ("ngram_map_k4v", "ngram-map-k4v"),
    ],
)
def test_names_of_every_era_mean_the_upstream_one(spelling: str, name: str) -> None:
    assert implementation_name(spelling) == name


@given(longest=st.integers(1, 64), full=st.integers(0, 40), rest=st.integers(0, 63))
def test_the_span_holds_the_true_length_of_equal_drafts_with_a_short_last(
    longest: int, full: int, rest: int
) -> None:
    drafts = [longest] * full + [min(rest, longest)] * (rest > 0)
    if drafts:
        assert max(drafts) in draft_span(len(drafts), sum(drafts))


@given(st.lists(st.integers(1, 64), min_size=1))
def test_the_span_never_starts_above_the_longest(drafts: list[int]) -> None:
    assert draft_span(len(drafts), sum(drafts)).at_least <= max(drafts)
