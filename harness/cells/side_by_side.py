"""Cells of one workbench, as many at a time as there are cores."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.model import Cell, CellResult
from harness.processes.running import usable_cores

_T = TypeVar("_T")


def run_side_by_side(cells: Sequence[Cell], workbench: Workbench) -> Iterator[CellResult]:
    """The results in the cells' order, each as soon as it and those before it are there."""
    return work_side_by_side(cells, workbench, run_cell)


def work_side_by_side(
    cells: Sequence[Cell], workbench: Workbench, work: Callable[[Cell, Workbench], _T]
) -> Iterator[_T]:
    """What work on each cell gives, in their order.

    Whoever stops listening, or interrupts, has the servers ended that run just then.
    """
    for environment in {cell.environment for cell in cells}:
        workbench.open_quietly(environment)
    with ThreadPoolExecutor(max_workers=usable_cores()) as threads:
        running = [threads.submit(work, cell, workbench) for cell in cells]
        try:
            for result in running:
                yield result.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            workbench.stop()
            raise
