"""Runs steps on a session, and has the oracle judge each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from harness.model import Check, Verdict
from harness.server import LaunchFailedError
from harness.server.http import ProtocolError
from harness.sessions.oracle import Oracle, judge_end, judge_look
from harness.sessions.script import Interruption, Load, Step
from harness.sessions.session import LoadOutcome, Session, SessionStatus
from harness.settings.base import DisagreementError

LOOK_AGAIN_EVERY: Final = 10
"""One kept load in this many has its server observed again."""


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One step and what came of it.

    Attributes:
        number: From 1.
        step: What was done.
        before: The session before it.
        after: The session after it.
        outcome: Of a load; None for other steps.
        checks: What had to hold.
        verdict: ``error`` where the harness could not tell.
        looked_again: A kept server was observed once more.
        remarks: For the reader, no part of the verdict.
    """

    number: int
    step: Step
    before: SessionStatus
    after: SessionStatus
    outcome: LoadOutcome | None
    checks: tuple[Check, ...]
    verdict: Verdict
    looked_again: bool = False
    remarks: tuple[str, ...] = ()


class Runner:
    """One session from its first step to its last."""

    def __init__(
        self, session: Session, oracle: Oracle, *, look_again_every: int = LOOK_AGAIN_EVERY
    ) -> None:
        self._session = session
        self._oracle = oracle
        self._look_again_every = look_again_every
        self._steps = 0
        self._kept = 0

    def run(self, steps: Iterable[Step]) -> Iterator[StepReport]:
        """Take the steps one by one; the server that is left at the end is observed again."""
        steps = tuple(steps)
        for number, step in enumerate(steps, start=1):
            yield self.take(step, last=number == len(steps))

    def take(self, step: Step, *, last: bool = False) -> StepReport:
        """Take one step."""
        self._steps += 1
        before = self._session.status()
        outcome: LoadOutcome | None = None
        checks: tuple[Check, ...] = ()
        remarks: tuple[str, ...] = ()
        looked_again = False
        try:
            match step:
                case Load(request=request):
                    outcome = self._session.load(request)
                    after = self._session.status()
                    checks = self._oracle.judge_load(request, outcome, before, after)
                    if not outcome.reloaded and after.served is not None:
                        self._kept += 1
                        looked_again = last or self._kept % self._look_again_every == 0
                    if looked_again:
                        checks += (judge_look(after.served, self._session.look()),)
                    if after.served is not None and outcome.refusal is None:
                        remarks = self._oracle.contract_remarks(request, after.served)
                case Interruption.UNLOAD:
                    self._session.unload()
                    checks = judge_end(self._session.status(), killed=False)
                case Interruption.KILL:
                    self._session.kill()
                    checks = judge_end(self._session.status(), killed=before.served is not None)
        except (ProtocolError, DisagreementError, LaunchFailedError) as error:
            remarks = (f"cannot tell: {error}",)
            return self._report(step, before, outcome, checks, remarks, verdict=Verdict.ERROR)
        failed = any(not check.ok for check in checks)
        return self._report(
            step,
            before,
            outcome,
            checks,
            remarks,
            verdict=Verdict.FAIL if failed else Verdict.PASS,
            looked_again=looked_again,
        )

    def _report(
        self,
        step: Step,
        before: SessionStatus,
        outcome: LoadOutcome | None,
        checks: tuple[Check, ...],
        remarks: tuple[str, ...],
        *,
        verdict: Verdict,
        looked_again: bool = False,
    ) -> StepReport:
        return StepReport(
            number=self._steps,
            step=step,
            before=before,
            after=self._session.status(),
            outcome=outcome,
            checks=checks,
            verdict=verdict,
            looked_again=looked_again,
            remarks=remarks,
        )
