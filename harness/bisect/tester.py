"""Answers one point: has it acquired, then runs it once or as often as the confidence needs."""

import time
from collections.abc import Callable, Mapping

from harness.bisect.confidence import END_RUNS, MOST_RUNS, Rates, Tally
from harness.bisect.journal import Notebook, Step
from harness.bisect.lookahead import Lookahead, Wanted
from harness.bisect.progress import Reporter
from harness.bisect.search import Answer
from harness.bisect.trial import Outcome, Signature, Trial
from harness.errors import EXIT_USAGE, BisectionError, HarnessError

Tester = Callable[[Trial, tuple[Trial, ...], Notebook], Step]
"""Answers the first trial; the others may come next."""

Predicate = Callable[[Trial, Signature | None], Outcome]
"""Runs a trial once, whose build and subject are there; the signature is the failure's that is
bisected, None at the bad end, where it is taken. Raises ``BisectionError`` to stop the bisection.
"""


def recorded(steps: Mapping[Trial, Step]) -> Tester:
    """Answers from the steps of a journal, and from nothing else."""

    def test(trial: Trial, _ahead: tuple[Trial, ...], _notebook: Notebook) -> Step:
        if trial not in steps:
            raise BisectionError(
                f"the journal ends before {trial.build} under {trial.subject} was tested; "
                "`bisect resume` goes on there"
            )
        return steps[trial]

    return test


class LiveTester:
    """Answers by acquiring and running.

    Args:
        predicate: What is asked of each point.
        lookahead: Acquires points.
        stored: Whether a point costs nothing to acquire.
        reporter: Is told what a point is waiting for.
    """

    def __init__(
        self,
        *,
        predicate: Predicate,
        lookahead: Lookahead,
        stored: Callable[[Wanted], bool],
        reporter: Reporter,
    ) -> None:
        self._predicate = predicate
        self._lookahead = lookahead
        self._stored = stored
        self._reporter = reporter

    def __call__(self, trial: Trial, ahead: tuple[Trial, ...], notebook: Notebook) -> Step:
        """See ``Tester``."""
        began = time.monotonic()
        following = [each for trial in ahead for each in self._missing(trial)]
        try:
            for wanted in self._missing(trial):
                self._reporter.acquiring(wanted)
                self._lookahead.get(wanted, following)
        except HarnessError as error:
            if error.exit_code == EXIT_USAGE:
                raise
            outcome = Outcome(answer=Answer.UNTESTABLE, reason=str(error))
            waited = time.monotonic() - began
            return Step(trial=trial, outcome=outcome, answer=outcome.answer, acquire_s=waited)
        acquired = time.monotonic()
        self._lookahead.want(following)
        outcome, answer, tally = self._runs(trial, notebook)
        return Step(
            trial=trial,
            outcome=outcome,
            answer=answer,
            tally=tally,
            acquire_s=acquired - began,
            test_s=time.monotonic() - acquired,
        )

    def _missing(self, trial: Trial) -> list[Wanted]:
        both = [Wanted(axis="build", id=trial.build), Wanted(axis="subject", id=trial.subject)]
        return [each for each in both if not self._stored(each)]

    def _runs(self, trial: Trial, notebook: Notebook) -> tuple[Outcome, Answer, Tally]:
        """Run as often as it takes: the run that stands for all, and what they say together."""
        anchor = notebook.anchor
        tally = Tally()
        seen: dict[Answer, Outcome] = {}
        self._reporter.running(trial)
        while True:
            outcome = self._predicate(trial, anchor)
            seen.setdefault(outcome.answer, outcome)
            tally = tally.plus(outcome.answer)
            answer = _decide(trial, outcome, tally, notebook)
            if answer is not None:
                return seen.get(answer, outcome), answer, tally
            if anchor is None:
                anchor = outcome.signature


def _decide(trial: Trial, outcome: Outcome, tally: Tally, notebook: Notebook) -> Answer | None:
    """What the runs say so far; None when another one is needed."""
    question = notebook.question
    confidence = question.confidence
    if confidence is None or not outcome.answer.decides:
        return outcome.answer
    enough = tally.runs >= MOST_RUNS
    if trial == question.bad:
        if tally.failures >= END_RUNS:
            return Answer.BAD
        return (Answer.BAD if tally.failures else Answer.GOOD) if enough else None
    bad = notebook.steps[question.bad].tally
    good = tally if trial == question.good else notebook.steps[question.good].tally
    answer = None
    # The good end as often as the bad one: else its rate is known better than this one.
    if trial != question.good or tally.runs >= bad.runs:
        answer = Rates.of_ends(good=good, bad=bad, confidence=confidence).judge(tally)
    return Answer.FLAKY if answer is None and enough else answer
