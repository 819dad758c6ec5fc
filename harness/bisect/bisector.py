"""The loop: asks the search for a point, has it answered, and writes that down."""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from harness.bisect.journal import Notebook, Step
from harness.bisect.legs import Blame, Leg, corners, plan_legs
from harness.bisect.progress import Reporter
from harness.bisect.search import (
    Answer,
    Boundary,
    boundaries,
    next_point,
    possible_next,
    steps_left,
    window,
)
from harness.bisect.tester import Tester
from harness.bisect.trial import Signature, Trial
from harness.errors import BisectionError

Hinter = Callable[[Step], tuple[str, ...]]
"""The builds to test first, by the step of the bad end."""


@dataclass(frozen=True, kw_only=True)
class LegResult:
    """What one search found.

    Attributes:
        leg: The search.
        answers: Every known answer by position.
        boundary: The change that the bad end goes back to.
        boundaries: Every change that was found, this one included.
    """

    leg: Leg
    answers: dict[int, Answer]
    boundary: Boundary
    boundaries: tuple[Boundary, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a bisection found; ``signature`` is the failure that it is about."""

    legs: tuple[LegResult, ...]
    blame: Blame
    signature: Signature | None


class Bisector:
    """One bisection; its whole state is the notebook.

    Args:
        notebook: The steps so far; takes the new ones.
        tester: Answers a point.
        reporter: Is told of every answer.
        hint: Says by the bad end's step which builds to test first; asked once.
    """

    def __init__(
        self,
        notebook: Notebook,
        tester: Tester,
        reporter: Reporter,
        hint: Hinter | None = None,
    ) -> None:
        self._hint = hint
        self._notebook = notebook
        self._question = notebook.question
        self._tester = tester
        self._reporter = reporter

    def run(self) -> Finding:
        """Bisect to the end, from wherever the notebook stands.

        Raises:
            BisectionError: An end is not as claimed, or the predicate asked to stop.
        """
        self._verify_ends()
        legs, blame = plan_legs(self._question, lambda trial: self._answer(trial).answer)
        if not legs:
            raise BisectionError(
                f"neither {self._question.bad.build} under {self._question.good.subject} nor "
                f"{self._question.good.build} under {self._question.bad.subject} can be tested, "
                "so build and subject cannot be told apart; bisect over one of them"
            )
        results = tuple(self._search(leg) for leg in legs)
        return Finding(legs=results, blame=blame, signature=self._notebook.anchor)

    def _verify_ends(self) -> None:
        # The bad end first: without its failure there is nothing to anchor the good end to.
        bad, good = self._question.bad, self._question.good
        for trial, claimed in ((bad, Answer.BAD), (good, Answer.GOOD)):
            step = self._answer(trial, ahead=self._after_end(trial))
            if step.answer is not claimed:
                raise BisectionError(_wrong_end(step, claimed))

    def _after_end(self, end: Trial) -> tuple[Trial, ...]:
        """What comes after an end, if it is as claimed."""
        question = self._question
        if end == question.bad:
            return (question.good,)
        if len(question.axes) > 1:
            return corners(question)[:1]
        (leg,), _ = plan_legs(question, lambda _: Answer.UNTESTABLE)
        last = len(leg.points) - 1
        at = next_point(
            last + 1,
            {0: Answer.GOOD, last: Answer.BAD},
            stored=self._stored(leg),
            stride=question.stride,
            hints=self._hints(leg),
        )
        return () if at is None else (leg.trial(at),)

    def _stored(self, leg: Leg) -> frozenset[int]:
        stored = self._question.stored
        return frozenset(at for at, point in enumerate(leg.points) if point.id in stored)

    def _hints(self, leg: Leg) -> tuple[int, ...]:
        at = {point.id: at for at, point in enumerate(leg.points)}
        return tuple(at[each] for each in self._notebook.hints if each in at)

    def _search(self, leg: Leg) -> LegResult:
        count, stride = len(leg.points), self._question.stride
        stored, hints = self._stored(leg), self._hints(leg)
        while True:
            answers = self._answers(leg)
            at = next_point(count, answers, stored=stored, stride=stride, hints=hints)
            if at is None:
                break
            ahead = possible_next(count, answers, at, stored=stored, stride=stride, hints=hints)
            self._answer(leg.trial(at), leg, tuple(leg.trial(each) for each in ahead))
        boundary = window(answers)
        assert boundary is not None, "the ends of every leg are verified"
        return LegResult(
            leg=leg, answers=answers, boundary=boundary, boundaries=boundaries(answers)
        )

    def _answers(self, leg: Leg) -> dict[int, Answer]:
        steps = self._notebook.steps
        known = {at: steps.get(leg.trial(at)) for at in range(len(leg.points))}
        return {at: step.answer for at, step in known.items() if step is not None}

    def _answer(self, trial: Trial, leg: Leg | None = None, ahead: tuple[Trial, ...] = ()) -> Step:
        """The trial's step, from the notebook or tested now."""
        known = self._notebook.steps.get(trial)
        if known is not None:
            return known
        step = self._tester(trial, ahead, self._notebook)
        if self._hint is not None and trial == self._question.bad:
            step = replace(step, hints=self._hint(step))
        self._notebook.add(step)
        if leg is None:
            self._reporter.stepped(step, self._left_at_ends(), None, None)
        else:
            answers = self._answers(leg)
            left = steps_left(len(leg.points), answers, stride=self._question.stride)
            self._reporter.stepped(step, left, leg, window(answers))
        return step

    def _left_at_ends(self) -> int:
        longest = max(len(self._question.points(axis)) for axis in self._question.axes)
        ends = {0: self._question.good, longest - 1: self._question.bad}
        steps = self._notebook.steps
        known = {at: steps[trial].answer for at, trial in ends.items() if trial in steps}
        return steps_left(longest, known, stride=self._question.stride)


def _wrong_end(step: Step, claimed: Answer) -> str:
    where = f"the {claimed.value} end, {step.trial.build} under {step.trial.subject}"
    match step.answer:
        case Answer.UNTESTABLE:
            return f"{where}, cannot be tested: {step.outcome.reason}; choose another end"
        case Answer.FLAKY:
            return (
                f"{where}, fails in {step.tally.failures} of {step.tally.runs} runs, too much like "
                "the other end to be told apart; choose another end or a lower --confidence"
            )
        case _:
            return f"{where}, is {step.answer.value}: {step.outcome.reason}; choose another end"
