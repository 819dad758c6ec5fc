from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from harness.bisect.journal import Journal, Notebook, Question, Step
from harness.errors import JournalError
from tests.unit.bisect.world import over_builds


def finished(path: Path) -> tuple[Question, tuple[Step, ...]]:
    question, world = over_builds([0.0] * 30 + [1.0] * 20)
    with Journal.create(path, question) as journal:
        world.bisect(journal)
    return question, tuple(journal.steps.values())


def test_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    question, steps = finished(path)
    again = Journal.open(path)
    assert again.question == question
    assert tuple(again.steps.values()) == steps


@settings(deadline=None)
@given(part=st.floats(0, 1))
def test_a_journal_cut_anywhere_goes_on_to_the_same_answer(
    part: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "journal.jsonl"
    _, steps = finished(path)
    content = path.read_bytes()
    first_line = content.index(b"\n") + 1
    cut = first_line + round(part * (len(content) - first_line))
    path.write_bytes(content[:cut])
    kept = content[:cut].count(b"\n") - 1
    _, world = over_builds([0.0] * 30 + [1.0] * 20)
    with Journal.open(path) as journal:
        assert tuple(journal.steps.values()) == steps[:kept]
        world.store.update(step.trial.build for step in journal.steps.values())
        finding = world.bisect(journal)
    assert finding.legs[0].boundary.before == 29
    assert len(world.runs) == len(steps) - kept
    assert len(path.read_bytes().splitlines()) == len(steps) + 1


def test_each_step_is_on_disk_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    question, steps = finished(path)
    other = tmp_path / "other.jsonl"
    with Journal.create(other, question) as journal:
        for count, step in enumerate(steps, start=1):
            journal.add(step)
            assert len(Journal.open(other).steps) == count


def test_two_writers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    finished(path)
    with (
        Journal.open(path),
        pytest.raises(JournalError, match="another process is writing this journal"),
        Journal.open(path),
    ):
        pass


def test_an_existing_journal_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    question, _ = finished(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"journal already; go on with `bisect resume`"):
        Journal.create(path, question)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no whole line"),
        (b'{"type":"question"', "no whole line"),
        (b"[1, 2]\n", r"journal.jsonl:1: not a line of a bisection's journal"),
        (b'{"type":"question","axes":["moon"]}\n', r"journal.jsonl:1: .*moon"),
    ],
)
def test_what_is_no_journal_is_one_clear_error(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=message):
        Journal.open(path)


def test_a_damaged_line_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    finished(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"{}\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match=r"journal.jsonl:3: "):
        Journal.open(path)


def test_a_missing_journal_and_a_newer_format(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"none.jsonl: this journal cannot be used"):
        Journal.open(tmp_path / "none.jsonl")
    question, _ = over_builds([0.0, 1.0])
    path = tmp_path / "journal.jsonl"
    Journal.create(path, replace(question, format=2))
    with pytest.raises(JournalError, match="journal of format 2"):
        Journal.open(path)


def test_a_notebook_keeps_what_it_is_given() -> None:
    question, world = over_builds([0.0, 1.0])
    notebook = Notebook(question)
    world.bisect(notebook)
    assert [step.trial for step in notebook.steps.values()] == [question.bad, question.good]
