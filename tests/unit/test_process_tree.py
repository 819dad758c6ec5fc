"""Process trees, with each system's way of ending one."""

import os
import subprocess
import sys

import psutil
import pytest

from harness.processes.tree import group_options, kill_tree

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(120)"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize(
    ("platform", "group", "flags"),
    [("linux", 0, 0), ("darwin", 0, 0), ("win32", None, 0x200)],
)
def test_a_program_leads_a_group_of_its_own(platform: str, group: int | None, flags: int) -> None:
    options = group_options(platform)
    assert options == {"process_group": group, "creationflags": flags}
    if hasattr(subprocess, "CREATE_NEW_PROCESS_GROUP"):
        assert flags in {0, subprocess.CREATE_NEW_PROCESS_GROUP}


@pytest.mark.parametrize("platform", [sys.platform, "win32"])
def test_all_that_it_started_ends_with_it(platform: str) -> None:
    """Windows has no signals to a group: the tree is walked, which works everywhere."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", PARENT], stdout=subprocess.PIPE, **group_options()
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert kill_tree(parent, platform) != 0
        psutil.wait_procs([child], timeout=60)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        assert kill_tree(parent, platform) == parent.returncode, "harmless when it has ended"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such groups")
def test_macos_refuses_to_signal_a_group_of_zombies(monkeypatch: pytest.MonkeyPatch) -> None:
    def killpg(group: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", killpg)
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(120)"], **group_options()
    ) as process:
        assert kill_tree(process, "darwin") == -9
