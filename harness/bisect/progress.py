"""Tells the user, in plain lines, what a bisection does."""

from collections.abc import Callable

from harness.bisect.journal import Step
from harness.bisect.legs import Leg
from harness.bisect.lookahead import Wanted
from harness.bisect.search import Answer, Boundary
from harness.bisect.trial import Trial


class Lines:
    """Writes one line for each step; both observer and watcher.

    Args:
        say: Shows one line to the user.
        axes: Both axes vary, so each line has to name both.
    """

    def __init__(self, say: Callable[[str], None], *, both_axes: bool = False) -> None:
        self._say = say
        self._both_axes = both_axes

    def acquiring(self, trial: Trial, wanted: Wanted) -> None:  # noqa: ARG002 - one is enough
        """See ``Watcher``."""
        self._say(f"acquiring {wanted.axis} {wanted.id}")

    def running(self, trial: Trial, runs: int) -> None:
        """See ``Watcher``."""
        if runs == 0:
            self._say(f"running {self._name(trial, None)}")

    def stepped(self, step: Step, left: int, leg: Leg | None, where: Boundary | None) -> None:
        """See ``Observer``."""
        answer = step.answer.value
        if step.tally.runs > 1:
            answer += f" ({step.tally.failures} of {step.tally.runs} runs fail)"
        line = f"{self._name(step.trial, leg)}: {answer}"
        if step.answer is not Answer.GOOD:
            line += f", {step.outcome.reason}"
        if leg is not None and where is not None:
            good, bad = leg.points[where.before].id, leg.points[where.after].id
            line += f" | window {good} (good) … {bad} (bad)"
        steps = "step" if left == 1 else "steps"
        self._say(f"{line} | {left} {steps} left")

    def _name(self, trial: Trial, leg: Leg | None) -> str:
        if leg is not None and not self._both_axes:
            return trial.along(leg.axis)
        return f"{trial.build} under {trial.subject}"


class Silence:
    """Says nothing."""

    def acquiring(self, trial: Trial, wanted: Wanted) -> None:
        """See ``Watcher``."""

    def running(self, trial: Trial, runs: int) -> None:
        """See ``Watcher``."""

    def stepped(self, step: Step, left: int, leg: Leg | None, where: Boundary | None) -> None:
        """See ``Observer``."""
