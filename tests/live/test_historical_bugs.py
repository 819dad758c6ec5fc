"""Bugs D and E on real builds, and subjects that misbehave; C and inverted need a fork.

``tests/emulated/test_matrix_run.py`` has those two, ``test_sessions.py`` has the guards' A and B.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.model import Cell, CellResult, FailureKind, LoadRequest, Verdict
from tests.live.altered import bad_checks
from tests.live.matrix_runs import Run, run_matrix

pytestmark = pytest.mark.live

RENAMED = ("b9246", "b10435", "b11434")


def judged(
    workbench: Workbench, subject: str, build: str, mode: str, model: str = "tiny-mtp"
) -> CellResult:
    request = LoadRequest(model=model, mode=mode)
    return run_cell(
        Cell(build=build, subject=subject, environment="cpu", request=request), workbench
    )


def test_d_forces_ngram_on_a_build_without_it(workbench: Workbench) -> None:
    result = judged(workbench, "reference@D", "py0.3.16", "ngram", "tiny-llama")
    assert result.status is Verdict.FAIL
    bad = bad_checks(result)
    assert bad["flags-offered"].argument == "--spec-type"
    assert bad["starts"].argument == "--spec-type"
    assert result.failure is not None
    assert result.failure.kind is FailureKind.UNKNOWN_ARGUMENT
    fixed = judged(workbench, "reference", "py0.3.16", "ngram", "tiny-llama")
    assert fixed.status is Verdict.DEGRADED
    assert fixed.reason is not None


@pytest.mark.parametrize("build", RENAMED)
@pytest.mark.parametrize("mode", ["none", "disable"])
def test_e_takes_none_for_auto(workbench: Workbench, build: str, mode: str) -> None:
    result = judged(workbench, "reference@E", build, mode)
    assert result.status is Verdict.FAIL
    bad = bad_checks(result)
    assert list(bad) == ["implementations"]
    assert (bad["implementations"].expected, bad["implementations"].argument) == (
        "nothing on",
        "--spec-type",
    )
    assert judged(workbench, "reference", build, mode).status is Verdict.PASS


SUBJECTS = {
    "crash": "raise RuntimeError('no flags today')",
    "hang": "import time; time.sleep(600)",
    "prose": "print('starting the server ...')",
    "lost": (
        "import json, sys\n"
        "port = json.load(sys.stdin)['target']['port']\n"
        "print(json.dumps({'argv': ['-m', '/no/such/model.gguf', '--port', str(port)]}))"
    ),
    "nul": 'print(\'{"argv": ["--alias", "a\\\\u0000b"]}\')',
}
SAID = {
    "crash": "RuntimeError: no flags today",
    "hang": "gave no plan within 30 s; killed",
    "prose": "printed no JSON",
    "nul": "NUL byte",
}


@pytest.fixture(scope="module")
def bad_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("bad")
    words = [
        *("--build", "b9246", "--env", "cpu", "--mode", "off", "--draft-max", "default"),
        *("--model", "tiny-llama", "-n", "0", "--retries", "0"),
    ]
    for name, code in SUBJECTS.items():
        (directory / f"{name}.py").write_text(code, encoding="utf-8")
        words += ["--subject", spec(directory, name)]
    return run_matrix(directory, [*words, "--subject", "reference"])


def spec(directory: Path, name: str) -> str:
    program = Path(sys.executable).as_posix()
    return f"command:'{program}' '{(directory / name).as_posix()}.py'"


def by_name(run: Run) -> Mapping[str, CellResult]:
    return {
        next((name for name in SUBJECTS if f"{name}.py" in result.subject), result.subject): result
        for result in run.results
    }


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_subject_that_gives_no_plan_is_an_error_that_quotes_it(bad_run: Run, name: str) -> None:
    result = by_name(bad_run)[name]
    assert result.status is Verdict.ERROR
    assert result.failure is not None
    assert result.failure.kind is FailureKind.SUBJECT
    assert SAID[name] in result.failure.message


def test_a_plan_for_a_model_that_is_not_there_fails(bad_run: Run) -> None:
    result = by_name(bad_run)["lost"]
    assert result.status is Verdict.FAIL
    assert result.failure is not None
    assert result.failure.kind is FailureKind.MODEL_LOAD


def test_the_run_goes_on(bad_run: Run) -> None:
    assert by_name(bad_run)["reference"].status is Verdict.PASS
    assert len(bad_run.results) == len(SUBJECTS) + 1
    assert bad_run.status == 1
