"""The reaper: what a runner leaves behind is ended, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.processes.reaper import OWNER_VARIABLE, Reaper, owned_processes

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(120)"]
RUNNER = f"""
import os, subprocess, sys, time
from harness.processes.reaper import OWNER_VARIABLE, Reaper
reaper = Reaper()
reaper.__enter__()
child = subprocess.Popen({SLEEP!r}, env={{**os.environ, OWNER_VARIABLE: reaper.token}})
print(child.pid, flush=True)
time.sleep(120)
"""


@contextmanager
def sleeper(token: str | None, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    owned = {} if token is None else {OWNER_VARIABLE: token}
    with subprocess.Popen(SLEEP, env={**os.environ, **owned, **variables}) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_orphan_of_a_killed_runner_is_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", RUNNER], stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        orphan = psutil.Process(int(runner.stdout.readline()))
        assert orphan.is_running()
        runner.kill()
    psutil.wait_procs([orphan], timeout=30)
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_runner_that_ends_in_order_leaves_nothing_either() -> None:
    with sleeper("another-runner") as foreign, sleeper(None) as free:
        with Reaper() as reaper, sleeper(reaper.token) as owned:
            reaper.__exit__(None, None, None)
            assert owned.wait(timeout=30) != 0
        assert foreign.poll() is None
        assert free.poll() is None


def interrupted(reaper: Reaper) -> None:
    with reaper:
        raise KeyboardInterrupt


def test_an_interrupted_runner_sweeps_its_own_and_spares_others() -> None:
    reaper = Reaper()
    with (
        sleeper(reaper.token) as owned,
        sleeper("another-runner") as foreign,
        sleeper(None) as free,
    ):
        with pytest.raises(KeyboardInterrupt):
            interrupted(reaper)
        assert owned.wait(timeout=30) != 0
        assert foreign.poll() is None
        assert free.poll() is None


def test_processes_are_listed_by_their_runner_and_by_their_home(tmp_path: Path) -> None:
    with (
        sleeper("one", HOME=str(tmp_path / "a" / "home")) as one,
        sleeper("other", HOME=str(tmp_path / "b")) as other,
        sleeper(None, HOME=str(tmp_path / "a")),
    ):
        assert pids(owned_processes("one")) == {one.pid}
        assert pids(owned_processes(home=tmp_path)) == {one.pid, other.pid}
        assert pids(owned_processes(home=tmp_path / "a")) == {one.pid}
        assert pids(owned_processes("other", home=tmp_path / "a")) == set()


def pids(processes: Iterable[psutil.Process]) -> set[int]:
    return {process.pid for process in processes}


def test_each_runner_has_a_token_of_its_own() -> None:
    assert Reaper().token != Reaper().token
