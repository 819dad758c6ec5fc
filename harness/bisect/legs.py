"""Along which lines to search: one axis, or what of two axes the failure depends on."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from typing import Literal

from harness.bisect.journal import Point, Question
from harness.bisect.search import Answer
from harness.bisect.trial import AxisName, Trial

Blame = Literal["build", "subject", "either", "both together", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One search along one axis, with the other one fixed.

    Attributes:
        axis: What varies.
        fixed: The build's id or the subject's specification that does not.
        points: From the good end to the bad end.
    """

    axis: AxisName
    fixed: str
    points: tuple[Point, ...]

    def trial(self, at: int) -> Trial:
        """What to test at a position."""
        varying = self.points[at].id
        if self.axis == "build":
            return Trial(build=varying, subject=self.fixed)
        return Trial(build=self.fixed, subject=varying)


def corners(question: Question) -> tuple[Trial, Trial]:
    """The bad build under the good subject, and the good build under the bad subject."""
    return (
        Trial(build=question.bad.build, subject=question.good.subject),
        Trial(build=question.good.build, subject=question.bad.subject),
    )


def plan_legs(
    question: Question, answer: Callable[[Trial], Answer]
) -> tuple[tuple[Leg, ...], Blame]:
    """The searches that answer the question, and which axis the failure is due to.

    With both axes the two mixed corners are tested. A bad corner shows that its axis alone is
    enough to fail. Where both corners are good, only the combination fails: each axis is then
    searched with the other one at its bad end.

    Returns:
        The blame is undecided where a corner cannot be tested and the other one is good; there is
        no leg at all where neither can be tested.
    """

    def legs(over_builds: bool, over_subjects: bool, fixed: Trial) -> tuple[Leg, ...]:
        both = (
            Leg(axis="build", fixed=fixed.subject, points=question.builds),
            Leg(axis="subject", fixed=fixed.build, points=question.subjects),
        )
        return tuple(compress(both, (over_builds, over_subjects)))

    if len(question.axes) == 1:
        only = legs("build" in question.axes, "subject" in question.axes, question.good)
        return only, only[0].axis
    with_bad_build, with_bad_subject = (answer(corner) for corner in corners(question))
    bad, good = Answer.BAD, Answer.GOOD
    alone = legs(with_bad_build is bad, with_bad_subject is bad, question.good)
    if alone:
        return alone, "either" if len(alone) > 1 else alone[0].axis
    together = legs(with_bad_subject is good, with_bad_build is good, question.bad)
    return together, "both together" if len(together) > 1 else "undecided"
