"""Several results files as one: the shards of a CI run, or a run taken up again."""

from collections.abc import Sequence
from pathlib import Path

from harness.cells import cell_id
from harness.model import Cell, CellResult
from harness.report.jsonl import read_results


def merge_results(paths: Sequence[Path]) -> tuple[CellResult, ...]:
    """The results of all files, in the order of builds that the files show.

    Where a cell is in several files, the last file wins.

    Raises:
        UsageError: A file cannot be read or is no results file.
    """
    merged: dict[tuple[str, str, str, str], CellResult] = {}
    for result in read_results(paths):
        key = (result.build, result.subject, result.environment, _cell_id(result))
        merged[key] = result
    return tuple(merged.values())


def _cell_id(result: CellResult) -> str:
    return cell_id(
        Cell(
            build=result.build,
            subject=result.subject,
            environment=result.environment,
            request=result.request,
        )
    )
