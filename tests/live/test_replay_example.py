"""``examples/replay.py``: the failures of a run are found again without the harness."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.matrix_runs import ROOT, Run, run_matrix, variables

SCRIPTS = Path(sys.executable).parent
"""Where the environment that runs the tests keeps ``llama-harness``."""

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def failing_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Bug E, which starts, and bug D, which does not."""
    words = [
        *("--build", "b9246", "--build", "py0.3.16", "--env", "cpu", "-n", "0"),
        *("--subject", "reference@E", "--subject", "reference@D", "--retries", "0"),
        *("--mode", "none", "--mode", "ngram", "--draft-max", "default", "--model", "tiny-mtp"),
    ]
    return run_matrix(tmp_path_factory.mktemp("failing"), words)


def replayed(results: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "replay.py"), str(results)],
        env=variables({"PATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", "")])}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_every_failure_is_found_again(failing_run: Run) -> None:
    assert failing_run.status == 1
    done = replayed(failing_run.jsonl)
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.splitlines()
    assert told[0] == "2 failing cells, 2 distinct command lines"
    assert "same  py0.3.16  refuses to start, about --spec-type" in told
    assert "same  b9246  starts, drafts up to 64 tokens with draft-mtp and ngram-mod" in told
    assert told[-1] == "2 of 2 do by hand what the file says"


def test_a_failure_that_is_not_found_again(failing_run: Run, tmp_path: Path) -> None:
    cells = [json.loads(line) for line in failing_run.jsonl.read_text("utf-8").splitlines()]
    invented = next(cell for cell in cells if cell["effective"] and cell["status"] == "fail")
    invented["effective"]["speculation"]["draft-mtp"]["n_max"] = 65
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps(invented), encoding="utf-8")
    done = replayed(results)
    assert done.returncode == 1
    assert "UNLIKE  b9246" in done.stdout
    assert "the file says: starts, drafts up to 65 tokens" in done.stdout
