"""Process trees: starting a program as the head of one, and ending all of it, on every system."""

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    import subprocess

    import psutil

_CREATE_NEW_PROCESS_GROUP: Final = 0x200
_GONE_WITHIN_S: Final = 5.0


class GroupOptions(TypedDict):
    """Options of ``subprocess.Popen``."""

    process_group: int | None
    creationflags: int


def group_options(platform: str = sys.platform) -> GroupOptions:
    """Return what makes a program lead a process group of its own.

    Args:
        platform: As ``sys.platform`` names it.
    """
    if platform == "win32":
        return {"process_group": None, "creationflags": _CREATE_NEW_PROCESS_GROUP}
    # A group, not a session: Linux shares processor time out by session, and a busy host lets a
    # new one wait.
    return {"process_group": 0, "creationflags": 0}


def kill_tree(process: "subprocess.Popen[Any]", platform: str = sys.platform) -> int:
    """Kill a program as ``strike_tree`` does, and wait for its end.

    Returns:
        Its exit status.
    """
    strike_tree(process, platform)
    return process.wait()


def strike_tree(process: "subprocess.Popen[Any]", platform: str = sys.platform) -> None:
    """Kill a program started with ``group_options``, and all that it started, without a wait.

    Harmless when it has ended already; what it left in its group then ends. A system takes
    milliseconds to take a server's memory back.

    Args:
        process: The program.
        platform: As ``sys.platform`` names it. Windows' way works on every system; Windows has no
            other.
    """
    # Those in groups of their own are found only as long as their ancestors run.
    descendants = _descendants(process.pid) if process.poll() is None else []
    # From the top, so that nobody notices the end of another, and starts one anew.
    if sys.platform == "win32" or platform == "win32":
        process.kill()
    else:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except PermissionError:
            # macOS answers so for a group whose only members are zombies.
            process.kill()
    if descendants:
        import psutil

        for each in descendants:
            with suppress(psutil.Error):
                each.kill()
        if platform == "win32":
            # Files can be removed only once nobody has them open.
            psutil.wait_procs(descendants, timeout=_GONE_WITHIN_S)


def _descendants(pid: int) -> "list[psutil.Process]":
    if _is_childless(pid):
        return []
    import psutil

    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def _is_childless(pid: int) -> bool:
    """Whether a process is known to have no children; psutil looks at every process there is."""
    tasks = f"/proc/{pid}/task"
    try:
        with os.scandir(tasks) as threads:
            return not any(map(_first_child, threads))
    except OSError:  # another system, or a kernel that does not tell
        return False


def _first_child(task: "os.DirEntry[str]") -> bytes:
    """The beginning of a thread's list of children; a fifth of what a file object would take."""
    descriptor = os.open(f"{task.path}/children", os.O_RDONLY)
    try:
        return os.read(descriptor, 1)
    finally:
        os.close(descriptor)
