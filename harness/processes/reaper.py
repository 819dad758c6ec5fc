"""Ends what a runner started, servers or compilers, and could not end itself.

A runner that dies by SIGKILL cannot clean up, and a program that left its process group is out of
reach. Each runner therefore has one companion process
that waits for the runner's end on a pipe and then kills every process whose environment carries
the runner's token. Nothing needs registration, so there is no moment at which one can be missed.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import psutil

OWNER_VARIABLE: Final = "LLAMA_HARNESS_OWNER"
_ROUNDS: Final = 5
_SWEEP_S: Final = 30.0


class Reaper:
    """The companion process, as a context manager; ``token`` goes into each child's variables."""

    def __init__(self) -> None:
        self.token = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._companion: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # -S -E: starts in a few milliseconds, and has imported psutil before there is work.
        self._companion = subprocess.Popen(
            [sys.executable, "-S", "-E", str(Path(__file__)), self.token, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # Its end is seen at once; for the exit status one would poll.
            stderr=subprocess.DEVNULL,
            # A reaper around this one must not take the companion for something to end.
            env=unowned(os.environ),
            start_new_session=os.name == "posix",
            creationflags=_new_group_flag(),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        companion, self._companion = self._companion, None
        if companion is not None:
            try:
                # What left its group would go on after a good end too; and an interrupt may have
                # come between a server's start and whoever would end it.
                companion.communicate(timeout=_SWEEP_S)
            except (subprocess.TimeoutExpired, OSError):
                companion.kill()
                companion.wait()


def unowned(env: Mapping[str, str]) -> dict[str, str]:
    """Return variables under which a process outlives its runner."""
    return {name: value for name, value in env.items() if name != OWNER_VARIABLE}


def _new_group_flag() -> int:
    # Not imported from beside this file: as a companion it runs alone, without the package.
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP
    return 0


def owned_processes(owner: str = "", *, home: Path | None = None) -> "list[psutil.Process]":
    """Return the running processes that carry a runner's token.

    Args:
        owner: The token; that of any runner if empty.
        home: Only those whose home directory is this or lies in it.
    """
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            variables = process.environ()
        except (psutil.Error, OSError):
            continue
        token = variables.get(OWNER_VARIABLE)
        at_home = home is None or Path(variables.get("HOME", "")).is_relative_to(home)
        if token and owner in {"", token} and at_home:
            found.append(process)
    return found


def _kill_owned(token: str) -> None:
    import psutil

    me = os.getpid()
    for _ in range(_ROUNDS):
        owned = [process for process in owned_processes(token) if process.pid != me]
        if not owned:
            return
        for process in owned:
            try:
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(owned, timeout=1)


def _main() -> None:
    token, *search_path = sys.argv[1:]
    sys.path[:] = search_path
    with suppress(ImportError):
        import psutil  # noqa: F401
    sys.stdin.buffer.read()
    _kill_owned(token)


if __name__ == "__main__":
    _main()
