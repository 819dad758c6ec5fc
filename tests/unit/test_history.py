"""What the page on the whole history is made of: eras, changes with their reasons, rows."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from harness.flags.atlas import load_atlas
from harness.model import Verdict
from tests.history import __main__ as history
from tests.history.drifting import rows, table
from tests.history.eras import era_tables, eras
from tests.history.heat_map import heat_map, state
from tests.history.page import _line_rows, _runs
from tests.unit.results import lengths, result

ATLAS = load_atlas()


def test_builds_that_do_the_same_are_one_era() -> None:
    results = [
        result(build="b1", effective={}, status=Verdict.DEGRADED),
        result(build="b2", effective={}, status=Verdict.DEGRADED),
        result(build="b3", effective={"draft-mtp": lengths(5)}),
        result(build="b4", effective={}, status=Verdict.DEGRADED),
    ]
    found = [*eras(results)]
    assert [str(era) for era in found] == ["b1 … b2", "b3", "b4"]
    assert [era.results for era in found] == [(results[0],), (results[2],), (results[3],)]
    text = "\n".join(era_tables(found))
    assert "|b1 … b2 " in text
    assert "mtp 0…5" in text


@pytest.mark.parametrize(
    "other",
    [
        result(build="b2", status=Verdict.ERROR),
        result(build="b2", environment="cuda-spoof"),
        result(build="b2", draft_n_max=6),
        result(build="b2", failed=("starts",)),
        replace(result(build="b2"), reason="b2 has no ngram-mod"),
    ],
)
def test_whatever_differs_parts_two_eras(other: object) -> None:
    assert len([*eras([result(build="b1"), other])]) == 2  # type: ignore[list-item]


def test_a_reason_that_names_the_build_does_not() -> None:
    told = [replace(result(build=one), reason=f"{one} lacks it") for one in ("b1", "b2")]
    assert len([*eras(told)]) == 1


def test_a_field_of_the_picture_has_the_worst_of_its_cells() -> None:
    fine = result(effective={"draft-mtp": lengths(5), "ngram-mod": lengths(64)})
    assert state([fine]) == "mtp + ngram"
    assert state([result(effective={})]) == "off"
    assert state([fine, result(failed=("starts",), effective={})]) == "fails"
    assert state([fine, result(status=Verdict.ERROR)]) == "cannot tell"
    assert state([fine, result(status=Verdict.FLAKY, effective={})]) == "cannot tell"


def test_the_picture_has_a_field_for_each_build_and_request() -> None:
    cells = [
        result(build=build, mode=mode, draft_n_max=length, effective={})
        for build in ("b1", "b2", "b3")
        for mode in ("mtp", "off")
        for length in (1, 5)
    ]
    drawn = ET.fromstring("".join(heat_map(cells)))
    titles = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 6
    assert "b3 cpu tiny-mtp off: off" in titles


def test_the_atlas_gives_the_reason_of_a_change() -> None:
    states = [("b6900", {"slots": 1, "jinja": False}), ("b8929", {"slots": 4, "jinja": True})]
    slots, jinja = rows(states, ATLAS)
    assert (slots.older, slots.change.since) == ("b6900", "b8929")
    assert slots.why[0].startswith("b6925, #16736: one slot becomes four")
    assert jinja.why == ("b7170, #17524: `--jinja` default off → on",)


def test_a_change_is_held_against_the_last_build_that_told() -> None:
    (row,) = rows([("b6900", {"slots": 1}), ("b7000", {}), ("b8929", {"slots": 4})], ATLAS)
    assert (row.older, row.change.since) == ("b6900", "b8929")


def test_what_follows_another_setting_names_it_only_where_that_changed_too() -> None:
    before, after = {"context": 4096, "aliases": []}, {"context": 4096, "aliases": ["x"]}
    (row,) = rows([("b9000", before), ("b9001", after)], ATLAS)
    assert row.why == ()
    before, after = {"context": 1, "dry_penalty_last_n": 1}, {"context": 2, "dry_penalty_last_n": 2}
    found = {
        row.change.setting: row.why for row in rows([("b9000", before), ("b9001", after)], ATLAS)
    }
    assert found["dry_penalty_last_n"] == ("follows context",)


def test_what_follows_a_setting_that_is_new_has_its_reason() -> None:
    states = [("b7631", {"mmap": True}), ("b7772", {"mmap": False, "direct_io": True})]
    (row,) = rows(states, ATLAS)
    assert row.why == ("follows direct_io", "b7668, #18166: `--direct-io` added")


def test_what_nothing_explains_is_shown_as_such() -> None:
    found = [*rows([("b9000", {"top_k": 40}), ("b9001", {"top_k": 41})], ATLAS)]
    assert found[0].why == ()
    assert "| top_k | 40 → 41 | b9000 … b9001 | **not explained** |" in [*table(found)]


def test_rows_of_command_lines() -> None:
    line = {
        "name": "a.txt",
        "starts": {"b1": True, "b2": True, "b3": False, "b4": None, "b5": True},
        "blames": {"b1": None, "b2": None, "b3": "--x", "b4": None, "b5": None},
        "disagreements": [],
    }
    assert [*_line_rows([line])][2] == "| a.txt | b1 … b2, b5 | b3: `--x` | none |"
    every = {**line, "starts": {"b1": True, "b2": True}, "disagreements": ["wrong"]}
    assert [*_line_rows([every])][2] == "| a.txt | all | none | 1 |"
    assert [*_runs({}, {"b1": 1})] == []


class Calls:
    """What the session asks the harness for."""

    def __init__(self, status: int = 0) -> None:
        self.words: list[list[str]] = []
        self.pages: list[object] = []
        self.status = status

    def harness(self, words: list[str]) -> int:
        self.words.append(words)
        return self.status if words[0] == "matrix" else 0

    def page(self, files: object) -> int:
        self.pages.append(files)
        return 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()
    monkeypatch.setattr(history, "harness", made.harness)
    monkeypatch.setattr(history, "write_page", made.page)
    return made


def test_a_run_adds_runs_and_writes(calls: Calls) -> None:
    assert history.main([]) == 0
    added, matrix = calls.words
    assert added == ["builds", "add", "--every", "9"]
    assert matrix[:5] == ["matrix", "--profile", "history", "--reuse", "--fresh"]
    assert len(calls.pages) == 1


def test_a_resumed_run_takes_what_is_remembered(calls: Calls) -> None:
    history.main(["--resume"])
    assert "--reuse" in calls.words[-1]
    assert "--fresh" not in calls.words[-1]


def test_failing_cells_are_the_status_and_the_page_is_written_all_the_same(calls: Calls) -> None:
    calls.status = 1
    assert history.main([]) == 1
    assert len(calls.pages) == 1


@pytest.mark.parametrize("words", [["--shard", "1/2"], ["--shard=1/2"], ["--list"], ["-k", "mtp"]])
def test_of_a_part_no_page_is_made(calls: Calls, words: list[str]) -> None:
    history.main(words)
    assert calls.words[-1][-len(words) :] == words
    assert calls.pages == []


def test_a_cluster_remembers_nothing(calls: Calls) -> None:
    history.main(["--executor", "dask:tcp://127.0.0.1:1"])
    assert "--reuse" not in calls.words[-1]


def test_a_page_of_results_runs_nothing(calls: Calls) -> None:
    assert history.main(["--page", "a.jsonl", "b.jsonl"]) == 0
    assert calls.words == []
    assert [str(file) for file in calls.pages[0]] == ["a.jsonl", "b.jsonl"]  # type: ignore[attr-defined]
