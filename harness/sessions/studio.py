"""A session that is Unsloth Studio's own: its backend starts the servers, its guards decide.

Before each load Studio's route guard is asked, in versions that have one, as its API route does;
only when that says no is ``load_model`` called, which asks the backend's guard. The server that
Studio leaves running is observed over HTTP and through its log file, which it writes because its
environment says so: Studio's command line stays its own.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness.cells.launching import PORT_VARIABLE, listening_port, switches
from harness.errors import SubjectError
from harness.flags.arguments import read_arguments
from harness.model import Failure, FailureKind, LoadRequest
from harness.server.http import ServerClient
from harness.server.ports import reserved_port
from harness.sessions.session import KeptBy, LoadOutcome, Phase, SessionStatus
from harness.sessions.surroundings import Surroundings
from harness.settings.base import EffectiveState
from harness.settings.observation import observe, observing_environment
from harness.settings.state import effective_state
from harness.subjects.unsloth import SessionState, UnslothSubject

LOG_FILE_VARIABLES: Final = ("LLAMA_LOG_FILE", "LLAMA_ARG_LOG_FILE")
"""Before b9360, and from then on."""

STUDIO_LOGS: Final = Path(".unsloth/studio/logs/llama-server")
"""Under the home; where Studio keeps its servers' output. From 2026.10 or so on it keeps the log
file variable from its servers, and this is what is left to read."""

_POLL_S: Final = 0.01
_KILL_S: Final = 5.0


class FileLog:
    """The log that a server writes to a file, as far as it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self) -> list[str]:
        """Its lines, in order."""
        try:
            return self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def wait_for(self, seen: Callable[[str], bool], *, after: int, timeout_s: float) -> int:
        """Wait until a line after the first ``after`` is seen, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            lines = self.lines()
            for number in range(after, len(lines)):
                if seen(lines[number]):
                    return number + 1
            if time.monotonic() >= deadline:
                return len(lines)
            time.sleep(_POLL_S)


@dataclass(frozen=True, kw_only=True)
class StudioServer:
    """A server that Studio started."""

    pid: int
    log: FileLog
    client: ServerClient


class StudioSession:
    """See the module's docstring, and ``Session``.

    Args:
        subject: The version of Studio.
        surroundings: Where.

    Raises:
        SubjectError: Studio cannot be driven.
    """

    def __init__(self, subject: UnslothSubject, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._status = SessionStatus(phase=Phase.EMPTY)
        with ExitStack() as resources:
            scratch = Path(
                resources.enter_context(
                    tempfile.TemporaryDirectory(
                        prefix="llama-harness-session-", ignore_cleanup_errors=True
                    )
                )
            )
            self._log_file = scratch / "server.log"
            self._session = resources.enter_context(
                subject.open_session(
                    {
                        **surroundings.variables,
                        **observing_environment(),
                        **dict.fromkeys(LOG_FILE_VARIABLES, str(self._log_file)),
                    }
                )
            )
            self._resources = resources.pop_all()

    def load(self, request: LoadRequest) -> LoadOutcome:
        """Load in Studio's way; see ``Session``."""
        with self._lock, reserved_port() as port:
            target = self._surroundings.target(request, port)
            before = self._now()
            try:
                if before.phase is Phase.RUNNING and before.request is not None:
                    same_model = before.request.model == request.model
                    if same_model and self._session.guard(request, target).route:
                        self._status = replace(before, reloaded=False)
                        return LoadOutcome(reloaded=False, kept_by=KeptBy.ROUTE)
                state = self._session.load(request, target)
            except SubjectError as error:
                return LoadOutcome(reloaded=False, refusal=str(error))
            if state.loaded and not state.reloaded:
                if state.pid is not None:
                    self._status = self._running(state, before.request, before.served)
                # Else its guard kept a server that is dead, and the status goes on to say so.
                return LoadOutcome(reloaded=False, kept_by=KeptBy.BACKEND)
            if state.pid is None or not state.loaded:
                failure = Failure(
                    kind=FailureKind.SUBJECT,
                    message=state.failure or "load_model answered that it failed",
                )
                self._status = SessionStatus(
                    phase=Phase.FAILED, reloaded=True, failure=failure, servers=state.servers
                )
                return LoadOutcome(reloaded=True, failure=failure)
            self._status = self._running(state, request, self._look(state))
            return LoadOutcome(reloaded=True)

    def unload(self) -> None:
        """Let Studio end its server."""
        with self._lock:
            state = self._session.unload()
            self._status = SessionStatus(phase=Phase.EMPTY, servers=state.servers)

    def status(self) -> SessionStatus:
        """How it stands; waits for a load that is going on, as the driver does one thing at once.

        Raises:
            SubjectError: The driver ended.
        """
        with self._lock:
            return self._now()

    def look(self) -> EffectiveState | None:
        """Observe the running server now."""
        with self._lock:
            state = self._session.status()
            return None if state.pid is None else self._look(state)

    def kill(self) -> None:
        """Kill the server and leave Studio to find out."""
        import psutil

        with self._lock:
            pid = self._session.status().pid
        if pid is None:
            return
        try:
            process = psutil.Process(pid)
            process.kill()
            process.wait(_KILL_S)
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            return

    def close(self) -> None:
        """End Studio, and with it its server."""
        self._resources.close()

    def _now(self) -> SessionStatus:
        state = self._session.status()
        known = self._status
        if known.phase is Phase.RUNNING and state.pid is None:
            return SessionStatus(
                phase=Phase.DIED,
                reloaded=known.reloaded,
                failure=Failure(
                    kind=FailureKind.DIED, message="Studio's server ended by itself or was killed"
                ),
            )
        return replace(known, pid=state.pid, servers=state.servers)

    def _look(self, state: SessionState) -> EffectiveState:
        assert state.argv is not None
        port = listening_port(state.argv, {PORT_VARIABLE: "0"})
        assert state.pid is not None
        log, client = FileLog(self._log_of(port)), ServerClient(port)
        server = StudioServer(pid=state.pid, log=log, client=client)
        surroundings = self._surroundings
        arguments = read_arguments(state.argv, surroundings.capabilities)
        switched_on = switches(port, arguments).keys() - surroundings.variables.keys()
        observed = observe(server, surroundings.build_number, switched_on=switched_on)
        return effective_state(observed)

    def _log_of(self, port: int) -> Path:
        own = self._log_file
        if own.exists():
            return own
        logs = Path(self._surroundings.variables["HOME"], STUDIO_LOGS)
        found = sorted(logs.glob(f"*-port-{port}*.log"), key=lambda log: log.stat().st_mtime)
        return found[-1] if found else own

    def _running(
        self, state: SessionState, request: LoadRequest | None, served: EffectiveState | None
    ) -> SessionStatus:
        return SessionStatus(
            phase=Phase.RUNNING,
            request=request,
            requested_mode=state.requested_mode,
            resolved_mode=state.speculative_type,
            draft_n_max=state.draft_n_max,
            served=served,
            reloaded=state.reloaded,
            pid=state.pid,
            servers=state.servers,
        )
