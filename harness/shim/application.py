"""Running an application, for as long as it is recorded, and ending all that it started."""

import contextlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import UsageError
from harness.processes.loopback import LOOPBACK
from harness.processes.offspring import Offspring
from harness.shim import recorder
from harness.shim.recordings import Launch, collect_launches

if TYPE_CHECKING:
    import psutil

_POLL_S: Final = 0.05
_ITSELF_S: Final = 5.0
"""How long an application that is to end may take, for whatever it ends itself."""
_BEGIN_S: Final = 10.0
"""How long what an application left running may take until it is a server, on a busy host."""
_HEALTHY_S: Final = 60.0
_ANSWER_S: Final = 2.0
_CLOCK_SLACK_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an application ended.

    Attributes:
        status: Its exit status, negative for a signal.
        cut_short: Why it was ended; empty where it ended by itself.
        left: Names of what it had left running.
    """

    status: int
    cut_short: str = ""
    left: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the application itself says that it failed."""
        return self.status != 0 and not self.cut_short


INTERRUPTED: Final = "interrupted"


def run_application(
    application: Sequence[str],
    env: Mapping[str, str],
    token: str,
    *,
    timeout_s: float | None = None,
    enough: Callable[[], bool] = bool,
    begun: "Callable[[Sequence[psutil.Process], float], bool] | None" = None,
) -> Ending:
    """Run an application to its end, and end all that it leaves running.

    One that detaches a server may end before that has begun, and is then waited for.

    Args:
        application: The program, looked for on the PATH of its variables, and its arguments.
        env: Its variables.
        token: Of the reaper that ends what it started if this process is killed.
        timeout_s: Seconds after which it is ended; None for no limit.
        enough: Says when it is to be ended.
        begun: Says of what it left running, and has for some seconds, whether there is nothing to
            wait for.

    Raises:
        UsageError: There is no such program.
    """
    program = shutil.which(application[0], path=env.get("PATH"))
    if program is None:
        raise UsageError(f"record: there is no program {application[0]!r} here or on PATH")
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with Offspring(token) as offspring:
        try:
            child = offspring.start([program, *application[1:]], env)
        except OSError as error:
            raise UsageError(
                f"record: {shlex.join(application)}: cannot be started: {error}"
            ) from error
        cut_short = ""
        try:
            cut_short = _watch(child, offspring, deadline, enough)
            if cut_short:
                child.terminate()
                _wait(child, offspring)
            elif begun is not None:
                _let_begin(offspring, deadline, begun)
        except KeyboardInterrupt:  # the terminal sent it to the application as well
            cut_short = INTERRUPTED
            with contextlib.suppress(KeyboardInterrupt):
                _wait(child, offspring)
        left = offspring.end()
        return Ending(status=child.wait(), cut_short=cut_short, left=() if cut_short else left)


def _watch(
    child: "subprocess.Popen[bytes]",
    offspring: Offspring,
    deadline: float | None,
    enough: Callable[[], bool],
) -> str:
    """Wait for an application's end; returns why it is to be ended before."""
    while child.poll() is None:
        if enough():
            return "enough starts"
        if deadline is not None and time.monotonic() > deadline:
            return "its time was up"
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_POLL_S)
        offspring.follow()
    return ""


def _wait(child: "subprocess.Popen[bytes]", offspring: Offspring) -> None:
    _watch(child, offspring, time.monotonic() + _ITSELF_S, bool)


def _let_begin(
    offspring: Offspring,
    deadline: float | None,
    begun: "Callable[[Sequence[psutil.Process], float], bool]",
) -> None:
    ended = time.monotonic()
    latest = ended + _HEALTHY_S
    deadline = latest if deadline is None else min(deadline, latest)
    while time.monotonic() < deadline:
        left = offspring.running()
        if not left or begun(left, time.monotonic() - ended):
            return
        time.sleep(_POLL_S)


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Whether what an application left running is what it is going to be.

    Attributes:
        recordings: Where every start leaves a file.
        programs: Where stand-ins are: how the first words of one that is no server yet begin.
        enough: Says when starts enough are healthy; None where that is not asked.
    """

    recordings: Path
    programs: tuple[str, ...]
    enough: Callable[[], bool] | None

    def __call__(self, left: "Sequence[psutil.Process]", for_s: float) -> bool:
        """Whether there is nothing to wait for, with this left running for some seconds."""
        recorded = {launch.pid for launch in collect_launches(self.recordings)}
        if not recorded or any(self._is_on_its_way(one) for one in left if one.pid not in recorded):
            return for_s > _BEGIN_S
        if self.enough is None or self.enough():
            return True
        return not any(one.pid in recorded for one in left)

    def _is_on_its_way(self, process: "psutil.Process") -> bool:
        import psutil

        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            # Further on they are handed to another program.
            return recorder.__file__ in words[:4] or any(
                word.startswith(self.programs) for word in words[:2]
            )
        return False


def healthy_starts(recordings: Path) -> Callable[[], int]:
    """Return what counts the recorded starts that were seen healthy so far."""
    healthy: set[int] = set()

    def count() -> int:
        for launch in collect_launches(recordings):
            if launch.pid not in healthy and is_healthy(launch):
                healthy.add(launch.pid)
        return len(healthy)

    return count


def is_healthy(launch: Launch) -> bool:
    """Whether a recorded server answers where it listens itself, and is not loading any more."""
    return any(_answers(port) for port in _ports(launch))


def _ports(launch: Launch) -> list[int]:
    import psutil

    try:
        process = psutil.Process(launch.pid)
        if process.create_time() > launch.time + _CLOCK_SLACK_S:
            return []  # The number has gone to another process.
        processes = [process, *process.children(recursive=True)]
        return [port for one in processes for port in _listened(one)]
    except (psutil.Error, OSError):
        return []


def _listened(process: "psutil.Process") -> list[int]:
    import psutil

    listening = psutil.CONN_LISTEN
    return [one.laddr.port for one in process.net_connections() if one.status == listening]


def _answers(port: int) -> bool:
    connection = HTTPConnection(LOOPBACK, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/health")
        # It may ask for a key, or serve its paths behind a prefix.
        return connection.getresponse().status != HTTPStatus.SERVICE_UNAVAILABLE
    except HTTPException:
        return True
    except OSError:
        return False
    finally:
        connection.close()


def application_variables(
    user: Mapping[str, str], environment: Mapping[str, str], directory: Path
) -> dict[str, str]:
    """The user's variables in an environment, with a directory of stand-ins first on PATH."""
    variables = {**user, **environment}
    rest = variables.get("PATH", os.defpath)
    return {**variables, "PATH": os.pathsep.join([str(directory), rest])}
