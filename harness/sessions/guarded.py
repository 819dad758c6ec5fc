"""A session around a subject that plans: two guards in front of a server of ours.

Loads are served one after another, in the order in which they get the session's lock: of two that
race, the second waits for the first and is then judged by the guards against what the first left
running. A load ends the old server before it starts the new one, as applications do that have one
GPU to load into; when the start fails, nothing runs, and the status says why. A request that the
subject refuses to plan touches nothing: the old server goes on.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from harness.errors import SubjectError
from harness.model import Failure, FailureKind, LaunchPlan, LoadRequest
from harness.server import LaunchFailedError
from harness.server.failure import ATTEMPTS, WORTH_ANOTHER_TRY
from harness.server.ports import reserved_port
from harness.sessions.servers import LiveServer, Servers
from harness.sessions.session import KeptBy, LoadOutcome, Phase, SessionStatus
from harness.sessions.surroundings import Surroundings
from harness.settings.base import EffectiveState
from harness.settings.speculation.contract import SPECULATIVE_TYPE_FLAG, canonical_mode
from harness.subjects import Subject
from harness.subjects.reference import Guards, LoadedState

Ports = Callable[[], AbstractContextManager[int]]


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A server with what it was started for."""

    server: LiveServer
    loaded: LoadedState
    served: EffectiveState
    resources: ExitStack


class GuardedSession:
    """See the module's docstring, and ``Session``.

    Args:
        subject: Plans every start.
        surroundings: Where.
        servers: What starts servers.
        guards: The reload guards; those that come with the subject, or the reference ones.
        ports: Where free ports come from.
    """

    def __init__(
        self,
        subject: Subject,
        surroundings: Surroundings,
        servers: Servers,
        *,
        guards: Guards | None = None,
        ports: Ports = reserved_port,
    ) -> None:
        self._subject = subject
        self._surroundings = surroundings
        self._servers = servers
        self._guards = guards or guards_of(subject)
        self._ports = ports
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._status = SessionStatus(phase=Phase.EMPTY)

    def load(self, request: LoadRequest) -> LoadOutcome:
        """Load, or keep what runs; see ``Session``."""
        with self._lock:
            running = self._alive()
            if running is not None:
                kept_by = self._kept_by(request, running.loaded)
                if kept_by is not None:
                    self._status = replace(self._status, reloaded=False)
                    return LoadOutcome(reloaded=False, kept_by=kept_by)
            return self._reload(request)

    def unload(self) -> None:
        """End the server."""
        with self._lock:
            self._end()
            self._status = SessionStatus(phase=Phase.EMPTY)

    def status(self) -> SessionStatus:
        """How it stands; asks the process whether it still runs."""
        status, running = self._status, self._running
        if status.phase is not Phase.RUNNING or running is None:
            return status
        exit_status = running.server.exit_status()
        if exit_status is None:
            return status
        return SessionStatus(
            phase=Phase.DIED,
            reloaded=status.reloaded,
            failure=Failure(
                kind=FailureKind.DIED,
                message=f"the server ended by itself or was killed, exit status {exit_status}",
            ),
        )

    def look(self) -> EffectiveState | None:
        """Observe the running server now."""
        with self._lock:
            running = self._alive()
            return None if running is None else running.server.look()

    def kill(self) -> None:
        """Kill the server and leave the session to find out."""
        running = self._running
        if running is not None:
            running.server.kill()

    def close(self) -> None:
        """End the server."""
        self.unload()

    def _alive(self) -> _Running | None:
        running = self._running
        alive = running is not None and running.server.exit_status() is None
        return running if alive else None

    def _kept_by(self, request: LoadRequest, loaded: LoadedState) -> KeptBy | None:
        if self._guards.route_matches(request, loaded):
            return KeptBy.ROUTE
        if self._guards.backend_matches(request, loaded):
            return KeptBy.BACKEND
        return None

    def _reload(self, request: LoadRequest) -> LoadOutcome:
        failure: Failure | None = None
        for _ in range(ATTEMPTS):
            with ExitStack() as resources:
                port = resources.enter_context(self._ports())
                try:
                    plan = self._subject.plan(request, self._surroundings.target(request, port))
                except SubjectError as error:
                    return LoadOutcome(reloaded=False, refusal=str(error))
                self._end()
                self._status = SessionStatus(phase=Phase.LOADING, request=request, reloaded=True)
                try:
                    self._start(request, plan, port, resources)
                except LaunchFailedError as error:
                    failure = error.failure
                    if failure.kind in WORTH_ANOTHER_TRY:
                        continue
                    break
                return LoadOutcome(reloaded=True, plan_reason=plan.reason)
        assert failure is not None
        self._status = SessionStatus(phase=Phase.FAILED, reloaded=True, failure=failure)
        return LoadOutcome(reloaded=True, failure=failure)

    def _start(
        self, request: LoadRequest, plan: LaunchPlan, port: int, resources: ExitStack
    ) -> None:
        try:
            server = self._servers.start(plan, port)
            resources.callback(server.end)
            served = server.look()
        except LaunchFailedError:
            raise
        except BaseException:
            # Not even an interrupt may leave a status that speaks of a load that is over.
            self._status = SessionStatus(
                phase=Phase.FAILED,
                reloaded=True,
                failure=Failure(kind=FailureKind.PROTOCOL, message="the load was broken off"),
            )
            raise
        self._running = _Running(
            server=server,
            loaded=LoadedState(request=request, resolved_mode=plan.resolved_mode),
            served=served,
            resources=resources.pop_all(),
        )
        owned = SPECULATIVE_TYPE_FLAG in request.extra_args
        self._status = SessionStatus(
            phase=Phase.RUNNING,
            request=request,
            requested_mode=None if owned else canonical_mode(request.mode).value,
            resolved_mode=None if plan.resolved_mode is None else plan.resolved_mode.value,
            draft_n_max=request.draft_n_max,
            served=served,
            reloaded=True,
            pid=server.pid,
            servers=1,
        )

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.resources.close()


def guards_of(subject: Subject) -> Guards:
    """The guards that come with a subject; the reference ones where it has none."""
    guards = getattr(subject, "guards", None)
    return guards if isinstance(guards, Guards) else Guards()
