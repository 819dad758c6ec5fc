"""The oracle: what a load must have come to, told without asking any guard.

After a load the session must serve what a fresh load of the same request serves. And a server that
already runs may only be restarted when something that matters changed: whether the draft length
matters is asked of the contract, not of the subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from harness.errors import SubjectError
from harness.model import Check, DemandedBy, Failure, LoadRequest
from harness.server.ports import reserved_port
from harness.sessions.servers import RememberedServers
from harness.sessions.session import LoadOutcome, Phase, SessionStatus
from harness.sessions.surroundings import Surroundings
from harness.settings.base import EffectiveState, Situation
from harness.settings.speculation.comparison import TWO_WITNESSES
from harness.settings.speculation.contract import SPECULATIVE_TYPE_FLAG, canonical_mode
from harness.settings.state import SPECULATION, differing, show_state
from harness.subjects import Subject
from harness.verdicts.demands import demands_of

SAME_AS_FRESH_LOAD: Final = "same-as-fresh-load"
NO_NEEDLESS_RELOAD: Final = "no-needless-reload"
SAME_SERVER_KEPT: Final = "same-server-kept"
SAYS_IT_DIED: Final = "says-it-died"
NOTHING_LEFT: Final = "nothing-left"
UNCHANGED_SINCE_LOAD: Final = "unchanged-since-load"

_SHORTEST, _LONGER = 1, 2


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """What a fresh load of a request comes to; exactly one of the three is there."""

    served: EffectiveState | None = None
    failure: Failure | None = None
    refusal: str | None = None


class FreshLoads:
    """Loads requests freshly, each launch once; the rest is memory.

    Args:
        subject: Plans them.
        surroundings: Where.
        servers: Start each launch once for real.
    """

    def __init__(
        self, subject: Subject, surroundings: Surroundings, servers: RememberedServers
    ) -> None:
        self._subject = subject
        self._surroundings = surroundings
        self._servers = servers
        self._known: dict[LoadRequest, Fresh] = {}

    def of(self, request: LoadRequest) -> Fresh:
        """What a fresh load comes to.

        Raises:
            ProtocolError: The server did not answer as a llama-server does.
            DisagreementError: The witnesses contradict each other.
        """
        if request not in self._known:
            self._known[request] = self._load(request)
        return self._known[request]

    def _load(self, request: LoadRequest) -> Fresh:
        with reserved_port() as port:
            try:
                plan = self._subject.plan(request, self._surroundings.target(request, port))
            except SubjectError as error:
                return Fresh(refusal=str(error))
            shown = self._servers.shown(plan, port)
        if isinstance(shown, Failure):
            return Fresh(failure=shown)
        return Fresh(served=shown)


class Oracle:
    """Judges the loads of one session."""

    def __init__(self, fresh: FreshLoads, surroundings: Surroundings) -> None:
        self._fresh = fresh
        self._surroundings = surroundings

    def judge_load(
        self,
        request: LoadRequest,
        outcome: LoadOutcome,
        before: SessionStatus,
        after: SessionStatus,
    ) -> tuple[Check, ...]:
        """What must hold after a load.

        Raises:
            ProtocolError: The fresh server did not answer as a llama-server does.
            DisagreementError: The witnesses contradict each other.
        """
        checks = [self._same_as_fresh(request, outcome, before, after)]
        if outcome.reloaded and before.phase is Phase.RUNNING and before.request is not None:
            checks.append(self._not_needless(request, before.request))
        if not outcome.reloaded and before.phase is Phase.RUNNING:
            checks.append(_same_server(before, after))
        return tuple(checks)

    def contract_remarks(self, request: LoadRequest, served: EffectiveState) -> tuple[str, ...]:
        """Where the effective state is not what the request must mean, fresh load or not."""
        demands = demands_of(DemandedBy.CONTRACT, self._situation(request))
        return tuple(
            f"{check.observed}, against the contract: {check.expected}"
            for check in demands.of_state(served, (), demands.contract)
            if not check.ok and check.name != TWO_WITNESSES  # which is the harness's own doubt
        )

    def _same_as_fresh(
        self,
        request: LoadRequest,
        outcome: LoadOutcome,
        before: SessionStatus,
        after: SessionStatus,
    ) -> Check:
        fresh = self._fresh.of(request)
        if fresh.refusal is not None or outcome.refusal is not None:
            # A refused request is no load: what was loaded before goes on.
            kept, kept_now = _where_unlike(before.served, after.served)
            expected = f"refused; {kept}" if fresh.refusal else "accepted"
            observed = f"refused; {kept_now}" if outcome.refusal else "accepted"
        elif fresh.failure is not None:
            # Applications name failures in their own ways, so the kind is not compared.
            expected = "the start fails, nothing loaded"
            observed = _where_unlike(None, after.served)[1]
            if outcome.failure is not None:
                observed = f"the start fails, {observed}"
        else:
            expected, observed = _where_unlike(fresh.served, after.served)
            if outcome.failure is not None:
                observed += f" (the start failed: {outcome.failure.message})"
        return Check(
            name=SAME_AS_FRESH_LOAD, expected=expected, observed=observed, ok=expected == observed
        )

    def _not_needless(self, request: LoadRequest, running: LoadRequest) -> Check:
        changed = self.what_matters(request) != self.what_matters(running)
        return Check(
            name=NO_NEEDLESS_RELOAD,
            expected="no reload where nothing that matters changed",
            observed="something that matters changed" if changed else "the server was restarted",
            ok=changed,
        )

    def what_matters(self, request: LoadRequest) -> LoadRequest:
        """The request without what cannot make a difference: two that are equal mean the same.

        The mode in its canonical spelling; no mode where extra arguments own speculation; no
        draft length where the contract demands the same for every length.
        """
        owned = SPECULATIVE_TYPE_FLAG in request.extra_args
        return replace(
            request,
            mode=None if owned else canonical_mode(request.mode).value,
            draft_n_max=request.draft_n_max if self._length_matters(request) else None,
        )

    def _length_matters(self, request: LoadRequest) -> bool:
        return self._demand(request, _SHORTEST) != self._demand(request, _LONGER)

    def _demand(self, request: LoadRequest, length: int) -> Mapping[str, Any]:
        situation = self._situation(replace(request, draft_n_max=length))
        return demands_of(DemandedBy.CONTRACT, situation).contract

    def _situation(self, request: LoadRequest) -> Situation:
        return Situation(
            request=request,
            capabilities=self._surroundings.capabilities,
            host=self._surroundings.host,
            model=self._surroundings.model(request.model),
        )


def judge_end(after: SessionStatus, *, killed: bool) -> tuple[Check, ...]:
    """What must hold after an unload, or after the server was killed from outside."""
    left = Check(
        name=NOTHING_LEFT,
        expected="no server runs",
        observed=f"{after.servers} run" if after.servers else "no server runs",
        ok=after.servers == 0,
    )
    if not killed:
        return (left,)
    told = after.phase is not Phase.RUNNING
    died = Check(
        name=SAYS_IT_DIED,
        expected="the session says that its server is gone",
        observed=after.phase.value,
        ok=told,
    )
    return (left, died)


def judge_look(loaded: EffectiveState | None, seen: EffectiveState | None) -> Check:
    """A server that was kept still does what it did after its start."""
    expected, observed = _where_unlike(loaded, seen)
    return Check(
        name=UNCHANGED_SINCE_LOAD, expected=expected, observed=observed, ok=expected == observed
    )


def _where_unlike(
    expected: EffectiveState | None, observed: EffectiveState | None
) -> tuple[str, str]:
    """Two states in words: their speculation, and the other settings in which they differ."""
    names = {SPECULATION}
    if expected is not None and observed is not None:
        names |= differing(expected, observed)
    return show_state(expected, names), show_state(observed, names)


def _same_server(before: SessionStatus, after: SessionStatus) -> Check:
    return Check(
        name=SAME_SERVER_KEPT,
        expected=f"one server, process {before.pid}",
        observed=f"{'one server' if after.servers == 1 else f'{after.servers} servers'}, "
        f"process {after.pid}",
        ok=after.pid == before.pid and after.servers == 1,
    )
