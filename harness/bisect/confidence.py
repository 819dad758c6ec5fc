"""How often a flaky point has to be run until its answer can be stated with a given confidence.

The two ends are run several times; how often the failure showed there gives the two rates. Each
point in between is then run until the sequential probability ratio test of Wald (1945) decides
which of the two rates it has.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from harness.bisect.search import Answer

END_RUNS = 10
"""Runs of each end, and failures that the bad end must have shown before its rate counts."""
MOST_RUNS = 200
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
    """What is sure about how probable the failure is in one run.

    Attributes:
        good: It is at most this on a good point.
        bad: It is at least this on a bad one.
        confidence: With which each of the two is stated, and each answer is given.
    """

    good: float
    bad: float
    confidence: float

    @classmethod
    def of_ends(cls, *, good: Tally, bad: Tally, confidence: float) -> "Rates":
        """Estimate from the runs of the ends.

        Half of the doubt that ``confidence`` leaves goes to the rates, half to the answers: rates
        taken at face value from a few runs would make the answers look surer than they are.
        """
        each = 1 - (1 - confidence) / 2
        return cls(
            good=1 - _at_least(good.passes, good.runs, each),
            bad=_at_least(bad.failures, bad.runs, each),
            confidence=each,
        )

    def judge(self, tally: Tally) -> Answer | None:
        """What the runs of a point say; None when more are needed."""
        if self.bad <= self.good:
            return None
        evidence = tally.failures * math.log(self.bad / self.good) + tally.passes * math.log(
            (1 - self.bad) / (1 - self.good)
        )
        threshold = math.log(self.confidence / (1 - self.confidence))
        if evidence >= threshold:
            return Answer.BAD
        if evidence <= -threshold:
            return Answer.GOOD
        return None


def _at_least(hits: int, runs: int, confidence: float) -> float:
    """The lower end of Wilson's interval for a rate."""
    z = NormalDist().inv_cdf(confidence)
    rate = hits / runs
    middle = rate + z * z / (2 * runs)
    spread = z * math.sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs))
    return max((middle - spread) / (1 + z * z / runs), 1e-6)
