"""What a program starts is found and ended, also where no orphan comes back to this process."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness.processes import offspring
from harness.processes.offspring import Offspring

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs fork")

DETACHES = """
import os, sys, time
if os.fork() == 0:
    time.sleep(0.6)  # seen while it is still a child
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
    time.sleep(0.6)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("system", [sys.platform, "darwin"])
def test_a_daemon_that_clears_its_variables_is_ended(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another system it has no token, and nobody adopts it: it was seen before."""
    told = tmp_path / "pid"
    monkeypatch.setattr(offspring, "sys", SimpleNamespace(platform=system))
    words = ["env", "-i", sys.executable, "-c", DETACHES, str(told)]
    with Offspring("token") as started:
        child = started.start(words, dict(os.environ))
        while child.poll() is None:
            started.follow()
            time.sleep(0.02)
        daemon = psutil.Process(int(told.read_text()))
        assert daemon.is_running()
        left = started.end()
    assert left
    assert not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE


def test_what_was_not_started_here_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "30"]) as other:
        with Offspring("token") as started:
            started.start(["true"], dict(os.environ)).wait()
            started.end()
        assert other.poll() is None
        other.kill()
