"""Several results files as one: the shards of a CI run, or a run taken up again."""

from collections.abc import Sequence
from pathlib import Path

from harness.model import Cell, CellResult
from harness.report.jsonl import read_results


def merge_results(paths: Sequence[Path]) -> tuple[CellResult, ...]:
    """The results of all files, each cell where it first comes.

    Where a cell is in several files, the last file wins.

    Raises:
        UsageError: A file cannot be read or is no results file.
    """
    merged: dict[Cell, CellResult] = {}
    for result in read_results(paths):
        cell = Cell(
            build=result.build,
            subject=result.subject,
            environment=result.environment,
            request=result.request,
        )
        merged[cell] = result
    return tuple(merged.values())
