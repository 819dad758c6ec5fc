"""How often a flaky point has to be run until its answer can be stated with a given confidence.

The two ends are run several times; how often the failure showed there gives the two rates. Each
point in between is then run until the sequential probability ratio test of Wald (1945) decides
which of the two rates it has.
"""

import math
from dataclasses import dataclass

from harness.bisect.search import Answer

END_RUNS = 10
"""Runs of each end; ten that agree make a single run of any other point decide at 0.95."""
MOST_RUNS = 100
"""Runs of one point after which it counts as flaky."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How the runs of one point ended."""

    failures: int = 0
    passes: int = 0

    @property
    def runs(self) -> int:
        """All of them."""
        return self.failures + self.passes

    def plus(self, answer: Answer) -> "Tally":
        """The tally with one more run; a run that decides nothing does not count."""
        return Tally(
            failures=self.failures + (answer is Answer.BAD),
            passes=self.passes + (answer is Answer.GOOD),
        )


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How probable the failure is in one run of a good point, and of a bad one."""

    good: float
    bad: float

    @classmethod
    def of_ends(cls, *, good: Tally, bad: Tally) -> "Rates":
        """Estimate from the ends; never quite 0 or 1, since few runs prove neither."""
        return cls(good=_estimate(good), bad=_estimate(bad))

    def judge(self, tally: Tally, confidence: float) -> Answer | None:
        """What the runs say at this confidence; None when more are needed."""
        if self.bad <= self.good:
            return None
        evidence = tally.failures * math.log(self.bad / self.good) + tally.passes * math.log(
            (1 - self.bad) / (1 - self.good)
        )
        # A threshold that a whole number of runs meets exactly must not be missed by rounding.
        threshold = math.log(confidence / (1 - confidence)) - 1e-9
        if evidence >= threshold:
            return Answer.BAD
        if evidence <= -threshold:
            return Answer.GOOD
        return None


def _estimate(tally: Tally) -> float:
    return (tally.failures + 0.5) / (tally.runs + 1)
