"""Whether a process that was killed has ended."""

import time

import psutil


def is_gone(pid: int, within_s: float = 10) -> bool:
    """A kill takes effect a moment later, and nobody may wait for the end of an orphan."""
    deadline = time.monotonic() + within_s
    try:
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
    except psutil.NoSuchProcess:
        return True
    return True
