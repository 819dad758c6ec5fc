"""Signals that Windows does not have, for tests that are read there all the same."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests import console_host

if sys.platform == "win32":
    # os.kill knows only one way there, which nothing can catch.
    KILL: Final = signal.SIGTERM
else:
    KILL: Final = signal.SIGKILL


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a process group; the test is skipped where there is no such thing."""
    if sys.platform == "win32":
        pytest.skip("Windows has no signals to a process group")
    os.killpg(leader, number)


def interruptible(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    directory: Path,
    merged: bool = False,
) -> "subprocess.Popen[str]":
    """Start a command that ``interrupt`` interrupts, and nothing else with it."""
    host: list[str] = []
    flags = 0
    if sys.platform == "win32":
        host, flags = [sys.executable, console_host.__file__], subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(
        [*host, *command],
        env=dict(env),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        creationflags=flags,
    )


def interrupt(process: "subprocess.Popen[str]") -> None:
    """Press Ctrl-C for a command that ``interruptible`` started."""
    if sys.platform == "win32":
        console_host.press_ctrl_c(process.pid)
    else:
        process.send_signal(signal.SIGINT)
