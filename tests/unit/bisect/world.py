"""A bisection whose builds are entries of a list, for tests of the loop around the search."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.bisect.bisector import Bisector, Finding, Hinter
from harness.bisect.journal import CommandQuestion, Notebook, Point, Question
from harness.bisect.lookahead import Lookahead, Wanted
from harness.bisect.progress import Reporter
from harness.bisect.search import Answer
from harness.bisect.tester import LiveTester
from harness.bisect.trial import Outcome, Signature, Trial
from harness.errors import BuildUnavailableError

SIGNATURE = Signature(check="start", kind="removed-argument", argument="--draft-max")
COMMAND = CommandQuestion(command=("true",), timeout_s=1)
SILENT = Reporter(lambda _: None, ("build",))


@dataclass
class InstantJob:
    world: "World"
    wanted: Wanted

    def wait(self) -> None:
        if self.wanted.id in self.world.missing:
            raise BuildUnavailableError(f"{self.wanted.id}: no source works here")
        self.world.store.add(self.wanted.id)
        self.world.waited.append(self.wanted.id)

    def cancel(self) -> bool:
        self.world.ended.append(self.wanted.id)
        return False


@dataclass
class World:
    """``rates`` maps a trial to how often it fails; what is ``missing`` cannot be acquired."""

    rates: dict[Trial, float]
    missing: frozenset[str] = frozenset()
    untestable: frozenset[Trial] = frozenset()
    seed: int = 0
    store: set[str] = field(default_factory=set)
    started: list[str] = field(default_factory=list)
    waited: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    runs: list[Trial] = field(default_factory=list)
    anchors: set[Signature | None] = field(default_factory=set)

    def run(self, trial: Trial, anchor: Signature | None) -> Outcome:
        assert trial.build in self.store, "run before it was acquired"
        dice = random.Random(f"{self.seed} {len(self.runs)}")
        self.runs.append(trial)
        self.anchors.add(anchor)
        if trial in self.untestable:
            return Outcome(answer=Answer.UNTESTABLE, reason="fails otherwise")
        if dice.random() < self.rates[trial]:
            return Outcome(answer=Answer.BAD, reason="refused", signature=SIGNATURE)
        return Outcome(answer=Answer.GOOD, reason="pass")

    def start(self, wanted: Wanted) -> InstantJob:
        self.started.append(wanted.id)
        return InstantJob(self, wanted)

    def bisect(
        self, notebook: Notebook, *, lookahead: bool = True, hint: Hinter | None = None
    ) -> Finding:
        with Lookahead(self.start, enabled=lookahead) as ahead:
            tester = LiveTester(
                predicate=self.run,
                lookahead=ahead,
                stored=lambda wanted: wanted.axis == "subject" or wanted.id in self.store,
                reporter=SILENT,
            )
            return Bisector(notebook, tester, SILENT, hint).run()


def points(count: int) -> tuple[Point, ...]:
    return tuple(Point(id=f"b{9000 + 3 * at}", number=9000 + 3 * at) for at in range(count))


def over_builds(rates: Sequence[float], **options: object) -> tuple[Question, World]:
    builds = points(len(rates))
    question = Question(
        axes=("build",), builds=builds, subjects=(Point(id="reference"),), predicate=COMMAND
    )
    world = World(
        rates={
            Trial(build=point.id, subject="reference"): rate
            for point, rate in zip(builds, rates, strict=True)
        }
    )
    for name, value in options.items():
        setattr(world, name, value)
    return question, world
