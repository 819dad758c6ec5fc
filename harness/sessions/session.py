"""What every session can do, and what it says of itself."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from harness.model import Failure, LoadRequest
from harness.settings.base import EffectiveState


class Phase(StrEnum):
    """Where a session stands."""

    EMPTY = "empty"
    """Nothing was loaded yet, or what was loaded is unloaded."""
    LOADING = "loading"
    """A load is going on; the old server has been ended."""
    RUNNING = "running"
    FAILED = "failed"
    """The last load failed: no server runs."""
    DIED = "died"
    """The server ended by itself or was killed from outside."""


class KeptBy(StrEnum):
    """Which guard found the running server good enough."""

    ROUTE = "route"
    BACKEND = "backend"
    SUBJECT = "subject"
    """The application, which does not tell which of its guards it was."""


@dataclass(frozen=True, kw_only=True)
class SessionStatus:
    """A session at one moment.

    Attributes:
        phase: Where it stands.
        request: What the running server was started for; None where none runs.
        requested_mode: Of that request, in the subject's own canonical words; None where extra
            arguments own speculation.
        resolved_mode: What the subject settled on, in its own words.
        draft_n_max: Of that request, None where it was not given.
        served: What the running server does, as observed after its start.
        reloaded: Whether the last load started a server.
        failure: Why no server runs, in phases failed and died.
        pid: Of the running server.
        servers: How many servers of this session run; more than one and one is lost.
    """

    phase: Phase
    request: LoadRequest | None = None
    requested_mode: str | None = None
    resolved_mode: str | None = None
    draft_n_max: int | None = None
    served: EffectiveState | None = None
    reloaded: bool = False
    failure: Failure | None = None
    pid: int | None = None
    servers: int = 0


@dataclass(frozen=True, kw_only=True)
class LoadOutcome:
    """What came of one load.

    Attributes:
        reloaded: A server was started, or the start was tried.
        kept_by: The guard that kept the running server; None where it was not kept.
        refusal: Why the subject refused the request before anything was touched.
        failure: Why the start failed; nothing runs then.
        plan_reason: Why the plan gives less than was asked.
    """

    reloaded: bool
    kept_by: KeptBy | None = None
    refusal: str | None = None
    failure: Failure | None = None
    plan_reason: str | None = None


class Session(Protocol):
    """Loads, reloads and unloads one server through a subject."""

    def load(self, request: LoadRequest) -> LoadOutcome:
        """Make the running server what is asked for, unless a guard says that it is.

        Raises:
            ProtocolError: The new server did not answer as a llama-server does; it is ended.
            DisagreementError: The witnesses contradict each other; it is ended.
        """

    def unload(self) -> None:
        """End the server; harmless where none runs."""

    def status(self) -> SessionStatus:
        """How it stands; never waits for a load."""

    def look(self) -> EffectiveState | None:
        """Observe the running server now; None where none runs.

        Raises:
            ProtocolError: It did not answer as a llama-server does.
            DisagreementError: The witnesses contradict each other.
        """

    def kill(self) -> None:
        """Kill the server behind the session's back; harmless where none runs."""

    def close(self) -> None:
        """End everything; the session is over."""
