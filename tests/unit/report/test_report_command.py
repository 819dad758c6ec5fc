from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.cli import main
from harness.commands.report import exit_status
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, EXIT_USAGE
from harness.model import CellResult, Verdict
from harness.report.jsonl import encode_result, read_results
from tests.unit.report.bad_results import flaky, one_of_each, refused, untold
from tests.unit.results import result


@pytest.fixture(autouse=True)
def store_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "store"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write(tmp_path / "results.jsonl", one_of_each())


def write(path: Path, results: Iterable[CellResult]) -> Path:
    path.write_bytes(b"".join(encode_result(one) + b"\n" for one in results))
    return path


@pytest.mark.parametrize(
    ("these", "status"),
    [
        ([result(), result(status=Verdict.DEGRADED), result(status=Verdict.KNOWN)], EXIT_OK),
        ([result(), refused(), untold()], EXIT_FAIL),
        ([result(), untold()], EXIT_CANNOT_TELL),
        ([result(), flaky()], EXIT_CANNOT_TELL),
        ([], EXIT_CANNOT_TELL),
    ],
)
def test_exit_status(these: list[CellResult], status: int) -> None:
    assert exit_status(these) == status


def test_html(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "html", str(results), "-o", str(tmp_path / "new" / "page.html")]) == 0
    assert capsys.readouterr().out == ""
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert '"--spec-draft-n-max"' in page, "the timeline reads recorded help texts"


def test_markdown_to_standard_output(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "markdown", str(results), "--title", "Night"]) == 0
    assert capsys.readouterr().out.startswith("## Night\n")


def test_markdown_for_an_issue(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "markdown", str(results), "--max-size", "1500"]) == 0
    assert len(capsys.readouterr().out.encode()) <= 1500


def test_annotations(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "annotations", str(results)]) == 0
    assert capsys.readouterr().out.count("\n") == 3


def test_table_ends_with_the_status_of_the_verdicts(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "table", str(results)]) == EXIT_FAIL
    assert "7 cells" in capsys.readouterr().out


def test_merge(results: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.jsonl", [result(mode="off", status=Verdict.PASS)])
    merged = tmp_path / "merged.jsonl"
    assert main(["report", "merge", str(results), str(other), "-o", str(merged)]) == EXIT_FAIL
    read = list(read_results([merged]))
    assert len(read) == 8
    assert main(["report", "merge", str(merged), str(other), "-o", str(merged)]) == EXIT_FAIL
    assert list(read_results([merged])) == read


def test_junit_needs_a_file(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "junit", str(results)]) == EXIT_USAGE
    assert "-o FILE" in capsys.readouterr().err
    assert main(["report", "junit", str(results), "-o", str(tmp_path / "junit.xml")]) == 0
    assert (tmp_path / "junit.xml").is_file()


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text"
    text.write_text("no json\nat all\n", encoding="utf-8")
    assert main(["report", "html", str(text)]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("llama-harness: ")
    assert "text:1: not a result line" in error
    assert len(error.splitlines()) == 1


def test_a_file_that_cannot_be_written(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "html", str(results), "-o", str(tmp_path)]) == EXIT_USAGE
    assert "cannot be written" in capsys.readouterr().err
    assert main(["report", "junit", str(results), "-o", str(tmp_path)]) == EXIT_USAGE
    assert "cannot be written" in capsys.readouterr().err


def test_runs_are_named_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "results.jsonl", [result()])
    page = tmp_path / "page.html"
    files = [str(tmp_path / name / "results.jsonl") for name in ("one", "two")]
    assert main(["report", "html", *files, "-o", str(page)]) == EXIT_OK
    text = page.read_text(encoding="utf-8")
    assert '"name":"one/results"' in text
    assert '"name":"two/results"' in text
