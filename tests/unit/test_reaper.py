"""The reaper: what a runner leaves behind is ended, and nothing else."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.processes import reaper
from harness.processes.reaper import OWNER_VARIABLE, Reaper, _kill_owned, owned_processes

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


CLEARED = f"""
import os, subprocess, sys, time
from harness.processes.job import start_apart
from harness.processes.reaper import OWNER_VARIABLE, Reaper
os.environ.pop(OWNER_VARIABLE, None)
with Reaper(), Reaper():
    pass
with Reaper():
    with Reaper():
        apart = start_apart({SLEEP!r}, os.environ)
    child = subprocess.Popen({SLEEP!r})
    print(child.pid, apart.pid, flush=True)
    if sys.argv[1] == "waits":
        time.sleep(120)
os._exit(0)
"""
"""Starts a child that carries no token, and one that is to outlive it."""
STARTING = f"""
import os, subprocess, sys
from harness.processes.reaper import OWNER_VARIABLE, Reaper
with Reaper() as reaper:
    owned = {{**os.environ, OWNER_VARIABLE: reaper.token}}
    while True:
        subprocess.Popen([*{SLEEP!r}, sys.argv[1]], env=owned)
        print(flush=True)
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
    psutil.wait_procs([orphan], timeout=60)
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_runner_that_is_killed_while_it_starts_something_leaves_nothing() -> None:
    for number in range(5):
        name = uuid.uuid4().hex
        command = [sys.executable, "-c", STARTING, name]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as runner:
            assert runner.stdout is not None
            for _ in range(2):
                runner.stdout.readline()
            time.sleep(number * 0.003)
            runner.kill()
        started = [process for process in psutil.process_iter() if name in words(process)]
        psutil.wait_procs(started, timeout=60)
        time.sleep(0.1)
        assert not [process for process in psutil.process_iter() if name in words(process)]


def words(process: psutil.Process) -> list[str]:
    """Its command line; none where it has ended."""
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []


def test_what_shows_its_token_late_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with sleeper(None) as late:
        looks = iter([[], [], [psutil.Process(late.pid)]])
        monkeypatch.setattr(reaper, "owned_processes", lambda _: next(looks, []))
        _kill_owned("token", for_s=0.3)
        assert not psutil.pid_exists(late.pid)


@pytest.mark.skipif(sys.platform != "win32", reason="jobs are Windows' own")
def test_a_child_without_a_token_ends_with_its_killed_runner() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLEARED, "waits"], stdout=subprocess.PIPE
    ) as runner:
        assert runner.stdout is not None
        child, apart = map(psutil.Process, map(int, runner.stdout.readline().split()))
        assert child.is_running()
        assert child.ppid() == runner.pid
        runner.kill()
    psutil.wait_procs([child], timeout=60)
    try:
        assert not child.is_running()
        assert apart.is_running(), "it was started apart"
    finally:
        apart.kill()


def test_a_child_without_a_token_outlives_a_runner_that_ends_in_order() -> None:
    with subprocess.Popen([sys.executable, "-c", CLEARED, ""], stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        both = [psutil.Process(int(pid)) for pid in runner.stdout.readline().split()]
        assert runner.wait(timeout=60) == 0
    try:
        assert psutil.wait_procs(both, timeout=1)[0] == []
    finally:
        for process in both:
            process.kill()


def test_a_runner_that_ends_in_order_leaves_nothing_either() -> None:
    with sleeper("another-runner") as foreign, sleeper(None) as free:
        with Reaper() as reaper, sleeper(reaper.token) as owned:
            reaper.__exit__(None, None, None)
            assert owned.wait(timeout=60) != 0
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
        assert owned.wait(timeout=60) != 0
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
