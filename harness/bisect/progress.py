"""Tells the user, in plain lines, what a bisection does."""

from collections.abc import Callable, Sequence

from harness.bisect.journal import Step
from harness.bisect.legs import Leg
from harness.bisect.lookahead import Wanted
from harness.bisect.search import Answer, Boundary
from harness.bisect.trial import AxisName, Trial


class Reporter:
    """Is told of every step, and writes a line for each.

    Args:
        say: Shows one line to the user.
        axes: What varies, and has to be named in each line.
    """

    def __init__(self, say: Callable[[str], None], axes: Sequence[AxisName]) -> None:
        self._say = say
        self._axes = axes

    def acquiring(self, wanted: Wanted) -> None:
        """A point is not stored yet and is being fetched or compiled."""
        self._say(f"acquiring {wanted.axis} {wanted.id}")

    def running(self, trial: Trial) -> None:
        """A point is run for the first time."""
        self._say(f"running {self._name(trial)}")

    def hinted(self, why: str, builds: Sequence[str]) -> None:
        """The atlas knows a change that may be the one; these builds are tested first."""
        self._say(f"{why}: {' and '.join(builds)} first")

    def stepped(self, step: Step, left: int, leg: Leg | None, where: Boundary | None) -> None:
        """A point is answered; ``left`` more to go, and the window as it is now."""
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
