"""Generated command lines, upgraded between real builds and launched on both."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from harness.cells.workbench import Workbench
from harness.model import FailureKind
from harness.upgrade.era import Era
from harness.upgrade.proof import Prover, Side, prove
from harness.upgrade.rewriting import rewrite
from harness.upgrade.upgrading import upgraded
from tests.generated_lines import FORK, command_lines, era, pairs

pytestmark = [pytest.mark.live, pytest.mark.slow]

PAIRS = tuple(pair for pair in pairs() if pair[0] != FORK)
EACH = 12
"""Command lines of each of the 49 pairs: more than 500 that the old build takes."""
OF_ARGUMENTS = frozenset(
    {FailureKind.UNKNOWN_ARGUMENT, FailureKind.REMOVED_ARGUMENT, FailureKind.BAD_VALUE,
     FailureKind.BAD_ENVIRONMENT}
)  # fmt: skip
"""A build that does not take a command line. One may still not load the tiny model with it."""


@pytest.fixture(scope="module")
def launched() -> Iterator[list[int]]:
    """How many command lines the old build took, of each pair."""
    counts: list[int] = []
    yield counts
    if len(counts) == len(PAIRS):
        assert sum(counts) >= 500


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_the_other_build_takes_it_and_back_it_is_what_it_was(
    old: str, new: str, workbench: Workbench, launched: list[int]
) -> None:
    eras = [of_store(name, workbench) for name in (old, new)]
    taken = 0

    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        nonlocal taken
        line = data.draw(command_lines(eras[0].capabilities))
        prover = Prover(workbench=workbench, environment="cpu", model="tiny-llama")
        sides = [Side(era=one, line=line) for one in eras]
        done = upgraded("", sides[0], sides[1], prover)
        assume(done.proof.old.effective is not None)
        taken += 1
        failure = done.proof.new.failure
        assert failure is None or failure.kind not in OF_ARGUMENTS, failure
        back = rewrite(done.new.line, eras[1], eras[0])
        # What goes without saying on one build does not on the other.
        kept = all(change.after for change in (*done.changes, *back.changes))
        if kept and not back.lost and not done.lost:
            again = prove(done.old, Side(era=eras[0], line=back.line), prover)
            assert (again.differing, again.drifted, again.gained) == ((), (), ())

    run()
    launched.append(taken)


def of_store(name: str, workbench: Workbench) -> Era:
    """A build as the program itself tells it."""
    recorded = era(name)
    return Era(
        id=name,
        number=recorded.number,
        fork=recorded.fork,
        capabilities=workbench.capabilities(name),
    )
