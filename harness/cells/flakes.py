"""A bad cell is run again, alone: whoever fails once and passes once is flaky, never green."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.model import BAD, Cell, CellResult, FailureKind, Verdict

RETRIES: Final = 1
"""How often a bad cell is run again, where the user says nothing else."""

_SETTLED: Final = frozenset({FailureKind.BUILD, FailureKind.ENVIRONMENT})
"""Failures before anything was started: a second try would only say the same again."""

RunCell = Callable[[Cell, Workbench], CellResult]


def run_settled(
    cell: Cell, workbench: Workbench, *, retries: int = RETRIES, run: RunCell = run_cell
) -> CellResult:
    """Run a cell; where it fails or errs, run it again on a launch of its own.

    Returns the first result where all tries agree that the cell is bad, and otherwise the bad one
    as ``flaky``, with every try in ``attempts``.
    """
    first = run(cell, workbench)
    result = first
    if first.status in BAD and not first.remembered and not _is_settled(first):
        result = _tried_again(first, cell, workbench, retries, run)
    if workbench.verdicts is not None:
        if result is first:
            workbench.verdicts.settle(cell, result)
        else:
            workbench.verdicts.give_up(cell)
    return result


def _tried_again(
    first: CellResult, cell: Cell, workbench: Workbench, retries: int, run: RunCell
) -> CellResult:
    """What a bad cell comes to that is planned and launched anew."""
    alone = replace(workbench, share_launches=False, launches={}, verdicts=None)
    tries = range(2, 2 + retries)
    attempts = [first, *(run(cell, replace(alone, attempt=number)) for number in tries)]
    if all(attempt.status in BAD for attempt in attempts):
        return next((one for one in attempts if one.status is Verdict.FAIL), first)
    return replace(first, status=Verdict.FLAKY, attempts=tuple(attempts))


def _is_settled(result: CellResult) -> bool:
    return result.failure is not None and result.failure.kind in _SETTLED
