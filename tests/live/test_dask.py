"""``--executor dask:ADDRESS``: the same results as here, whatever becomes of a worker."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.model import CellResult, Verdict
from harness.processes.reaper import owned_processes
from harness.report.jsonl import read_results
from tests.live.matrix_runs import command, run_matrix, variables

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None,
        reason="the package distributed is not installed: pip install 'llama-harness[dask]'",
    ),
]

CELLS = ["--build", "b8929", "--build", "b9246", "--env", "cpu", "--model", "tiny-llama"]
PATIENCE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    address: str
    pids: tuple[int, ...]


@contextmanager
def cluster(scratch: Path) -> Iterator[Cluster]:
    """Two workers that live in ``scratch``, as a process of its own."""
    scratch.mkdir()
    log = scratch / "stderr"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "tests.live.dask_cluster"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=scratch,
            env=variables({"TMPDIR": str(scratch)}),
        ) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, log.read_text(encoding="utf-8")
            told = json.loads(line)
            yield Cluster(address=told["address"], pids=tuple(told["pids"]))
        finally:
            process.communicate(timeout=60)


def comparable(results: Sequence[CellResult]) -> dict[str, object]:
    """What must not depend on where a cell ran: all but ports, times and logs."""
    return {
        result.id: (
            result.status,
            result.effective,
            result.witnessed_by,
            [(check.name, check.ok) for check in result.checks],
            [word for place, word in enumerate(result.argv) if result.argv[place - 1] != "--port"],
        )
        for result in results
    }


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    run = run_matrix(tmp_path_factory.mktemp("here"), [*CELLS, "-n", "0"])
    assert run.status == 0, run.stdout + run.stderr
    return comparable(run.results)


def test_a_cluster_gives_the_same_results(tmp_path: Path, here: dict[str, object]) -> None:
    scratch = tmp_path / "cluster"
    with cluster(scratch) as workers:
        run = run_matrix(tmp_path, [*CELLS, "--executor", f"dask:{workers.address}"])
        assert run.status == 0, run.stdout + run.stderr
        assert len(run.results) == len(here)
        assert comparable(run.results) == here
        # The workers outlive the run; what it held there does not.
        assert all(psutil.pid_exists(pid) for pid in workers.pids)
        assert not owned_processes(home=scratch)
        assert not list(scratch.rglob("llama-harness-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_worker_killed_in_the_middle_loses_nothing(
    tmp_path: Path, here: dict[str, object]
) -> None:
    scratch, jsonl = tmp_path / "cluster", tmp_path / "results.jsonl"
    with cluster(scratch) as workers:
        run = subprocess.Popen(
            command(
                *CELLS,
                *("--executor", f"dask:{workers.address}", "--jsonl", str(jsonl)),
                *("-o", f"cache_dir={tmp_path / 'cache'}"),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=variables(),
        )
        try:
            until = time.monotonic() + PATIENCE_S
            while not jsonl.exists() or jsonl.read_bytes().count(b"\n") < len(here) // 4:
                assert run.poll() is None, run.communicate()[0]
                assert time.monotonic() < until
                time.sleep(0.01)
            psutil.Process(workers.pids[0]).kill()
            done = jsonl.read_bytes().count(b"\n")
            output, _ = run.communicate(timeout=PATIENCE_S)
        finally:
            run.kill()
        assert done < len(here), "the worker was killed too late"
        assert run.returncode == 0, output
        results = list(read_results([jsonl]))
        assert len(results) == len(here)
        assert comparable(results) == here
        until = time.monotonic() + 10
        while owned_processes(home=scratch):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    run = run_matrix(tmp_path, [*CELLS, "--executor", "dask:tcp://127.0.0.1:1"])
    assert run.status == 3
    assert "the Dask cluster at tcp://127.0.0.1:1 cannot be used: " in run.stdout + run.stderr
    assert not run.results
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize("executor", ["dask:", "ray:local", "dask"])
def test_an_executor_without_meaning(tmp_path: Path, executor: str) -> None:
    run = run_matrix(tmp_path, [*CELLS, "--executor", executor])
    assert run.status == 2
    assert "dask:ADDRESS" in run.stderr


def test_workers_of_this_host_are_not_those_of_a_cluster(tmp_path: Path) -> None:
    run = run_matrix(tmp_path, [*CELLS, "--executor", "dask:tcp://127.0.0.1:1", "-n", "2"])
    assert run.status == 2
    assert "-n is for --executor local" in run.stderr


def test_a_failure_is_told_as_ever(tmp_path: Path) -> None:
    words = ["--build", "py0.3.16", "--subject", "reference@D", "--mode", "ngram", "--env", "cpu"]
    words += ["--model", "tiny-llama", "--draft-max", "default"]
    with cluster(tmp_path / "cluster") as workers:
        run = run_matrix(tmp_path, [*words, "--executor", f"dask:{workers.address}"])
    assert run.status == 1
    assert [result.status for result in run.results] == [Verdict.FAIL]
    assert ">>> --spec-type <<<" in run.stdout
