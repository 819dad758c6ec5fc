"""Ledger, relations and bugs C and inverted in whole matrix runs, on the emulated fork."""

from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import EXIT_FAIL, EXIT_OK, EXIT_USAGE
from harness.model import CellResult, Verdict
from harness.report.jsonl import read_results

ENTRY = """\
[[divergence]]
name = "repeats the length"
subject = "reference@C"
checks = ["draft-n-max", "no-flag-twice", "no-warning"]
modes = ["mtp+ngram"]
since = 8930
until = 8930
emulated = true
reason = "chained on a legacy build the lengths of both are written"
link = "https://example.org/1"
"""


class Run:
    """Runs of the matrix command in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, *arguments: str, ledger: str = "") -> tuple[int, list[CellResult]]:
        file = self._directory / "ledger.toml"
        file.write_text(ledger, encoding="utf-8")
        lines = self._directory / "results.jsonl"
        fixed = ("--build", "emulated-legacy-mtp", "--env", "cpu", "--model", "tiny-mtp")
        files = ("--ledger", str(file), "--jsonl", str(lines))
        status = main(["matrix", *fixed, "--draft-max", "5", "-n", "0", *files, *arguments])
        return status, list(read_results([lines])) if lines.exists() else []


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def failed(result: CellResult) -> set[str]:
    return {check.name for check in result.checks if not check.ok}


def test_the_reference_chains_on_the_fork(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    status, results = run("--mode", "mtp+ngram", "--mode", "ngram-mod,draft-mtp")

    assert status == EXIT_OK
    assert [result.status for result in results] == [Verdict.PASS] * 2
    assert set(results[0].drafts or {}) == {"draft-mtp", "ngram-mod"}
    assert "1 relation between cells: all hold" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("variant", "checks"),
    [
        ("C", {"no-flag-twice", "no-warning", "draft-n-max"}),
        ("inverted", {"min-not-above-max", "effect"}),
    ],
)
def test_bugs_that_only_a_fork_shows_are_caught(variant: str, checks: set[str], run: Run) -> None:
    status, (result,) = run("--subject", f"reference@{variant}", "--mode", "mtp+ngram")

    assert status == EXIT_FAIL
    assert result.status is Verdict.FAIL
    assert failed(result) == checks


def test_failures_found_by_workers_read_as_those_found_alone(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    junit = tmp_path / "junit.xml"
    words = ("--subject", "reference@C", "--mode", "mtp+ngram", "--junit", str(junit))

    status, results = run(*words, "--env", "cuda-spoof", "-n", "2")

    assert status == EXIT_FAIL
    assert [result.status for result in results] == [Verdict.FAIL] * 2
    said = capfd.readouterr().out
    assert "2 cells\n  emulated-legacy-mtp (emulated), cpu, cuda-spoof: mtp+ngram n=5" in said
    assert said.count("run it alone: ") == 1
    assert "[gw" not in said
    assert junit.read_text(encoding="utf-8").count("<failure") == 2


def test_bug_c_is_seen_in_what_the_server_does(run: Run) -> None:
    _, (result,) = run("--subject", "reference@C", "--mode", "mtp+ngram")

    assert result.drafts is not None
    assert result.drafts["draft-mtp"].n_max == 64


def test_a_known_divergence_does_not_fail_the_run(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    status, (result,) = run("--subject", "reference@C", "--mode", "mtp+ngram", ledger=ENTRY)

    assert status == EXIT_OK
    assert result.status is Verdict.KNOWN
    assert result.ledger == "repeats the length"
    assert "known: repeats the length" in capfd.readouterr().out


def test_a_stale_entry_fails_the_run(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    stale = ENTRY.replace('"reference@C"', '"reference"')

    status, (result,) = run("--mode", "mtp+ngram", ledger=stale)

    assert result.status is Verdict.PASS
    assert status == EXIT_FAIL
    said = capfd.readouterr().out
    assert "stale in the ledger: 1 entry" in said
    assert "repeats the length: should fail at draft-n-max, no-flag-twice, no-warning" in said


def test_an_entry_that_matches_nothing_stops_the_run(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    status, results = run("--mode", "off", ledger=ENTRY.replace("8930", "1"))

    assert (status, results) == (EXIT_USAGE, [])
    assert "no build of the catalogue is from 1 to 1" in capfd.readouterr().err


def test_proposed_entries_are_printed_and_not_written(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, _ = run("--subject", "reference@C", "--mode", "mtp+ngram", "--ledger-update")

    assert status == EXIT_FAIL
    assert 'checks = ["draft-n-max", "no-flag-twice", "no-warning"]' in capfd.readouterr().out
    assert (tmp_path / "ledger.toml").read_text(encoding="utf-8") == ""
