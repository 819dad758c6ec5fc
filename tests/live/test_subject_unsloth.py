"""Unsloth Studio itself, on real builds; needs a package index for the ``unsloth`` wheel."""

import pytest

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.model import Cell, CellResult, LaunchTarget, LoadRequest, Mode, Verdict
from harness.server.ports import reserved_port
from harness.subjects.unsloth import UnslothSubject
from tests.live.altered import bad_checks

pytestmark = pytest.mark.live

BEFORE, AFTER = "unsloth==2026.5.5", "unsloth==2026.10.9"
FORCED_NGRAM = (
    *("--spec-type", "ngram-mod", "--spec-ngram-mod-n-match", "24"),
    *("--spec-ngram-mod-n-min", "48", "--spec-ngram-mod-n-max", "64"),
)


def judged(
    workbench: Workbench,
    subject: str,
    mode: str,
    *,
    build: str = "b9246",
    environment: str = "cpu",
    model: str = "tiny-mtp",
    draft_n_max: int | None = None,
) -> CellResult:
    wish = LoadRequest(model=model, mode=mode, draft_n_max=draft_n_max)
    cell = Cell(build=build, subject=subject, environment=environment, request=wish)
    return run_cell(cell, workbench)


def target(workbench: Workbench, environment: str) -> LaunchTarget:
    build = workbench.build("b9246")
    with reserved_port() as port:
        return LaunchTarget(
            binary=build.binary,
            model=workbench.models["tiny-mtp"],
            port=port,
            env={**workbench.environment(environment).variables, **build.env},
        )


def has(argv: tuple[str, ...], *words: str) -> bool:
    return any(argv[i : i + len(words)] == words for i in range(len(argv)))


@pytest.mark.parametrize("subject", [BEFORE, AFTER])
def test_the_gpu_is_found_in_the_cells_environment_whatever_came_before(
    workbench: Workbench, subject: str
) -> None:
    wish = LoadRequest(model="tiny-mtp", mode="mtp")
    for environment, length in (("cpu", "3"), ("cuda-spoof", "2"), ("cpu", "3")):
        plan = workbench.subject(subject).plan(wish, target(workbench, environment))
        assert has(plan.argv, "--spec-type", "draft-mtp", "--spec-draft-n-max", length)
        assert has(plan.argv, "-ngl", "-1") is (environment == "cuda-spoof")
        assert plan.env.get("CUDA_VISIBLE_DEVICES") == (
            "0" if environment == "cuda-spoof" else None
        )
        assert plan.resolved_mode is Mode.MTP


@pytest.mark.parametrize("subject", [BEFORE, AFTER])
def test_the_flags_follow_the_build(workbench: Workbench, subject: str) -> None:
    renamed = judged(workbench, subject, "ngram")
    legacy = judged(workbench, subject, "ngram", build="b8929")
    assert has(renamed.argv, *FORCED_NGRAM)
    assert has(legacy.argv, "--spec-ngram-size-n", "24", "--draft-min", "48", "--draft-max", "64")
    assert renamed.resolved_mode is legacy.resolved_mode is Mode.NGRAM
    assert renamed.status is legacy.status is Verdict.PASS


def test_none_is_auto_before_the_fix_and_off_after(workbench: Workbench) -> None:
    before, after = judged(workbench, BEFORE, "none"), judged(workbench, AFTER, "none")
    assert has(before.argv, "--spec-type", "ngram-mod,draft-mtp")
    assert before.status is Verdict.FAIL
    assert "--spec-type" not in after.argv
    assert after.resolved_mode is Mode.OFF
    assert after.status is Verdict.PASS


def test_mtp_without_a_head_dies_before_the_fix_and_is_told_after(workbench: Workbench) -> None:
    before = judged(workbench, BEFORE, "mtp", model="tiny-llama")
    assert has(before.argv, "--spec-type", "draft-mtp")
    assert before.status is Verdict.FAIL
    after = judged(workbench, AFTER, "mtp+ngram", model="tiny-llama")
    assert has(after.argv, *FORCED_NGRAM)
    assert after.resolved_mode is Mode.NGRAM
    assert after.reason is not None
    assert after.status is Verdict.DEGRADED


@pytest.mark.parametrize(
    ("build", "model"), [("b8929", "tiny-mtp"), ("b9246", "tiny-llama"), ("b11434", "tiny-llama")]
)
def test_forced_mtp_that_cannot_be_had_becomes_another_speculation(
    workbench: Workbench, build: str, model: str
) -> None:
    result = judged(workbench, AFTER, "mtp", build=build, model=model)
    assert result.status is Verdict.FAIL
    assert result.reason is not None
    assert "oading without speculative decoding" in result.reason
    bad = bad_checks(result)
    assert list(bad) == ["implementations"]
    assert bad["implementations"].argument == "--spec-default"
    assert set(result.drafts or {}) == {"ngram-mod"}


@pytest.mark.parametrize(("subject", "keeps_the_old_length"), [(BEFORE, True), (AFTER, False)])
def test_the_reload_guard(workbench: Workbench, subject: str, keeps_the_old_length: bool) -> None:
    studio = workbench.subject(subject)
    assert isinstance(studio, UnslothSubject)
    here = target(workbench, "cpu")

    def wish(length: int | None) -> LoadRequest:
        return LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=length)

    with studio.open_session(here.env) as session:
        first = session.load(wish(8), here)
        assert first.argv is not None
        assert has(first.argv, "--spec-draft-n-max", "8")
        assert session.guard(wish(8), here).backend is True
        second = session.load(wish(2), here)
        assert second.reloaded
        assert second.servers == 1
        third = session.load(wish(None), here)
        assert third.reloaded is not keeps_the_old_length
        assert third.argv is not None
        left = "2" if keeps_the_old_length else "3"
        assert has(third.argv, "--spec-draft-n-max", left)
        assert session.unload().servers == 0
