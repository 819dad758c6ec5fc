from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model import CellResult, Verdict
from harness.report.jsonl import encode_result, merge_results
from tests.unit.report.bad_results import one_of_each
from tests.unit.results import result


def write(path: Path, results: Iterable[CellResult]) -> Path:
    path.write_bytes(b"".join(encode_result(one) + b"\n" for one in results))
    return path


@settings(max_examples=25, deadline=None)
@given(deal=st.lists(st.integers(0, 2), min_size=7, max_size=7))
def test_parts_make_the_whole(tmp_path_factory: pytest.TempPathFactory, deal: list[int]) -> None:
    directory = tmp_path_factory.mktemp("parts")
    whole = one_of_each()
    paths = [
        write(
            directory / f"{part}.jsonl",
            [one for one, where in zip(whole, deal, strict=True) if where == part],
        )
        for part in range(3)
    ]
    merged = merge_results(paths)
    assert sorted(merged, key=lambda one: one.id) == sorted(whole, key=lambda one: one.id)


def test_the_last_file_wins(tmp_path: Path) -> None:
    first = write(tmp_path / "1", [result(status=Verdict.ERROR), result(mode="off")])
    again = write(tmp_path / "2", [result(status=Verdict.PASS)])
    merged = merge_results([first, again])
    assert [(one.request.mode, one.status) for one in merged] == [
        ("mtp", Verdict.PASS),
        ("off", Verdict.PASS),
    ]


def test_cells_that_differ_in_anything_are_two(tmp_path: Path) -> None:
    one = result()
    others = [
        replace(one, request=replace(one.request, context_length=1024)),
        replace(one, request=replace(one.request, cache_type="q8_0")),
        replace(one, request=replace(one.request, extra_args=("--x",))),
        replace(one, request=replace(one.request, chat_template="chatml")),
        replace(one, request=replace(one.request, mode=" MTP")),
    ]
    assert len(merge_results([write(tmp_path / "1", [one, *others])])) == 6


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.jsonl: cannot be read"):
        merge_results([tmp_path / "absent.jsonl"])
