"""Shards of a matrix, run one by one and merged, are the matrix run whole."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import CellResult
from harness.report.jsonl import merge_results
from harness.report.order import in_reading_order
from tests.live.matrix_runs import run_matrix

pytestmark = pytest.mark.live

SELECTION = (
    *("--build", "b8929", "--build", "b9246", "--env", "cpu", "--model", "tiny-mtp"),
    *("--mode", "mtp", "--mode", "ngram", "--mode", "off"),
    *("--draft-max", "default", "--draft-max", "5", "-n", "0"),
)
SHARDS = 3


def told(result: CellResult) -> CellResult:
    """A result without what differs from run to run: ports, times and what quotes them."""
    argv = tuple(
        "PORT" if place and result.argv[place - 1] == "--port" else word
        for place, word in enumerate(result.argv)
    )
    witnesses = tuple(replace(one, detail="") for one in result.witnesses)
    return replace(result, argv=argv, witnesses=witnesses, startup_ms=None, wall_ms=0.0)


def test_merged_shards_are_the_whole_run(tmp_path: Path) -> None:
    whole = run_matrix(tmp_path, SELECTION)
    measured = whole.jsonl.rename(tmp_path / "measured.jsonl")
    parts = []
    for number in range(1, SHARDS + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        words = ("--shard", f"{number}/{SHARDS}", "--balance-from", str(measured))
        parts.append(run_matrix(folder, [*SELECTION, *words]))
    assert [part.status for part in parts] == [whole.status] * SHARDS
    assert all(part.results for part in parts)
    merged = in_reading_order(merge_results([part.jsonl for part in parts]))
    expected = in_reading_order(merge_results([measured]))
    assert len(expected) == 12
    assert [told(one) for one in merged] == [told(one) for one in expected]
