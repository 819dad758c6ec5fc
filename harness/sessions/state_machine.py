"""The random session: a Hypothesis state machine over load requests."""

from typing import Final, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from harness.flags.capabilities import Capabilities
from harness.model import Verdict
from harness.sessions.requests import FIRST, Wish, request_for, wishes
from harness.sessions.runner import StepReport
from harness.sessions.script import Interruption, Load, Step

LOADS_BETWEEN_INTERRUPTIONS: Final = 6


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
        """Loads, and now and then the end of the server."""

        def __init__(self) -> None:
            super().__init__()
            self._walk = walks.open()
            self._last = FIRST
            self._loads = 0

        @rule(wish=wishes(capabilities))
        def load(self, wish: Wish) -> None:
            """Ask for something."""
            self._last = request_for(wish, self._last)
            self._loads += 1
            self._take(Load(request=self._last))

        @precondition(lambda self: self._loads >= LOADS_BETWEEN_INTERRUPTIONS)
        @rule(interruption=st.sampled_from(list(Interruption)))
        def interrupt(self, interruption: Interruption) -> None:
            """Unload, or kill the server from outside."""
            self._loads = 0
            self._take(interruption)

        def teardown(self) -> None:
            """End the session."""
            self._walk.close()

        def _take(self, step: Step) -> None:
            report = self._walk.take(step)
            if report is not None and report.verdict is not Verdict.PASS:
                raise StepFailedError(report)

    return SessionMachine
