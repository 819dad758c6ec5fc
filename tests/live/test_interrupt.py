"""Interrupting a run: what was found is reported, and no server outlives it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

from harness.processes.reaper import owned_processes
from harness.processes.tree import kill_tree
from harness.report.jsonl import read_results
from tests.live.matrix_runs import command, variables
from tests.signals import interrupt, interruptible, signal_group

pytestmark = pytest.mark.live

REAPED_WITHIN_S = 5.0
PATIENCE_S = 300.0


def words(directory: Path, workers: str) -> tuple[list[str], dict[str, str]]:
    """A run of some hundred cells, and its variables."""
    scratch = directory / "scratch"
    scratch.mkdir()
    ran = command(
        *("--build", "b8929", "--build", "b9246", "--env", "cpu", "-n", workers),
        *("--jsonl", str(directory / "results.jsonl")),
        *("--junit", str(directory / "junit.xml")),
        *("-o", f"cache_dir={directory / 'cache'}"),
    )
    return ran, variables({"TMPDIR": str(scratch)})


@contextmanager
def running(
    directory: Path, workers: str, *, to_interrupt: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    """A run in a process group of its own, like one of a terminal."""
    ran, env = words(directory, workers)
    if to_interrupt and sys.platform == "win32":
        process = interruptible(ran, env=env, directory=directory, merged=True)
    else:
        process = subprocess.Popen(
            ran,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env=env,
            start_new_session=sys.platform != "win32",
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_tree(process)
        process.communicate()


def press_ctrl_c(process: "subprocess.Popen[str]") -> None:
    """Interrupt every process of a run, as a terminal does."""
    if sys.platform == "win32":
        interrupt(process)
    else:
        signal_group(process.pid, signal.SIGINT)


def eventually(happens: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_ctrl_c_reports_what_was_found_and_leaves_no_server(tmp_path: Path, workers: str) -> None:
    results = tmp_path / "results.jsonl"
    with running(tmp_path, workers, to_interrupt=True) as run:
        assert eventually(lambda: lines(results) >= 3, PATIENCE_S)
        press_ctrl_c(run)
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    found = list(read_results([results]))
    assert 3 <= len(found) < 120
    assert f"{len(found)} cells: " in output
    cases = ET.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    assert {case.get("name") for case in cases} == {one.id for one in found}
    assert "|b8929" in output
    assert "Traceback" not in output
    assert eventually(lambda: not owned_processes(home=tmp_path), REAPED_WITHIN_S)
    assert not list((tmp_path / "scratch").glob("llama-harness-*"))


@pytest.mark.parametrize("workers", ["0", "2"])
def test_servers_of_a_killed_runner_are_ended(tmp_path: Path, workers: str) -> None:
    with running(tmp_path, workers) as run:
        # Stopped before it is killed, so that the servers seen are ones that it did not end.
        assert eventually(lambda: bool(caught_at_work(run, tmp_path)), PATIENCE_S)
        family = psutil.Process(run.pid).children(recursive=True)
        reapers = [process for process in family if "reaper.py" in "".join(process.cmdline())]
        run.kill()
        assert eventually(lambda: not owned_processes(home=tmp_path), REAPED_WITHIN_S)
        others = [process for process in family if process not in reapers]
        assert eventually(lambda: not any(map(works, others)), REAPED_WITHIN_S)
        # Those look on for a while, lest something show late.
        assert reapers
        assert eventually(lambda: not any(map(works, reapers)), PATIENCE_S)


def works(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended and waits to be noticed does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def caught_at_work(run: "subprocess.Popen[str]", directory: Path) -> list[psutil.Process]:
    """The servers of a run that is stopped with at least one; it goes on where there is none."""
    if not owned_processes(home=directory):
        return []
    runner = psutil.Process(run.pid)
    runner.suspend()
    servers = owned_processes(home=directory)
    if not servers:
        runner.resume()
    return servers
