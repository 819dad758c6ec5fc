import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.builds import load_catalogue
from harness.errors import UsageError
from harness.matrix.axes import Selection, select_cells
from harness.matrix.shards import deal, parse_shard
from harness.model import Cell, CellResult, LoadRequest
from harness.report.jsonl import encode_result, merge_results
from harness.report.order import in_reading_order
from tests.unit.results import result

LENGTHS = (None, 1, 5, 16)


def measured() -> list[CellResult]:
    """The smoke profile's cells with the times they took on a machine of two cores."""
    rows = json.loads(Path(__file__).with_name("measured_smoke.json").read_text(encoding="utf-8"))
    return [
        replace(
            result(build=build, environment=environment, mode=mode, model=model),
            request=LoadRequest(model=model, mode=mode, draft_n_max=length),
            wall_ms=float(time),
        )
        for build, environment, mode, model, times in rows
        for length, time in zip(LENGTHS, times, strict=True)
    ]


def cell_of(one: CellResult) -> Cell:
    return Cell(
        build=one.build, subject=one.subject, environment=one.environment, request=one.request
    )


def test_eight_shards_of_measured_times_are_even_within_15_percent() -> None:
    results = measured()
    assert len(results) == 360
    shards = deal([cell_of(one) for one in results], 8, results)
    mean = sum(shard.seconds for shard in shards) / 8
    assert sum(one.wall_ms for one in results) / 1000 == pytest.approx(8 * mean)
    assert max(shard.seconds for shard in shards) <= 1.15 * mean
    assert min(shard.seconds for shard in shards) >= 0.85 * mean


@pytest.mark.parametrize("count", [2, 3, 4, 6, 8])
def test_other_numbers_of_shards_are_as_even(count: int) -> None:
    results = measured()
    shards = deal([cell_of(one) for one in results], count, results)
    longest = max(shard.seconds for shard in shards)
    assert longest <= 1.15 * sum(shard.seconds for shard in shards) / count


def test_most_shards_need_few_builds() -> None:
    results = measured()
    shards = deal([cell_of(one) for one in results], 8, results)
    assert sum(len(shard.builds) for shard in shards) <= 8 + 4


def test_shards_of_the_real_selection_run_every_cell_once(tmp_path: Path) -> None:
    file = tmp_path / "measured.jsonl"
    file.write_bytes(b"".join(encode_result(one) + b"\n" for one in measured()))
    catalogue = load_catalogue()
    whole = Selection(profile="full", balance_from=str(file))
    parts = [select_cells(replace(whole, shard=f"{number}/8"), catalogue) for number in range(1, 9)]
    cells = [cell for part in parts for cell in part]
    assert len(cells) == len(set(cells))
    assert set(cells) == set(select_cells(whole, catalogue))


PATIENT = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CELLS = st.lists(
    st.builds(
        Cell,
        build=st.sampled_from(["b1", "b2", "b3"]),
        subject=st.sampled_from(["reference", "other"]),
        environment=st.sampled_from(["cpu", "cuda-spoof"]),
        request=st.builds(
            LoadRequest,
            model=st.sampled_from(["tiny-mtp", "tiny-llama"]),
            mode=st.sampled_from([None, "mtp", "off"]),
            draft_n_max=st.sampled_from(LENGTHS),
        ),
    ),
    unique=True,
    max_size=25,
)


@PATIENT
@given(cells=CELLS, count=st.integers(1, 9), data=st.data())
def test_dealing_loses_and_doubles_nothing(
    cells: list[Cell], count: int, data: st.DataObject
) -> None:
    times = data.draw(
        st.lists(st.floats(0, 1e6), min_size=len(cells), max_size=len(cells)), label="times"
    )
    known = data.draw(st.integers(0, len(cells)), label="known")
    results = [result_of(cell, time) for cell, time in zip(cells[:known], times, strict=False)]
    shards = deal(cells, count, results)
    assert [(shard.number, shard.of) for shard in shards] == [
        (number, count) for number in range(1, count + 1)
    ]
    dealt = [cell for shard in shards for cell in shard.cells]
    assert len(dealt) == len(cells)
    assert set(dealt) == set(cells)
    assert deal(cells, count, results) == shards, "every job must come to the same shards"
    costs = [shard.seconds for shard in shards]
    largest = max([time / 1000 for time in times] + [1.0]) * len(LENGTHS)
    assert max(costs) <= sum(costs) / count * 1.05 + largest


@PATIENT
@given(cells=CELLS, count=st.integers(1, 9))
def test_cells_that_may_share_launches_stay_together(cells: list[Cell], count: int) -> None:
    where: dict[tuple[object, ...], set[int]] = {}
    for shard in deal(cells, count):
        for cell in shard.cells:
            key = (cell.build, cell.environment, cell.subject, cell.request.mode)
            where.setdefault((*key, cell.request.model), set()).add(shard.number)
    assert all(len(shards) == 1 for shards in where.values())


@PATIENT
@given(cells=CELLS, count=st.integers(1, 5))
def test_merged_shards_equal_the_whole_run(
    tmp_path_factory: pytest.TempPathFactory, cells: list[Cell], count: int
) -> None:
    directory = tmp_path_factory.mktemp("shards")
    whole = in_reading_order(result_of(cell) for cell in cells)
    paths = []
    for shard in deal(cells, count):
        mine = set(shard.cells)
        path = directory / f"{shard.number}.jsonl"
        path.write_bytes(
            b"".join(encode_result(one) + b"\n" for one in whole if cell_of(one) in mine)
        )
        paths.append(path)
    merged = merge_results(paths)
    assert set(map(cell_of, merged)) == set(cells)
    by_cell = {cell_of(one): one for one in merged}
    assert tuple(by_cell[cell_of(one)] for one in whole) == whole


def result_of(cell: Cell, wall_ms: float = 1.0) -> CellResult:
    return replace(
        result(),
        build=cell.build,
        subject=cell.subject,
        environment=cell.environment,
        request=cell.request,
        wall_ms=wall_ms,
    )


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "a/b", "1/4/2", "-1/4", "1/0", "1 / 4"])
def test_shards_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="K/N"):
        parse_shard(text)


def test_shard() -> None:
    assert parse_shard("3/8") == (3, 8)
