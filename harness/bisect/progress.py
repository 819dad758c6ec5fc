"""Tells the user, in plain lines, what a bisection does."""

from collections.abc import Callable, Sequence

from harness.bisect.journal import Step
from harness.bisect.legs import Leg
from harness.bisect.lookahead import Wanted
from harness.bisect.search import Answer, Boundary
from harness.bisect.trial import AxisName, Trial


class Lines:
    """Writes one line for each step; both observer and watcher.

    Args:
        say: Shows one line to the user.
        axes: What varies, and has to be named in each line.
    """

    def __init__(self, say: Callable[[str], None], axes: Sequence[AxisName]) -> None:
        self._say = say
        self._axes = axes

    def acquiring(self, trial: Trial, wanted: Wanted) -> None:  # noqa: ARG002 - one is enough
        """See ``Watcher``."""
        self._say(f"acquiring {wanted.axis} {wanted.id}")

    def running(self, trial: Trial, runs: int) -> None:
        """See ``Watcher``."""
        if runs == 0:
            self._say(f"running {self._name(trial)}")

    def stepped(self, step: Step, left: int, leg: Leg | None, where: Boundary | None) -> None:
        """See ``Observer``."""
        answer = step.answer.value
        if step.tally.runs > 1:
            answer += f" ({step.tally.failures} of {step.tally.runs} runs fail)"
        line = f"{self._name(step.trial)}: {answer}"
        if step.answer is not Answer.GOOD:
            line += f", {step.outcome.reason}"
        if leg is not None and where is not None:
            good, bad = leg.points[where.before].id, leg.points[where.after].id
            line += f" | window {good} (good) … {bad} (bad)"
        steps = "step" if left == 1 else "steps"
        self._say(f"{line} | {left} {steps} left")

    def _name(self, trial: Trial) -> str:
        if len(self._axes) == 1:
            return trial.along(self._axes[0])
        return f"{trial.build} under {trial.subject}"


class Silence:
    """Says nothing."""

    def acquiring(self, trial: Trial, wanted: Wanted) -> None:
        """See ``Watcher``."""

    def running(self, trial: Trial, runs: int) -> None:
        """See ``Watcher``."""

    def stepped(self, step: Step, left: int, leg: Leg | None, where: Boundary | None) -> None:
        """See ``Observer``."""
