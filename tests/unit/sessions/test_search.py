import pytest

from harness.model import Verdict
from harness.sessions.oracle import SAME_AS_FRESH_LOAD
from harness.sessions.script import Load, format_script
from harness.sessions.search import replay, search
from tests.unit.sessions.worlds import Planner, stage

SEEDS = range(4)  # tests/live takes twenty, on a real build


@pytest.mark.parametrize("variant", ["@A", "@B"])
def test_each_guard_bug_is_caught_and_shrinks_whatever_the_seed(variant: str) -> None:
    place = stage(Planner(variant))
    for seed in SEEDS:
        found = search(place, steps=200, seed=seed).counterexample
        assert found is not None, seed
        assert found.found_after <= 200
        assert 2 <= len(found.steps) <= 3, format_script(found.steps)
        assert all(isinstance(step, Load) for step in found.steps)
        last = found.reports[-1]
        assert [check.name for check in last.checks if not check.ok] == [SAME_AS_FRESH_LOAD]


def test_the_fixed_reference_survives_exactly_the_steps_asked_for() -> None:
    result = search(stage(Planner()), steps=330, seed=1)
    assert (result.steps, result.counterexample, result.unconfirmed) == (330, None, None)
    assert 60 < result.reloads < 300


def test_the_same_seed_finds_the_same() -> None:
    one, other = (search(stage(Planner("@A")), steps=200, seed=5) for _ in range(2))
    assert one.counterexample is not None
    assert other.counterexample is not None
    assert one.counterexample.found_after == other.counterexample.found_after
    assert one.counterexample.steps == other.counterexample.steps


def test_a_counterexample_fails_when_it_is_replayed() -> None:
    place = stage(Planner("@B"))
    found = search(place, steps=200, seed=3).counterexample
    assert found is not None
    assert replay(place, found.steps)[-1].verdict is Verdict.FAIL
    assert all(report.verdict is Verdict.PASS for report in replay(stage(Planner()), found.steps))
