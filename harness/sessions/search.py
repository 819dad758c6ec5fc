"""Random sessions until a step fails, and the shortest sequence that fails the same way.

The walk itself runs on real servers. Shrinking tries hundreds of sequences, so it runs on what
each launch was seen doing when it was started for real; the sequence that it ends with is run once
more on real servers, and only what fails there too is a counterexample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harness.flags.capabilities import Capabilities
from harness.model import Verdict
from harness.sessions.oracle import Oracle
from harness.sessions.runner import Runner, StepReport
from harness.sessions.script import Step
from harness.sessions.session import Session
from harness.sessions.state_machine import StepFailedError, session_machine

STEPS_OF_A_WALK: Final = 10
"""Short, as the first two walks of Hypothesis try nothing but the simplest request."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a search needs of a subject on a build.

    Attributes:
        capabilities: Of the build.
        oracle: Judges.
        real: Opens a session on real servers.
        remembered: Opens one on remembered launches; None where the subject starts its own.
    """

    capabilities: Capabilities
    oracle: Oracle
    real: Callable[[], Session]
    remembered: Callable[[], Session] | None


@dataclass(frozen=True, kw_only=True)
class Counterexample:
    """A sequence that fails.

    Attributes:
        steps: The shortest that was found.
        reports: Its steps on real servers.
        found_after: Random steps until the first failure, that step included.
    """

    steps: tuple[Step, ...]
    reports: tuple[StepReport, ...]
    found_after: int


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search came to.

    Attributes:
        steps: Random steps taken.
        reloads: Of them, loads that started a server.
        counterexample: None where every step was as it must be.
        unconfirmed: The first failing sequence, where real servers did not fail it a second time.
    """

    steps: int
    reloads: int
    counterexample: Counterexample | None = None
    unconfirmed: tuple[Step, ...] | None = None


def search(
    stage: Stage,
    *,
    steps: int,
    seed: int,
    real_walk: bool = True,
    on_step: Callable[[int], None] | None = None,
) -> SearchResult:
    """Take ``steps`` random steps, in walks that start with nothing loaded.

    The same seed takes the same steps, for the same version of Hypothesis.

    Args:
        stage: The subject on the build.
        steps: So many, unless one fails.
        seed: Of the random numbers.
        real_walk: Walk on real servers, too; else only the counterexample is run on them.
        on_step: Told how many of the steps were taken.
    """
    from hypothesis import HealthCheck, Phase, Verbosity, settings
    from hypothesis import seed as with_seed
    from hypothesis.stateful import run_state_machine_as_test

    walks = _Walks(stage, _Counts(budget=steps, on_step=on_step), real_walk=real_walk)
    of_a_walk = min(steps, STEPS_OF_A_WALK)
    machine = with_seed(seed)(session_machine(walks, stage.capabilities))
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                # Hypothesis ends some walks early; those begun after the last step do nothing.
                max_examples=2 * -(-steps // of_a_walk),
                stateful_step_count=of_a_walk,
                phases=(Phase.generate, Phase.shrink),
                database=None,
                deadline=None,
                verbosity=Verbosity.quiet,
                print_blob=False,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except StepFailedError:
        return _confirmed(stage, walks)
    return SearchResult(steps=walks.steps, reloads=walks.reloads)


def replay(stage: Stage, steps: tuple[Step, ...]) -> tuple[StepReport, ...]:
    """Run steps on real servers, from nothing loaded."""
    session = stage.real()
    try:
        return tuple(Runner(session, stage.oracle).run(steps))
    finally:
        session.close()


def _confirmed(stage: Stage, walks: "_Walks") -> SearchResult:
    shortest = walks.last_failing
    reports = replay(stage, shortest)
    if all(report.verdict is Verdict.PASS for report in reports):
        return SearchResult(steps=walks.steps, reloads=walks.reloads, unconfirmed=shortest)
    return SearchResult(
        steps=walks.steps,
        reloads=walks.reloads,
        counterexample=Counterexample(steps=shortest, reports=reports, found_after=walks.steps),
    )


@dataclass(kw_only=True)
class _Counts:
    budget: int
    on_step: Callable[[int], None] | None = None
    steps: int = 0
    reloads: int = 0
    last_failing: tuple[Step, ...] = ()

    def count(self, report: StepReport) -> None:
        self.steps += 1
        self.reloads += bool(report.outcome and report.outcome.reloaded)
        if self.on_step is not None:
            self.on_step(self.steps)


class _Walks:
    """Opens the walks; after the first failure, which ends the search, on remembered launches."""

    def __init__(self, stage: Stage, counts: _Counts, *, real_walk: bool) -> None:
        self._stage = stage
        self._real_walk = real_walk
        self._counts = counts

    @property
    def steps(self) -> int:
        """Random steps up to the first failure."""
        return self._counts.steps

    @property
    def reloads(self) -> int:
        """Of them, loads that started a server."""
        return self._counts.reloads

    @property
    def last_failing(self) -> tuple[Step, ...]:
        """The walk that failed last; Hypothesis ends with the shortest."""
        return self._counts.last_failing

    def open(self) -> "_Walk":
        """A session with nothing loaded."""
        shrinking = bool(self._counts.last_failing)
        remembered = self._stage.remembered
        opens = self._stage.real
        if remembered is not None and (shrinking or not self._real_walk):
            opens = remembered
        return _Walk(opens, self._stage.oracle, self._counts, counting=not shrinking)


class _Walk:
    """One session; opened with its first step."""

    def __init__(
        self, opens: Callable[[], Session], oracle: Oracle, counts: _Counts, *, counting: bool
    ) -> None:
        self._opens = opens
        self._oracle = oracle
        self._counts = counts
        self._counting = counting
        self._session: Session | None = None
        self._runner: Runner | None = None
        self._taken: list[Step] = []

    def take(self, step: Step) -> StepReport | None:
        """Take a step and have it judged."""
        if self._counting and self._counts.steps >= self._counts.budget:
            return None
        if self._runner is None:
            self._session = self._opens()
            self._runner = Runner(self._session, self._oracle)
        self._taken.append(step)
        report = self._runner.take(step)
        if self._counting:
            self._counts.count(report)
        if report.verdict is not Verdict.PASS:
            self._counts.last_failing = tuple(self._taken)
        return report

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
