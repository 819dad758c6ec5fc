"""The rules of ``rewrites.toml`` against the atlas, which was made otherwise."""

import pytest

from harness.flags.atlas import load_atlas
from harness.flags.lifetimes import live_spans
from harness.flags.rules import CONTEXT, Absent, Gone, Renamed, Values, rules

ATLAS = load_atlas()
RULES = rules()


def lives_at(flag: str, build: int) -> bool:
    return any(build in span for span in live_spans(flag, ATLAS))


def first_with(flag: str, value: str) -> int:
    lives = ATLAS.history(flag).values()
    spans = (span for life in lives for span in life.spans(lambda facts: value in facts.values))
    return min(span.first for span in spans)


@pytest.mark.parametrize("rule", RULES.renamed, ids=lambda rule: rule.new[0])
def test_old_flags_end_where_new_ones_begin(rule: Renamed) -> None:
    types = [name for name in rule.types if name] or [""]
    new = [flag.format(type=name) for flag in rule.new for name in types]
    assert all(lives_at(flag, rule.since) for flag in new)
    known = [flag for flag in rule.old if live_spans(flag, ATLAS)]
    assert all(lives_at(flag, rule.since - 1) for flag in known)
    assert not any(lives_at(flag, rule.since) for flag in known)


ARITIES = [rule for rule in RULES.values if rule.arity and not rule.forks[1:]]


@pytest.mark.parametrize("rule", ARITIES, ids=lambda rule: rule.flags[0])
def test_switches_take_a_value_where_the_atlas_has_it(rule: Values) -> None:
    # What is a switch upstream to this day takes a value in a fork.
    arities = [
        facts.arity if facts else None
        for build in (rule.since - 1, rule.since)
        for facts in [ATLAS.option(rule.flags[0], build).early]
    ]
    in_a_fork = rule.flags == ("--context-shift",)
    assert arities in ([[None, 0]] if in_a_fork else [[0, 1], [None, 1]])


def test_values_come_and_go_where_the_atlas_has_it() -> None:
    told = {
        (rule.flags[0], value): rule.since
        for rule in RULES.values
        if not rule.arity and rule.since > 9000
        for value in rule.newer.values()
        if CONTEXT not in value
    }
    first = {(flag, value): first_with(flag, value) for flag, value in told}
    assert told
    assert told == first


@pytest.mark.parametrize("rule", RULES.gone, ids=lambda rule: rule.flags[0])
def test_what_is_gone_is_gone(rule: Gone) -> None:
    for flag in rule.flags:
        assert lives_at(flag, rule.since - 1)
        assert not lives_at(flag, rule.since)


@pytest.mark.parametrize("rule", RULES.absent, ids=lambda rule: rule.flags[0])
def test_what_is_absent_comes_later(rule: Absent) -> None:
    first = min(span.first for flag in rule.flags for span in live_spans(flag, ATLAS))
    assert first == rule.since


def test_switches_of_loading_end_when_the_mode_is_all_there_is() -> None:
    loading = RULES.loading
    assert min(span.first for span in live_spans(loading.flag, ATLAS)) == loading.since
    for flag in ("--no-mmap", "--mlock", "--direct-io"):
        assert live_spans(flag, ATLAS)[-1].end == loading.gone
    told = ATLAS.option(loading.flag, 11434).early
    assert told is not None
    assert {mode.mode for mode in loading.modes} | {"auto"} == {*told.values}


def test_pull_requests_are_those_of_the_atlas() -> None:
    dated = [*RULES.renamed, *RULES.gone, *RULES.absent, *RULES.joined]
    told = {rule.since: rule.source for rule in dated if rule.source.startswith("#")}
    known = {build: commit.pr for build, commit in ATLAS.data.commits.items()}
    assert told
    assert {build: f"#{known[build]}" for build in told} == told


def test_what_is_told_of_speculation_is_told_by_the_notes() -> None:
    notes = {note.b: f"#{note.pr}" for note in ATLAS.data.notes}
    facts = RULES.speculation
    for fact in (facts.adds_up, facts.shorter_drafts, facts.draft_model_alone_ends):
        assert notes[fact.since] == fact.source
