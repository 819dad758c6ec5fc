"""One start of one server: plan in, healthy server out, nothing left behind."""

import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

from harness.config.paths import is_file
from harness.model import Failure, FailureKind
from harness.server.failure import classify_death, classify_exit
from harness.server.http import ServerClient
from harness.server.log import ServerLog
from harness.server.ports import is_listened_to
from harness.server.process import ServerProcess, listening_ports

DEFAULT_HEALTH_TIMEOUT_S: Final = 60.0
_LISTENING: Final = ("is listening", "HTTP server listening", "all slots are idle")
_FIRST_POLL_S: Final = 0.005
_LONGEST_POLL_S: Final = 0.05
_FIRST_REQUEST_S: Final = 0.25
_LONGEST_REQUEST_S: Final = 2.0
_BAD_CPU_TYPE: Final = 86
"""macOS' EBADARCH."""
_BAD_EXE: Final = 193
"""Windows' ERROR_BAD_EXE_FORMAT."""
_DRAIN_S: Final = 2.0
_REAPING_S: Final = 0.5


class LaunchFailedError(Exception):
    """The server never became healthy; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A healthy server.

    Attributes:
        pid: Process id on this host.
        port: TCP port on 127.0.0.1.
        log: Its output so far.
        client: HTTP to it.
        startup_ms: Process start to the first healthy answer.
    """

    pid: int
    port: int
    log: ServerLog
    client: ServerClient
    startup_ms: float
    process: ServerProcess

    def dismiss(self) -> None:
        """Begin to end it, when nothing is left to ask; its context waits for the end."""
        self.process.strike()

    def death(self, within_s: float = 0.5) -> Failure | None:
        """How the process ended; None where it still runs after ``within_s`` seconds.

        A dying process closes its connections a moment before it can be waited for.
        """
        exit_status = _await_exit(self.process, within_s)
        if exit_status is None:
            return None
        self.log.close(_DRAIN_S)
        return classify_death(exit_status, self.log.lines(), self.log.tail())


@contextmanager
def launch(
    program: Path,
    argv: Sequence[str],
    *,
    port: int,
    env: Mapping[str, str],
    cwd: Path,
    health_timeout_s: float = DEFAULT_HEALTH_TIMEOUT_S,
    prefix: str = "",
    key: str | None = None,
    one_at_a_time: bool = False,
) -> Iterator[RunningServer]:
    """Start a server, wait until it is healthy, and end it with all it started.

    Args:
        program: The ``llama-server``.
        argv: Its arguments, handed over unchanged.
        port: Where the arguments make it listen.
        env: Its whole environment.
        cwd: Its working directory.
        health_timeout_s: Longest wait for health, in seconds.
        prefix: What stands before every path of its API.
        key: What its API asks for, None where it asks for no key.
        one_at_a_time: Whether it answers requests one after the other.

    Raises:
        LaunchFailedError: It could not be executed, ended, or was not healthy in time.
    """
    started = time.perf_counter()
    try:
        process = ServerProcess(program, argv, env, cwd)
    except ValueError as error:
        raise LaunchFailedError(
            Failure(
                kind=FailureKind.BAD_VALUE,
                message=f"the command line cannot be handed to a process: {error}",
                argument=next((word for word in argv if "\0" in word), None),
            )
        ) from error
    except OSError as error:
        raise LaunchFailedError(
            Failure(
                kind=FailureKind.NOT_EXECUTABLE,
                message=f"{program.name} cannot be executed: {why_not_executable(program, error)}",
            )
        ) from error
    log = ServerLog(process.output)
    client = ServerClient(port, prefix, key, one_at_a_time=one_at_a_time)
    try:
        _wait_until_healthy(process, log, client, started, health_timeout_s)
        yield RunningServer(
            pid=process.pid,
            port=port,
            log=log,
            client=client,
            startup_ms=(time.perf_counter() - started) * 1000,
            process=process,
        )
    finally:
        process.kill()
        log.close()


def why_not_executable(program: Path, error: OSError) -> str:
    """Why a system does not execute a file, in a few words."""
    if error.errno == errno.ENOENT and is_file(program):
        return "the loader or interpreter that it names is not on this host"
    if error.errno in {errno.ENOEXEC, _BAD_CPU_TYPE} or getattr(error, "winerror", 0) == _BAD_EXE:
        return f"it is no program for this host ({error.strerror})"
    return error.strerror or str(error)


def _wait_until_healthy(
    process: ServerProcess,
    log: ServerLog,
    client: ServerClient,
    started: float,
    health_timeout_s: float,
) -> None:
    deadline = started + health_timeout_s
    looked, poll_s, request_s = 0, _FIRST_POLL_S, _FIRST_REQUEST_S
    status: int | None = None
    while True:
        remaining = deadline - time.perf_counter()
        if remaining <= 0:
            raise LaunchFailedError(
                Failure(
                    kind=FailureKind.TIMEOUT,
                    message=f"the server was not healthy within {health_timeout_s:g} s: "
                    + _why_not_healthy(process, client.port, status),
                    log_tail=log.tail(),
                )
            )
        # A server that writes a log says there when to ask; one that is silent is asked often.
        patience_s = _LONGEST_POLL_S if looked else poll_s
        looked = log.wait_for(_is_listening, after=looked, timeout_s=min(patience_s, remaining))
        exit_status = process.poll()
        if exit_status is None and log.closed:
            # The output ends a moment before the process can be waited for.
            exit_status = _await_exit(process, _REAPING_S)
        if exit_status is not None:
            log.close(_DRAIN_S)
            process.kill()  # What it started may still have its port.
            failure = classify_exit(exit_status, log.lines(), log.tail())
            raise LaunchFailedError(_or_taken_port(failure, client.port))
        asked = time.perf_counter()
        status = client.status("/health", min(request_s, remaining))
        if status == HTTPStatus.OK:
            return
        if time.perf_counter() - asked >= request_s:
            # A busy host, or a stranger on the port; patience grows, but an exit is not missed.
            request_s = min(request_s * 2, _LONGEST_REQUEST_S)
        poll_s = min(poll_s * 1.5, _LONGEST_POLL_S)


def _why_not_healthy(process: ServerProcess, port: int, status: int | None) -> str:
    """What there was instead of health, after the last try."""
    if status is not None:
        return f"/health answers {status}"
    elsewhere = listening_ports(process.pid) - {port}
    if elsewhere:
        found = ", ".join(map(str, sorted(elsewhere)))
        return f"it listens on port {found}, and was to listen on {port}"
    return f"nobody answers on port {port}"


def _or_taken_port(failure: Failure, port: int) -> Failure:
    """The failure, or what an unexplained one is when somebody else has the port.

    b9093 and b9246 end so fast when they cannot bind that their log, which has a thread of its
    own, often does not say so.
    """
    if failure.kind is not FailureKind.EARLY_EXIT or not is_listened_to(port):
        return failure
    return replace(
        failure,
        kind=FailureKind.PORT_IN_USE,
        message=f"{failure.message} (another process listens on its port, {port})",
    )


def _is_listening(line: str) -> bool:
    return any(words in line for words in _LISTENING)


def _await_exit(process: ServerProcess, timeout_s: float) -> int | None:
    deadline = time.perf_counter() + timeout_s
    while (status := process.poll()) is None and time.perf_counter() < deadline:
        time.sleep(0.001)
    return status
