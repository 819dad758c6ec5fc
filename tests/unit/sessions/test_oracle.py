from dataclasses import replace

import pytest

from harness.model import DraftRange, LoadRequest, Speculation, Verdict
from harness.sessions.oracle import (
    NO_NEEDLESS_RELOAD,
    SAME_AS_FRESH_LOAD,
    SAYS_IT_DIED,
    FreshLoads,
    Oracle,
    judge_look,
)
from harness.sessions.runner import Runner, StepReport
from harness.sessions.script import Interruption, Load, Step
from harness.sessions.servers import Memory, RememberedServers
from harness.settings.base import EffectiveState
from harness.subjects.reference.guards import Guards, LoadedState
from tests.unit.sessions.worlds import (
    PaperServers,
    Planner,
    Refusing,
    session,
    stage,
    surroundings,
)

MTP = LoadRequest(model="tiny-mtp", mode="mtp")


class NeverMatches(Guards):
    def route_matches(self, request: LoadRequest, loaded: LoadedState) -> bool:  # noqa: ARG002
        return False

    def backend_matches(self, request: LoadRequest, loaded: LoadedState) -> bool:  # noqa: ARG002
        return False


class AlwaysMatches(NeverMatches):
    def backend_matches(self, request: LoadRequest, loaded: LoadedState) -> bool:  # noqa: ARG002
        return True


def run(planner: Planner, *steps: Step) -> list[StepReport]:
    place = stage(planner)
    one = place.real()
    try:
        return list(Runner(one, place.oracle).run(steps))
    finally:
        one.close()


def failed(report: StepReport) -> list[str]:
    return [check.name for check in report.checks if not check.ok]


def loads(*requests: LoadRequest) -> list[Step]:
    return [Load(request=request) for request in requests]


@pytest.mark.parametrize(
    "change",
    [
        {"draft_n_max": 4},
        {"mode": "off"},
        {"model": "tiny-llama"},
        {"context_length": 1024},
        {"cache_type": "q8_0"},
        {"extra_args": ("--spec-type", "ngram-mod")},
    ],
    ids=str,
)
def test_a_guard_that_keeps_what_differs_is_caught(change: dict[str, object]) -> None:
    changed = replace(MTP, **change)  # type: ignore[arg-type]
    first, second = run(Planner(guards=AlwaysMatches()), *loads(MTP, changed))
    assert first.verdict is Verdict.PASS
    assert (second.verdict, failed(second)) == (Verdict.FAIL, [SAME_AS_FRESH_LOAD])
    fixed = run(Planner(), *loads(MTP, changed))
    assert [report.verdict for report in fixed] == [Verdict.PASS] * 2


@pytest.mark.parametrize(
    ("running", "request_"),
    [
        (MTP, MTP),
        (MTP, replace(MTP, mode=" Draft-MTP ")),
        (replace(MTP, mode=None), replace(MTP, mode="auto")),
        (replace(MTP, mode="ngram", draft_n_max=5), replace(MTP, mode="ngram", draft_n_max=9)),
        (replace(MTP, mode="off"), replace(MTP, mode="none", draft_n_max=2)),
        (
            replace(MTP, extra_args=("--spec-type", "draft-mtp")),
            replace(MTP, extra_args=("--spec-type", "draft-mtp"), mode="off", draft_n_max=7),
        ),
    ],
)
def test_a_guard_that_reloads_for_nothing_is_caught(
    running: LoadRequest, request_: LoadRequest
) -> None:
    _, second = run(Planner(guards=NeverMatches()), *loads(running, request_))
    assert (second.verdict, failed(second)) == (Verdict.FAIL, [NO_NEEDLESS_RELOAD])
    fixed = run(Planner(), *loads(running, request_))
    assert [report.verdict for report in fixed] == [Verdict.PASS] * 2


def test_a_length_that_was_not_given_differs_from_the_default_in_figures() -> None:
    place = surroundings()
    oracle = Oracle(
        FreshLoads(Planner(), place, RememberedServers(PaperServers(), place, Memory())), place
    )
    assert oracle.what_matters(MTP) != oracle.what_matters(replace(MTP, draft_n_max=3))


def test_the_load_after_a_death_is_no_needless_reload() -> None:
    reports = run(Planner(), Load(request=MTP), Interruption.KILL, Load(request=MTP))
    assert [report.verdict for report in reports] == [Verdict.PASS] * 3
    assert [check.name for check in reports[1].checks if check.ok][-1] == SAYS_IT_DIED
    assert reports[2].outcome is not None
    assert reports[2].outcome.reloaded


def test_a_refusal_must_leave_what_runs() -> None:
    reports = run(Refusing(), *loads(MTP, replace(MTP, draft_n_max=13), MTP))
    assert [report.verdict for report in reports] == [Verdict.PASS] * 3
    assert reports[1].after.request == MTP


def test_a_launch_is_made_once_whatever_its_port() -> None:
    place, paper = surroundings(), PaperServers()
    fresh = FreshLoads(Planner(), place, RememberedServers(paper, place, Memory()))
    assert fresh.of(MTP) == fresh.of(replace(MTP, mode="draft-mtp"))
    assert len(paper.started) == 1
    assert paper.running() == []


def test_one_kept_load_in_so_many_is_observed_again_and_the_last() -> None:
    place = stage(Planner())
    runner = Runner(session(), place.oracle, look_again_every=3)
    looked = [report.looked_again for report in runner.run(loads(*[MTP] * 9))]
    assert looked == [False, False, False, True, False, False, True, False, True]


DRAFTS = Speculation(implementations={"draft-mtp": DraftRange(n_min=0, n_max=5)})
STATE = {"speculation": DRAFTS, "context": 512, "slots": 1, "temperature": 0.8}


@pytest.mark.parametrize(
    ("loaded", "seen", "expected", "observed"),
    [
        (STATE, STATE, "draft-mtp 0…5", "draft-mtp 0…5"),
        (
            STATE,
            {**STATE, "slots": 4},
            "draft-mtp 0…5, slots 1",
            "draft-mtp 0…5, slots 4",
        ),
        (
            STATE,
            {**STATE, "temperature": 0.5, "metrics": True},
            "draft-mtp 0…5, temperature 0.8",
            "draft-mtp 0…5, temperature 0.5, metrics on",
        ),
        (STATE, None, "draft-mtp 0…5", "nothing loaded"),
        (None, None, "nothing loaded", "nothing loaded"),
    ],
)
def test_every_setting_is_compared_and_only_what_differs_is_told(
    loaded: EffectiveState | None, seen: EffectiveState | None, expected: str, observed: str
) -> None:
    check = judge_look(loaded, seen)
    assert (check.expected, check.observed) == (expected, observed)
    assert check.ok is (expected == observed)


def test_a_session_blames_no_subject_for_what_too_few_witnesses_tell() -> None:
    place = surroundings()
    oracle = Oracle(
        FreshLoads(Planner(), place, RememberedServers(PaperServers(), place, Memory())), place
    )
    long = DraftRange(n_min=0, n_max=3)
    seen = Speculation(implementations={"draft-mtp": long}, witnessed_by={"draft-mtp": ("one",)})
    assert oracle.contract_remarks(MTP, {"speculation": seen}) == ()
    wrong = replace(seen, implementations={"draft-mtp": replace(long, n_max=9)})
    (remark,) = oracle.contract_remarks(MTP, {"speculation": wrong})
    assert remark == "draft-mtp n_max 9, against the contract: draft-mtp n_max 3"
