"""Runs that take verdicts of earlier ones, on an emulated build in a cache of their own."""

import io
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.builds.locations import cache_root
from harness.cells.remembering import VERDICT
from harness.cli import main
from harness.config.memory import FILE, Memory
from harness.errors import EXIT_CANNOT_TELL, EXIT_OK, EXIT_USAGE
from harness.matrix import reuse
from harness.model import CellResult, Verdict
from harness.report.jsonl import encode_result, read_results
from harness.report.markdown import render_markdown
from harness.report.page import Run as PageRun
from harness.report.page import render_page
from harness.report.table import print_tables

BUILD = "emulated-legacy-mtp"


class Run:
    """Runs of the matrix command with ``--reuse``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *words: str) -> tuple[int, list[CellResult]]:
        lines, junit = self.directory / "results.jsonl", self.directory / "junit.xml"
        fixed = ("--build", BUILD, "--env", "cpu", "--model", "tiny-mtp", "--draft-max", "5")
        files = ("--jsonl", str(lines), "--junit", str(junit))
        status = main(
            ["matrix", *fixed, "--mode", "mtp", "--mode", "off", "-n", "0", *files, *words]
        )
        return status, list(read_results([lines])) if lines.exists() else []

    @property
    def junit(self) -> str:
        return (self.directory / "junit.xml").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(reuse, "SAMPLE", 0.0)
    return Run(tmp_path)


def remembered(results: list[CellResult]) -> int:
    return sum(bool(one.remembered) for one in results)


def test_a_second_run_launches_nothing_and_every_report_says_so(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    status, first = run("--reuse")
    assert (status, remembered(first)) == (EXIT_OK, 0)
    assert "remembered" not in capfd.readouterr().out

    status, second = run("--reuse")
    assert (status, remembered(second)) == (EXIT_OK, 2)
    assert [replace(one, remembered="") for one in second] == first
    said = f"2 remembered, found {second[0].remembered}"
    assert said in capfd.readouterr().out
    assert run.junit.count("remembered: an earlier run found this, 20") == 2
    assert said in render_markdown(second, title="t")
    assert render_markdown(second, title="t").count("(remembered)") == 2
    page = render_page([PageRun(name="r", results=tuple(second))], {}, title="t")
    assert page.count('"remembered":"20') == 2
    table = io.StringIO()
    print_tables(second, table)
    assert said in table.getvalue()


def test_without_the_option_everything_is_launched(run: Run) -> None:
    run("--reuse")
    assert remembered(run()[1]) == 0


def test_fresh_forgets(run: Run) -> None:
    run("--reuse")
    assert remembered(run("--reuse", "--fresh")[1]) == 0
    assert remembered(run("--reuse")[1]) == 2


def test_another_program_under_the_same_id_is_launched(run: Run) -> None:
    run("--reuse")
    directory = cache_root() / "builds" / BUILD
    program = directory / json.loads((directory / "manifest.json").read_text())["binary"]
    program.write_bytes(program.read_bytes() + b"\n# another one\n")
    assert remembered(run("--reuse")[1]) == 0


def test_changed_variables_are_launched(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--reuse")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert remembered(run("--reuse")[1]) == 0


def test_another_length_is_another_cell(run: Run) -> None:
    run("--reuse")
    _, results = run("--reuse", "--draft-max", "7")
    assert {one.request.draft_n_max: bool(one.remembered) for one in results} == {5: True, 7: False}


def test_a_planted_verdict_is_found_out_and_spoils_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run("--reuse")
    with closing(Memory(cache_root() / FILE)) as memory:
        kept = memory._do("SELECT key, value FROM kept WHERE kind = ?", VERDICT)
        for key, value in kept:
            (cell_file := run.directory / "one.jsonl").write_bytes(bytes(value) + b"\n")
            (one,) = read_results([cell_file])
            if one.request.mode == "off":
                memory.put(VERDICT, key, encode_result(replace(one, status=Verdict.DEGRADED)))
    sampled = iter([False, True])  # mtp is taken, off is tried
    monkeypatch.setattr(reuse, "SAMPLE", 0.5)
    monkeypatch.setattr("random.random", lambda: 0.0 if next(sampled) else 1.0)
    status, results = run("--reuse")
    assert status == EXIT_CANNOT_TELL
    assert [one.status for one in results] == [Verdict.PASS] * 2
    said = capfd.readouterr().out
    assert "came out otherwise than remembered" in said
    assert "run it again" in said
    monkeypatch.setattr(reuse, "SAMPLE", 0.0)
    monkeypatch.setattr("random.random", lambda: 1.0)
    status, results = run("--reuse")
    assert (status, remembered(results)) == (EXIT_OK, 1)


def test_a_cluster_takes_no_verdicts(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    status, _ = run("--reuse", "--executor", "dask:tcp://127.0.0.1:1")
    assert status == EXIT_USAGE
    assert "--reuse is for --executor local" in capfd.readouterr().err
