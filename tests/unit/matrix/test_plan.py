import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import EXIT_OK, EXIT_USAGE
from harness.report.jsonl import encode_result
from tests.unit.matrix.test_shards import measured

SELECTION = ["--profile", "smoke", "--env", "cpu"]


@pytest.fixture(autouse=True)
def store_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "store"))


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["plan", *SELECTION, *words]) == EXIT_OK
    return capsys.readouterr().out


def test_github_format_is_one_line_for_a_jobs_output(capsys: pytest.CaptureFixture[str]) -> None:
    name, _, value = plan(capsys, "--shards", "4", "--format", "github").partition("=")
    assert name == "matrix"
    assert value.count("\n") == 1
    entries = json.loads(value)["include"]
    assert [entry["shard"] for entry in entries] == ["1/4", "2/4", "3/4", "4/4"]
    assert [entry["name"] for entry in entries] == ["1-of-4", "2-of-4", "3-of-4", "4-of-4"]


def test_shards_list_what_matrix_then_runs(capsys: pytest.CaptureFixture[str]) -> None:
    entries = json.loads(plan(capsys, "--shards", "3", "--format", "json"))
    for entry in entries:
        assert main(["matrix", *SELECTION, "--shard", entry["shard"], "--list"]) == EXIT_OK
        ids = capsys.readouterr().out.splitlines()
        assert len(ids) == entry["cells"]
        assert {word.partition("-")[0] for word in ids} == set(entry["builds"].split())


def test_measured_times_are_those_of_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "measured.jsonl"
    on_cpu = [one for one in measured() if one.environment == "cpu"]
    file.write_bytes(b"".join(encode_result(one) + b"\n" for one in on_cpu))
    shown = plan(capsys, "--shards", "2", "--balance-from", str(file), "--format", "json")
    expected = sum(one.wall_ms for one in on_cpu) / 1000
    assert sum(entry["seconds"] for entry in json.loads(shown)) == pytest.approx(expected, abs=0.2)


def test_an_empty_file_of_times_is_no_hindrance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "measured.jsonl").touch()
    text = plan(capsys, "--shards", "2", "--balance-from", str(tmp_path / "measured.jsonl"))
    assert [line.split()[0] for line in text.splitlines()] == ["1/2", "2/2"]


def test_shards_without_cells_are_no_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--build", "b9246", "--mode", "off", "--model", "tiny-mtp", "--shards", "9"]
    assert len(plan(capsys, *words).splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--shards", "0"], "--shards 0"),
        (["--shards", "2", "--balance-from", "absent.jsonl"], "absent.jsonl"),
        (["--shards", "2", "--env", "gpu"], "gpu"),
    ],
)
def test_wrong_use_is_named(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *words]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert named in error
    assert len(error.splitlines()) == 1
