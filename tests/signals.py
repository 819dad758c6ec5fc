"""Signals that Windows does not have, for tests that are read there all the same."""

import os
import signal
import sys
from typing import Final

import pytest

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
