"""All that a program starts, whoever detaches it: followed while it runs, and ended.

What forks twice, leaves its process group or opens a session of its own has lost the parent by
which it could be found. On Linux it becomes a child of this process; elsewhere it is known where it
was seen while its parent still ran. On every system it is found by the token of a ``Reaper`` in its
variables, which a program may have cleared.
"""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from harness.processes.reaper import OWNER_VARIABLE, owned_processes

if TYPE_CHECKING:
    import psutil

_GRACE_S: Final = 1.0
"""For files that a daemon removes when it is asked to end."""
_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.02
_SURE: Final = 2
"""Looks that find nothing: one may miss what was being forked while its parent ended."""
_SET_CHILD_SUBREAPER: Final = 36


class Offspring:
    """The processes that come of what ``start`` starts; leaving the context ends them all."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._others: frozenset[int] = frozenset()
        self._started: set[int] = set()
        self._followed: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        import psutil

        self._others = frozenset(child.pid for child in psutil.Process().children())
        _adopt_orphans(adopt=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        _adopt_orphans(adopt=False)

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start a program in this process's own group, so that a terminal speaks to it as well.

        Raises:
            OSError: It cannot be started.
        """
        child = subprocess.Popen(list(command), env={**env, OWNER_VARIABLE: self._token})
        self._started.add(child.pid)
        return child

    def follow(self) -> None:
        """Look at what runs now: to be called often while it does."""
        if sys.platform == "linux":
            self._reap()
        else:
            self._remember()

    def _remember(self) -> None:
        """Keep what descends from what is known, before it is nobody's child."""
        import psutil

        for pid in self._started - self._followed.keys():
            with suppress(psutil.Error):
                self._followed[pid] = psutil.Process(pid)
        for known in [*self._followed.values()]:
            if known.is_running():
                self._followed |= {process.pid: process for process in _family(known)}
            else:
                del self._followed[known.pid]

    def _reap(self) -> None:
        """Bury what was adopted and has ended, as init would: its program may wait for that."""
        if sys.platform == "linux":
            found = os.WEXITED | os.WNOHANG | os.WNOWAIT
            with suppress(ChildProcessError):
                while (ended := os.waitid(os.P_ALL, 0, found)) is not None:
                    if ended.si_pid in self._started | self._others:
                        return
                    os.waitpid(ended.si_pid, 0)

    def running(self) -> "list[psutil.Process]":
        """The processes that run now."""
        import psutil

        found = {process.pid: process for process in owned_processes(self._token)}
        self.follow()
        found |= {pid: process for pid, process in self._followed.items() if process.is_running()}
        if sys.platform == "linux":
            for child in psutil.Process().children():
                if child.pid not in self._others:
                    found |= {process.pid: process for process in _family(child)}
        return [process for process in found.values() if _runs(process)]

    def end(self) -> tuple[str, ...]:
        """End everything, at first by asking.

        Returns:
            The names of what still ran.
        """
        left = self.running()
        names = tuple(filter(None, map(_name, left)))
        if left:
            self._until_gone(lambda process: process.terminate(), _GRACE_S, once=True)
            self._until_gone(lambda process: process.kill(), _WITHIN_S)
        self.follow()
        return names

    def _until_gone(
        self, signal: "Callable[[psutil.Process], None]", within_s: float, *, once: bool = False
    ) -> None:
        import psutil

        deadline = time.monotonic() + within_s
        told: set[psutil.Process] = set()
        looks = 0
        while looks < _SURE and time.monotonic() < deadline:
            running = self.running()
            looks = 0 if running else looks + 1
            for process in running:
                if not (once and process in told):
                    told.add(process)
                    with suppress(psutil.Error):
                        signal(process)
            self.follow()
            time.sleep(_POLL_S if running else 0)


def _family(process: "psutil.Process") -> "list[psutil.Process]":
    import psutil

    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return [process]


def _runs(process: "psutil.Process") -> bool:
    import psutil

    if process.pid == os.getpid():
        return False
    if sys.platform == "win32":
        return process.is_running()  # What has ended waits for nobody there.
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _name(process: "psutil.Process") -> str:
    import psutil

    try:
        return process.name()
    except (psutil.Error, OSError):
        return ""


def _adopt_orphans(*, adopt: bool) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)
