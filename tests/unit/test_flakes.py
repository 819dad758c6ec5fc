"""A bad cell is tried again alone; both outcomes make it flaky, never green."""

from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from harness.builds import Catalogue
from harness.cells.flakes import run_settled
from harness.cells.qualification import open_store
from harness.cells.workbench import Workbench
from harness.model import Cell, CellResult, Failure, FailureKind, Verdict
from harness.report.failures import describe
from harness.report.jsonl import decode_result, encode_result
from tests.unit.results import lengths, result

PASS = result(effective={"draft-mtp": lengths(5)})
FAIL = result(failed=("draft-n-max",))
ERROR = result(
    status=Verdict.ERROR,
    failure=Failure(kind=FailureKind.PROTOCOL, message="the answer is not JSON"),
)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(
        catalogue=Catalogue(builds=()),
        store=open_store(tmp_path),
        models={},
        scratch=tmp_path,
        owner="nobody",
        resources=ExitStack(),
        launches={"earlier": cast("object", "launch")},  # type: ignore[dict-item]
    )


class Outcomes:
    """Answers one result after the other, and keeps what it was asked with."""

    def __init__(self, *results: CellResult) -> None:
        self._results = iter(results)
        self.benches: list[Workbench] = []

    def __call__(self, cell: Cell, bench: Workbench) -> CellResult:
        assert cell.build
        self.benches.append(bench)
        return next(self._results)


def settled(bench: Workbench, *results: CellResult, retries: int = 1) -> tuple[CellResult, int]:
    outcomes = Outcomes(*results)
    cell = Cell(build="b9246", subject="reference", environment="cpu", request=results[0].request)
    return run_settled(cell, bench, retries=retries, run=outcomes), len(outcomes.benches)


@pytest.mark.parametrize("status", [Verdict.PASS, Verdict.DEGRADED])
def test_a_good_cell_runs_once(status: Verdict, bench: Workbench) -> None:
    good = result(status=status)

    assert settled(bench, good) == (good, 1)


@pytest.mark.parametrize("bad", [FAIL, ERROR])
def test_a_cell_that_stays_bad_keeps_its_verdict(bad: CellResult, bench: Workbench) -> None:
    assert settled(bench, bad, bad) == (bad, 2)


@pytest.mark.parametrize("bad", [FAIL, ERROR])
def test_a_cell_with_both_outcomes_is_flaky_and_keeps_both(
    bad: CellResult, bench: Workbench
) -> None:
    flaky, runs = settled(bench, bad, PASS)

    assert runs == 2
    assert flaky.status is Verdict.FLAKY
    assert flaky.attempts == (bad, PASS)


def test_a_failure_outweighs_an_error(bench: Workbench) -> None:
    assert settled(bench, ERROR, FAIL)[0].status is Verdict.FAIL


def test_a_third_try_can_show_what_the_second_hid(bench: Workbench) -> None:
    assert settled(bench, FAIL, FAIL, PASS, retries=2)[0].status is Verdict.FLAKY


def test_no_retries_means_none(bench: Workbench) -> None:
    assert settled(bench, FAIL, retries=0) == (FAIL, 1)


@pytest.mark.parametrize("kind", [FailureKind.BUILD, FailureKind.ENVIRONMENT])
def test_what_never_started_is_not_tried_again(kind: FailureKind, bench: Workbench) -> None:
    missing = result(status=Verdict.ERROR, failure=Failure(kind=kind, message="not here"))

    assert settled(bench, missing) == (missing, 1)


def test_the_retry_shares_no_launch_with_other_cells(bench: Workbench) -> None:
    outcomes = Outcomes(FAIL, FAIL)
    cell = Cell(build="b9246", subject="reference", environment="cpu", request=FAIL.request)

    run_settled(cell, bench, run=outcomes)

    first, again = outcomes.benches
    assert first is bench
    assert not again.share_launches
    assert (first.attempt, again.attempt) == (1, 2)
    assert again.launches == {}
    assert bench.launches


def test_a_flaky_cell_survives_its_line_and_shows_both_tries(bench: Workbench) -> None:
    flaky, _ = settled(bench, FAIL, PASS)

    assert decode_result(encode_result(flaky)) == flaky
    text = describe(flaky)
    assert "  try 1: fail\n" in text
    assert "  try 2: pass, mtp 5\n" in text
    assert text.count("run it alone: ") == 1
    assert "draft-n-max: expected e" in text
