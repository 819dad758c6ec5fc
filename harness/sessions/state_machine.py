"""The random session: a Hypothesis state machine over load requests."""

from typing import Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from harness.capabilities import Capabilities
from harness.model import LoadRequest, Verdict
from harness.sessions.requests import Change, changed, changes, requests
from harness.sessions.runner import StepReport
from harness.sessions.script import Interruption, Load, Step


class Walk(Protocol):
    """One session that the machine takes through its steps."""

    def take(self, step: Step) -> StepReport | None:
        """Take a step and have it judged; None where the search has taken all its steps."""

    def close(self) -> None:
        """End the session."""


class Walks(Protocol):
    """Opens a session for each walk."""

    def open(self) -> Walk:
        """A session with nothing loaded."""


class StepFailedError(AssertionError):
    """A step that is not as the oracle demands, or that the oracle could not judge."""

    def __init__(self, report: StepReport) -> None:
        super().__init__(f"step {report.number}: {report.verdict.value}")
        self.report = report


def session_machine(walks: Walks, capabilities: Capabilities) -> type[RuleBasedStateMachine]:
    """The machine for one subject on one build."""

    class SessionMachine(RuleBasedStateMachine):
        """Whole requests, requests with one field changed, repetitions, ends."""

        def __init__(self) -> None:
            super().__init__()
            self._walk = walks.open()
            self._request: LoadRequest | None = None

        @rule(request=requests(capabilities))
        def load(self, request: LoadRequest) -> None:
            """Ask for anything."""
            self._request = request
            self._take(Load(request=request))

        @precondition(lambda self: self._request is not None)
        @rule(change=changes(capabilities))
        def change(self, change: Change) -> None:
            """Ask for the same with one field changed."""
            assert self._request is not None
            self.load_again(changed(self._request, change))

        @precondition(lambda self: self._request is not None)
        @rule()
        def repeat(self) -> None:
            """Ask for the same once more."""
            assert self._request is not None
            self.load_again(self._request)

        @precondition(lambda self: self._request is not None)
        @rule(interruption=st.sampled_from(list(Interruption)))
        def interrupt(self, interruption: Interruption) -> None:
            """Unload, or kill the server from outside."""
            self._take(interruption)

        def load_again(self, request: LoadRequest) -> None:
            self._request = request
            self._take(Load(request=request))

        def teardown(self) -> None:
            """End the session."""
            self._walk.close()

        def _take(self, step: Step) -> None:
            report = self._walk.take(step)
            if report is not None and report.verdict is not Verdict.PASS:
                raise StepFailedError(report)

    return SessionMachine
