"""Every check and every witness is needed for some mutant; `nox -s mutants` runs all mutants."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from harness.builds import load_catalogue
from harness.cells.qualification import open_store
from harness.model import LaunchPlan, LaunchTarget, Verdict
from harness.settings.speculation.testimony import WITNESSES
from harness.subjects import Subject
from harness.subjects.reference.generator import ReferenceSubject
from harness.verdicts.checks import CHECK_NAMES
from tests.mutants.guards import GUARD_MUTANTS, kill_guards
from tests.mutants.mutants import Mutant, all_mutants, blind_to
from tests.mutants.panel import BUILDS, SOME_REQUESTS_ON, Panel
from tests.mutants.plans import (
    PROBES,
    Change,
    ChangedPlan,
    added,
    silenced,
    valued,
    with_variable,
)
from tests.mutants.readings import Readings, kill_reading, open_readings, reading_mutants
from tests.mutants.suite import open_panel, run_mutant

MUTANTS = {mutant.name: mutant for mutant in all_mutants()}
READING_MUTANTS = {mutant.name: mutant for mutant in reading_mutants()}


@pytest.fixture(scope="module")
def panel() -> Iterator[Panel]:
    catalogue, store = load_catalogue(), open_store()
    for name in (*BUILDS, *SOME_REQUESTS_ON):
        build = catalogue.get(name)
        if not build.emulated and store.find(build) is None:
            pytest.skip(f"{name} is not in the store")
    with open_panel() as panel:
        yield panel


def test_there_are_enough_mutants_and_none_twice() -> None:
    assert len(MUTANTS) == len(all_mutants())
    assert len(READING_MUTANTS) == len(reading_mutants())
    assert len(MUTANTS) + len(GUARD_MUTANTS) >= 150
    assert len(READING_MUTANTS) >= 400
    assert {mutant.area for mutant in all_mutants()} == {
        "subject", "plan", "parser", "witness", "check",
    }  # fmt: skip


@pytest.mark.live
def test_without_a_mutant_the_good_cells_are_good_and_the_probes_bad(panel: Panel) -> None:
    subject = ReferenceSubject()
    for cell in panel.cells():
        result = panel.run(cell, subject)
        assert result.status in {Verdict.PASS, Verdict.DEGRADED}, result
    for cell in panel.probes():
        result = panel.run(cell, subject)
        failed = {check.name for check in result.checks if not check.ok}
        assert result.status in {Verdict.FAIL, Verdict.ERROR}
        assert PROBES[cell.subject.removeprefix("probe:")].check in failed


@pytest.mark.parametrize("name", GUARD_MUTANTS)
def test_every_mutant_of_the_guards_is_killed(name: str) -> None:
    assert kill_guards(GUARD_MUTANTS[name]) is not None


@pytest.fixture(scope="module")
def readings() -> Readings:
    return open_readings()


def of_settings(kind: str) -> list[str]:
    """Mutants of what all settings share, or each setting's own."""
    return [name for name in READING_MUTANTS if (":" in name) is (kind == "own")]


@pytest.mark.parametrize("name", of_settings("shared"))
def test_every_mutant_of_the_judge_of_settings_is_killed(name: str, readings: Readings) -> None:
    assert kill_reading(READING_MUTANTS[name], readings) is not None


@pytest.mark.slow
def test_every_mutant_of_each_setting_is_killed(readings: Readings) -> None:
    survivors = [
        name for name in of_settings("own") if kill_reading(READING_MUTANTS[name], readings) is None
    ]
    assert survivors == []


def test_without_a_mutant_a_recording_is_told_as_before(readings: Readings) -> None:
    assert readings.kill() is None


def beside_own_flags(plan: LaunchPlan, target: LaunchTarget) -> LaunchPlan:
    """A speculative flag more, where the last words are the user's own type."""
    own = (
        plan.argv[-2:] == ("--spec-type", "ngram-simple") and "--spec-draft-n-max" not in plan.argv
    )
    return added("--draft-p-min", "0.5")(plan, target) if own else plan


def two_spellings(plan: LaunchPlan, target: LaunchTarget) -> LaunchPlan:
    """The context under its other spelling too: nothing warns of that."""
    return added("--ctx-size", "512")(plan, target)


def unused_minimum(plan: LaunchPlan, target: LaunchTarget) -> LaunchPlan:
    """A minimum above the maximum where nothing drafts, so that no effect of it is seen."""
    drafts = {"--spec-type", "--model-draft", "--spec-default"} & {*plan.argv}
    return plan if drafts else added("--spec-draft-n-min", "48")(plan, target)


def changed(change: Change) -> Callable[[], Subject]:
    return lambda: ChangedPlan(ReferenceSubject(), change)


