"""A finding as a value that can be written as JSON: everything a reader of the answer needs."""

import shlex
from collections.abc import Callable, Mapping

import msgspec

from harness.bisect.bisector import Finding, LegResult
from harness.bisect.journal import CellQuestion, Notebook, Point, Question, Step
from harness.bisect.legs import Blame
from harness.bisect.search import Answer
from harness.bisect.trial import AxisName, Outcome, Trial
from harness.errors import EXIT_FAIL, EXIT_OK
from harness.flags.capabilities import CapabilitiesDiff

Compare = Callable[[str, str], CapabilitiesDiff | None]
"""The difference of two builds' capabilities by id, None where one cannot be asked."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last good or the first bad point.

    Attributes:
        point: Which.
        outcome: How it went; without the cell's whole result, which the journal has.
        repro: The command that runs this cell alone; empty where no cell was run.
    """

    point: Point
    outcome: Outcome
    repro: str = ""


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A point inside the window that gave no answer, and why."""

    id: str
    answer: Answer
    reason: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Two neighbouring tested points that differ, in the order of the axis."""

    before: str
    after: str
    breaks: bool


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """What one search found.

    Attributes:
        axis: What varied.
        fixed: What did not.
        last_good: The good side of the window.
        first_bad: The bad side.
        skipped: What is between them and gave no answer.
        untested: Points of the axis that nobody needed to test.
        changes: Every change found; more than one means that the history is not monotone.
        compare_url: The commits between the two, where upstream's numbers tell them.
        capabilities: What differs in ``--help`` from the older to the newer of the two.
    """

    axis: AxisName
    fixed: str
    last_good: End
    first_bad: End
    skipped: tuple[Skipped, ...]
    untested: int
    changes: tuple[Change, ...]
    compare_url: str | None
    capabilities: CapabilitiesDiff | None

    @property
    def is_exact(self) -> bool:
        """Whether nothing lies between the two."""
        return not self.skipped

    @property
    def is_mended(self) -> bool:
        """Whether the good side is the newer one."""
        return _is_newer(self.last_good.point, self.first_bad.point, self.axis)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a bisection.

    Attributes:
        signature: The failure that was bisected, as one phrase.
        asked: What was run on each point, as one phrase.
        blame: Which axis the failure is due to.
        legs: One search, or two.
        points: Points in question, ends included.
        tested: Points that were tested.
        untestable: Of these, how many gave no answer.
        acquire_s: Seconds spent waiting for builds.
        test_s: Seconds spent running.
    """

    signature: str
    asked: str
    blame: Blame
    legs: tuple[Leg, ...]
    points: int
    tested: int
    untestable: int
    acquire_s: float
    test_s: float

    @property
    def exit_code(self) -> int:
        """0 where each leg has one change between neighbours, else 1."""
        plain = all(leg.is_exact and len(leg.changes) == 1 for leg in self.legs)
        return EXIT_OK if plain else EXIT_FAIL


def summarise(finding: Finding, notebook: Notebook, compare: Compare) -> Summary:
    """All there is to say about a finding."""
    steps = notebook.steps.values()
    question = notebook.question
    return Summary(
        signature=str(finding.signature) if finding.signature else "the command says bad",
        asked=asked(question),
        blame=finding.blame,
        legs=tuple(_leg(result, notebook.steps, compare) for result in finding.legs),
        points=sum(len(question.points(axis)) for axis in question.axes),
        tested=len(steps),
        untestable=sum(not step.answer.decides for step in steps),
        acquire_s=round(sum(step.acquire_s for step in steps), 3),
        test_s=round(sum(step.test_s for step in steps), 3),
    )


def compare_url(one: Point, other: Point) -> str | None:
    """Upstream's page with the commits between two numbered builds."""
    if one.number is None or other.number is None:
        return None
    low, high = sorted((one.number, other.number))
    return f"https://github.com/ggml-org/llama.cpp/compare/b{low}...b{high}"


def describe(question: Question) -> str:
    """One line that says what is bisected."""
    good, bad = question.good, question.bad
    if len(question.axes) == 1:
        axis = question.axes[0]
        points = question.points(axis)
        what = f"{len(points)} {axis}s from {points[0].id} (good) to {points[-1].id} (bad)"
        if axis == "subject":
            what += f" on build {good.build}"
        elif isinstance(question.predicate, CellQuestion):
            what += f" under subject {good.subject}"
    else:
        what = (
            f"{len(question.builds)} builds and {len(question.subjects)} subjects from "
            f"{good.build} under {good.subject} (good) to {bad.build} under {bad.subject} (bad)"
        )
    return f"{what}: {asked(question)}"


def asked(question: Question) -> str:
    """What is run on each point."""
    predicate = question.predicate
    if not isinstance(predicate, CellQuestion):
        return f"command {shlex.join(predicate.command)}"
    request = predicate.request
    words = [
        f"environment {predicate.environment}",
        f"mode {request.mode if request.mode is not None else 'unset'}",
        f"draft length {request.draft_n_max or 'default'}",
        f"model {request.model}",
    ]
    if request.extra_args:
        words.append(f"extra arguments {shlex.join(request.extra_args)}")
    if predicate.check:
        words.append(f"check {predicate.check}")
    return ", ".join(words)


def _leg(result: LegResult, steps: Mapping[Trial, Step], compare: Compare) -> Leg:
    leg, boundary = result.leg, result.boundary
    good, bad = leg.points[boundary.before], leg.points[boundary.after]
    builds = leg.axis == "build"
    older, newer = (bad, good) if _is_newer(good, bad, leg.axis) else (good, bad)
    return Leg(
        axis=leg.axis,
        fixed=leg.fixed,
        last_good=_end(good, steps[leg.trial(boundary.before)]),
        first_bad=_end(bad, steps[leg.trial(boundary.after)]),
        skipped=tuple(
            Skipped(
                id=leg.points[at].id,
                answer=result.answers[at],
                reason=steps[leg.trial(at)].outcome.reason,
            )
            for at in boundary.skipped
        ),
        untested=len(leg.points) - len(result.answers),
        changes=tuple(
            Change(
                before=leg.points[each.before].id,
                after=leg.points[each.after].id,
                breaks=each.breaks,
            )
            for each in result.boundaries
        ),
        compare_url=compare_url(good, bad) if builds else None,
        capabilities=compare(older.id, newer.id) if builds else None,
    )


def _end(point: Point, step: Step) -> End:
    result = step.outcome.result
    return End(
        point=point,
        outcome=msgspec.structs.replace(step.outcome, result=None),
        repro=result.repro if result else "",
    )


def _is_newer(one: Point, other: Point, axis: AxisName) -> bool:
    if axis == "build" and one.number is not None and other.number is not None:
        return one.number > other.number
    return bool(one.date and other.date and one.date > other.date)


def as_document(summary: Summary) -> Mapping[str, object]:
    """The summary for ``--json``, with what is derived from it."""
    document: dict[str, object] = msgspec.to_builtins(summary)
    return {
        "exit_code": summary.exit_code,
        **document,
        "legs": [
            {**msgspec.to_builtins(leg), "exact": leg.is_exact, "mended": leg.is_mended}
            for leg in summary.legs
        ],
    }
