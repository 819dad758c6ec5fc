"""Answers one point: has it acquired, then runs it once or as often as the confidence needs."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from harness.bisect.confidence import END_RUNS, MOST_RUNS, Rates, Tally
from harness.bisect.journal import Notebook, Step
from harness.bisect.lookahead import Lookahead, Wanted
from harness.bisect.predicate import Predicate
from harness.bisect.search import Answer
from harness.bisect.trial import Outcome, Signature, Trial
from harness.errors import EXIT_USAGE, BisectionError, HarnessError


class Tester(Protocol):
    """Answers a point."""

    def test(self, trial: Trial, ahead: tuple[Trial, ...], notebook: Notebook) -> Step:
        """Answer ``trial``; ``ahead`` may come next.

        Raises:
            BisectionError: The bisection has to stop.
        """


class Watcher(Protocol):
    """Is told what a point is waiting for."""

    def acquiring(self, trial: Trial, wanted: Wanted) -> None:
        """A point is not stored yet and is being fetched or compiled."""

    def running(self, trial: Trial, runs: int) -> None:
        """A point is run; ``runs`` went before."""


def anchor_of(notebook: Notebook) -> Signature | None:
    """The failure that is bisected, as the bad end showed it; None until that is tested."""
    bad = notebook.steps.get(notebook.question.bad)
    return bad.outcome.signature if bad else None


class RecordedTester:
    """Answers from the steps of a journal, and from nothing else."""

    def __init__(self, steps: Mapping[Trial, Step]) -> None:
        self._steps = steps

    def test(self, trial: Trial, ahead: tuple[Trial, ...], notebook: Notebook) -> Step:  # noqa: ARG002
        """See ``Tester``."""
        step = self._steps.get(trial)
        if step is None:
            raise BisectionError(
                f"the journal ends before {trial.build} under {trial.subject} was tested; "
                "`bisect resume` goes on there"
            )
        return step


class LiveTester:
    """Answers by acquiring and running.

    Args:
        predicate: What is asked of each point.
        lookahead: Acquires points.
        stored: Whether a point costs nothing to acquire.
        watcher: Is told what a point is waiting for.
    """

    def __init__(
        self,
        *,
        predicate: Predicate,
        lookahead: Lookahead,
        stored: Callable[[Wanted], bool],
        watcher: Watcher,
    ) -> None:
        self._predicate = predicate
        self._lookahead = lookahead
        self._stored = stored
        self._watcher = watcher

    def test(self, trial: Trial, ahead: tuple[Trial, ...], notebook: Notebook) -> Step:
        """See ``Tester``."""
        began = time.monotonic()
        following = [each for trial in ahead for each in self._missing(trial)]
        try:
            for wanted in self._missing(trial):
                self._watcher.acquiring(trial, wanted)
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
        anchor = anchor_of(notebook)
        tally = Tally()
        seen: dict[Answer, Outcome] = {}
        while True:
            self._watcher.running(trial, tally.runs)
            outcome = self._predicate.run(trial, anchor)
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
    if trial == question.good:
        # As many runs as the bad end took: else its rate is known better than this one.
        good = tally
        answer = None
        if tally.runs >= bad.runs:
            answer = Rates.of_ends(good=good, bad=bad, confidence=confidence).judge(tally)
    else:
        good = notebook.steps[question.good].tally
        answer = Rates.of_ends(good=good, bad=bad, confidence=confidence).judge(tally)
    return Answer.FLAKY if answer is None and enough else answer