ONLY_KILLER: dict[str, tuple[str, Callable[[], Subject]]] = {
    "starts": ("b9246", changed(valued("-c", "many"))),
    "no-flag-twice": ("b9246", changed(two_spellings)),
    "effect": ("b9246", changed(added("--temp", "0,7"))),
    "min-not-above-max": ("b9246", changed(unused_minimum)),
    "no-warning": ("b9246", changed(with_variable("LLAMA_ARG_CTX_SIZE", "512"))),
    "only-users-speculation": ("b9246", changed(beside_own_flags)),
    "says-why": ("b8929", changed(silenced)),
    "implementations": ("b9246", MUTANTS["auto never chains"].subject),
    "draft-n-max": ("b9246", MUTANTS["length one more"].subject),
    "draft-n-min": ("b9246", MUTANTS["--spec-ngram-mod-n-min -1"].subject),
}
"""For each check a build, and a subject that only this check finds wanting there."""

KEPT = {
    "flags-offered": "every build refuses such a flag, so `starts` fails too; it names the flag "
    "and says whether it was removed, and it needs no launch",
    "two-witnesses": "it guards the harness, not the subject: the probe `silent log` would pass "
    "on the word of one witness",
}
"""Checks whose kills others share, and why they stay; told in docs/verdicts.md."""


def test_every_check_is_accounted_for() -> None:
    assert set(ONLY_KILLER) | set(KEPT) == set(CHECK_NAMES)


@pytest.mark.live
@pytest.mark.parametrize("check", ONLY_KILLER)
def test_without_a_check_some_mutant_survives(check: str, panel: Panel) -> None:
    build, subject = ONLY_KILLER[check]

    assert panel.failing(subject(), build) == {check}
    with blind_to(check):
        assert panel.failing(subject(), build) == set()


@pytest.mark.live
@pytest.mark.parametrize("check", KEPT)
def test_without_a_kept_check_some_probe_shows_less(check: str, panel: Panel) -> None:
    blind = Mutant(name="blind", area="check", context=lambda: blind_to(check))

    killed = run_mutant(blind, panel).kill

    assert killed is not None
    assert killed.check == check


ONLY_WITNESS: dict[str, tuple[str, str]] = {
    "http-settings": ("b8929", "run-statistics counts one more"),
    "draft-limit": ("b8929", "http-settings counts one more"),
    "metrics": ("b11434", "step-trace counts one more"),
    "counted-drafts": ("b9093", "step-trace counts one more"),
}
"""For each witness a build, and another's lie that it alone gives away there."""

NEEDED_WITNESSES = {"startup-log": "b9246", "run-statistics": "b9246"}
"""Witnesses without which good cells have one witness too few, and a build where that is so."""

KEPT_WITNESSES = {
    "step-trace": "the only one to tell the length of every draft on builds without `metrics`; the "
    "others bound the longest one, which has sufficed for every mutant so far",
}
"""Witnesses whose kills others share, and why they stay; told in docs/verdicts.md."""


def silent(witness: str) -> AbstractContextManager[object]:
    return MUTANTS[f"{witness} is silent"].context()


def test_every_witness_is_accounted_for() -> None:
    names = [*ONLY_WITNESS, *NEEDED_WITNESSES, *KEPT_WITNESSES]
    assert sorted(names) == sorted(witness.name for witness in WITNESSES)


@pytest.mark.live
@pytest.mark.parametrize("witness", ONLY_WITNESS)
def test_without_a_witness_some_mutant_survives(witness: str, panel: Panel) -> None:
    build, name = ONLY_WITNESS[witness]
    lie = MUTANTS[name].context

    before = panel.shows(build)
    with lie():
        assert panel.shows(build) != before

    with silent(witness):
        before = panel.shows(build)
        with lie():
            assert panel.shows(build) == before


@pytest.mark.live
@pytest.mark.parametrize("witness", NEEDED_WITNESSES)
def test_without_a_witness_good_cells_cannot_be_told(witness: str, panel: Panel) -> None:
    build = NEEDED_WITNESSES[witness]

    with silent(witness):
        verdicts = {one.verdict for one in panel.shows(build).values()}

    assert Verdict.ERROR in verdicts
    assert Verdict.FAIL not in verdicts


@pytest.mark.live
@pytest.mark.parametrize("witness", KEPT_WITNESSES)
def test_without_a_kept_witness_all_cells_are_as_they_were_but_for_its_word(
    witness: str, panel: Panel
) -> None:
    for build in BUILDS:
        before = panel.shows(build)
        with silent(witness):
            after = panel.shows(build)
        assert {one.verdict for one in before.values()} <= {Verdict.PASS, Verdict.DEGRADED}
        for key, one in after.items():
            assert one.speaking == before[key].speaking - {witness}
            assert one.verdict is before[key].verdict
