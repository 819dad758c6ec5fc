"""Ends what a runner started, servers or compilers, and could not end itself.

A runner that dies by SIGKILL cannot clean up, and a program that left its process group is out of
reach. Each runner therefore has one companion process
that waits for the runner's end on a pipe and then kills every process whose environment carries
the runner's token. Nothing needs registration. A process that is being started when its runner is
killed shows its variables late: after such an end the companion looks for some time; and on Windows
the system ends what it has not told the variables of yet, see ``harness.processes.job``.
"""

import os
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import subprocess

    import psutil

OWNER_VARIABLE: Final = "LLAMA_HARNESS_OWNER"
_ROUNDS: Final = 5
_SWEEP_S: Final = 30.0
_IN_ORDER: Final = b"."
"""What the companion reads at the end of a runner that leaves nothing half started."""
_LATE_S: Final = 0.5
"""For how long after a kill nothing may be found; a start takes some milliseconds."""
_POLL_S: Final = 0.1


class Reaper:
    """The companion process, as a context manager; ``token`` goes into each child's variables."""

    def __init__(self) -> None:
        self.token = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._companion: subprocess.Popen[bytes] | None = None
        self._job = ExitStack()

    def __enter__(self) -> Self:
        # Not at the top: as a companion this file runs alone, without the package.
        from harness.processes.job import children_end_with_this, start_apart

        # -S -E: starts in a few milliseconds, and has imported psutil before there is work.
        self._companion = start_apart(
            [sys.executable, "-S", "-E", str(Path(__file__)), self.token, *sys.path],
            # A reaper around this one must not take the companion for something to end.
            unowned(os.environ),
        )
        self._job.enter_context(children_end_with_this())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import subprocess

        companion, self._companion = self._companion, None
        with self._job:
            if companion is None:
                return
            try:
                # What left its group would go on after a good end too; and an interrupt may have
                # come between a server's start and whoever would end it.
                companion.communicate(_IN_ORDER, timeout=_SWEEP_S)
            except (subprocess.TimeoutExpired, OSError):
                companion.kill()
                companion.wait()


def unowned(env: Mapping[str, str]) -> dict[str, str]:
    """Return variables under which a process outlives its runner."""
    return {name: value for name, value in env.items() if name != OWNER_VARIABLE}


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


def _kill_owned(token: str, *, for_s: float) -> None:
    """Kill what carries a token, until nothing has been found for so many seconds."""
    import psutil

    me = os.getpid()
    found_at = time.monotonic()
    rounds = 0
    while rounds < _ROUNDS:
        owned = [process for process in owned_processes(token) if process.pid != me]
        if not owned:
            if time.monotonic() - found_at >= for_s:
                return
            time.sleep(_POLL_S)
            continue
        found_at, rounds = time.monotonic(), rounds + 1
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
    in_order = sys.stdin.buffer.read() == _IN_ORDER
    _kill_owned(token, for_s=0 if in_order else _LATE_S)


if __name__ == "__main__":
    _main()
