"""The plugin under pytest itself, with cells that come out as they are told to."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from harness.cells.names import cell_id
from harness.cli import main
from harness.errors import UsageError
from harness.matrix.axes import select_cells
from harness.matrix.judgement import judge_run
from harness.matrix.runner import NODE, RESULT, CellRunner
from harness.model import Cell, CellResult, Failure, FailureKind, Verdict
from harness.report.jsonl import read_results
from tests.unit.results import result

pytest_plugins = ["pytester"]

# pytester forgets what each run imported; what is heavy or altered is imported before.
for name in ("matrix.pytest_plugin", "report.alike", "report.differential", "report.table"):
    import_module(f"harness.{name}")
for name in ("rich.box", "rich.console", "rich.table", "rich.text"):
    import_module(name)

RunMatrix = Callable[..., pytest.RunResult]
LENGTHS = {None: "default", 1: "1", 5: "5", 16: "16"}


@pytest.fixture
def verdicts() -> dict[int | None, Verdict]:
    """What a cell of each draft length comes to; changed by a test."""
    return dict.fromkeys(LENGTHS, Verdict.PASS)


@pytest.fixture
def run_matrix(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    verdicts: dict[int | None, Verdict],
) -> RunMatrix:
    def run_cell(_: object, cell: Cell) -> CellResult:
        if cell.request.mode == "mtp" and interrupts:
            raise KeyboardInterrupt
        one = result(
            draft_n_max=cell.request.draft_n_max, status=verdicts[cell.request.draft_n_max]
        )
        failure = Failure(kind=FailureKind.HARNESS, message="as it was told")
        told = {"id": cell_id(cell), "request": cell.request, "environment": cell.environment}
        return replace(one, **told, failure=None if one.status is Verdict.PASS else failure)  # type: ignore[arg-type]

    interrupts: list[bool] = []

    def run(*words: str, interrupt: bool = False) -> pytest.RunResult:
        interrupts[:] = [True] if interrupt else []
        return pytester.runpytest_inprocess(
            *("-p", "no:warnings", "-p", "harness.matrix.pytest_plugin", str(NODE)),
            *(f"--rootdir={NODE.parent}", "-c", str(pytester.makeini("[pytest]"))),
            *("-o", f"cache_dir={pytester.path / 'cache'}"),
            *("--matrix-build=b9246", "--matrix-env=cpu", "--matrix-model=tiny-mtp"),
            *("--matrix-jsonl", str(pytester.path / "results.jsonl")),
            *words,
        )

    monkeypatch.setattr(CellRunner, "run", run_cell)
    return run


MTP = "--matrix-mode=mtp"


def written(pytester: pytest.Pytester) -> list[CellResult]:
    return list(read_results([pytester.path / "results.jsonl"]))


def test_all_is_well(run_matrix: RunMatrix, pytester: pytest.Pytester) -> None:
    run = run_matrix(MTP)
    assert run.ret == 0
    run.assert_outcomes(passed=4)
    assert [one.request.draft_n_max for one in written(pytester)] == [None, 1, 5, 16]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (Verdict.PASS, 0, "4 passed"),
        (Verdict.DEGRADED, 0, "3 passed, 1 degraded"),
        (Verdict.KNOWN, 0, "1 known"),
        (Verdict.FAIL, 1, "1 failed, 3 passed"),
        (Verdict.ERROR, 3, "3 passed, 1 error"),
    ],
)
def test_each_verdict_has_its_word_and_its_exit_status(
    run_matrix: RunMatrix,
    verdicts: dict[int | None, Verdict],
    status: Verdict,
    code: int,
    words: str,
) -> None:
    verdicts[5] = status
    run = run_matrix(MTP)
    assert run.ret == code
    assert words in run.stdout.str()


def test_a_failure_outweighs_an_error(
    run_matrix: RunMatrix, verdicts: dict[int | None, Verdict]
) -> None:
    verdicts.update({1: Verdict.ERROR, 5: Verdict.FAIL})
    assert run_matrix(MTP).ret == 1


def test_bad_cells_are_described_without_a_traceback(
    run_matrix: RunMatrix, verdicts: dict[int | None, Verdict]
) -> None:
    verdicts[5] = Verdict.FAIL
    told = run_matrix(MTP).stdout.str()
    assert "fail: b9246-cpu-reference-mtp-n5" in told
    assert "harness: as it was told" in told
    assert "Traceback" not in told
    assert "CellFailed" not in told


def test_names_and_last_failures_select(
    run_matrix: RunMatrix, verdicts: dict[int | None, Verdict], pytester: pytest.Pytester
) -> None:
    verdicts[5] = Verdict.FAIL
    assert run_matrix(MTP, "-k", "n5 or n16").ret == 1
    assert [one.request.draft_n_max for one in written(pytester)] == [5, 16]
    verdicts[5] = Verdict.PASS
    assert run_matrix(MTP, "--lf").ret == 0
    assert [one.request.draft_n_max for one in written(pytester)] == [5]


def test_an_interrupt_keeps_what_was_found(
    run_matrix: RunMatrix, pytester: pytest.Pytester
) -> None:
    run = run_matrix("--matrix-mode=off", MTP, interrupt=True)
    assert run.ret == 130
    assert {one.request.mode for one in written(pytester)} == {"off"}
    assert "4 cells: 4 pass" in run.stdout.str()
    assert "exit status 130: interrupted" in run.stdout.str()


@pytest.mark.parametrize("words", [("--maxfail=1",), ("-x",), ("--sw",)])
def test_a_run_that_has_seen_enough_was_not_interrupted(
    words: tuple[str, ...],
    run_matrix: RunMatrix,
    pytester: pytest.Pytester,
    verdicts: dict[int | None, Verdict],
) -> None:
    verdicts[1] = Verdict.FAIL
    run = run_matrix(MTP, *words)
    assert run.ret == 1
    assert [one.request.draft_n_max for one in written(pytester)] == [None, 1]
    assert "interrupted;" not in run.stdout.str()


def test_a_results_file_that_cannot_be_written_is_wrong_use(
    run_matrix: RunMatrix, tmp_path: Path
) -> None:
    run = run_matrix(MTP, "--matrix-jsonl", str(tmp_path))
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    assert "cannot be written" in run.stderr.str()
    assert "Traceback" not in run.stderr.str()


def test_junit_is_what_the_report_makes_of_the_results(
    run_matrix: RunMatrix, verdicts: dict[int | None, Verdict], pytester: pytest.Pytester
) -> None:
    verdicts.update({1: Verdict.KNOWN, 5: Verdict.FAIL, 16: Verdict.ERROR})
    told, made = pytester.path / "new" / "junit.xml", pytester.path / "made.xml"
    assert run_matrix(MTP, "--matrix-mode=off", "--matrix-junit", str(told)).ret == 1
    assert main(["report", "junit", str(pytester.path / "results.jsonl"), "-o", str(made)]) == 0
    assert told.read_bytes() == made.read_bytes()
    assert told.read_text(encoding="utf-8").count("<testcase") == 8


def test_an_interrupt_leaves_junit_of_what_was_found(
    run_matrix: RunMatrix, pytester: pytest.Pytester
) -> None:
    junit = pytester.path / "junit.xml"
    run_matrix("--matrix-mode=off", MTP, "--matrix-junit", str(junit))
    assert junit.read_text(encoding="utf-8").count("<testcase") == 8
    words = ("--matrix-mode=off", MTP, "--matrix-junit", str(junit))
    assert run_matrix(*words, interrupt=True).ret == 130
    assert junit.read_text(encoding="utf-8").count("<testcase") == 4


def test_junit_that_cannot_be_written_is_told_before_the_first_cell(
    run_matrix: RunMatrix, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    run = run_matrix(MTP, "--matrix-junit", str(tmp_path))
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    assert "cannot be written" in run.stderr.str()
    assert not (pytester.path / "results.jsonl").exists()


def test_junit_that_can_no_longer_be_written_is_told_at_the_end(
    run_matrix: RunMatrix, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(results: Sequence[CellResult], path: Path) -> None:
        if results:
            raise UsageError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr("harness.matrix.reporter.write_junit", full)
    run = run_matrix(MTP, "--matrix-junit", "junit.xml")
    assert run.ret == 3
    assert "exit status 3: junit.xml: cannot be written: No space left" in run.stdout.str()
    assert len(written(pytester)) == 4


def test_relations_and_ledger_are_judged_once(
    run_matrix: RunMatrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Mock(wraps=judge_run)
    monkeypatch.setattr("harness.matrix.reporter.judge_run", judged)
    selected = Mock(wraps=select_cells)
    monkeypatch.setattr("harness.matrix.pytest_plugin.select_cells", selected)
    assert run_matrix(MTP).ret == 0
    assert (judged.call_count, selected.call_count) == (1, 1)


def test_without_workers_no_result_is_encoded_but_for_its_file(
    run_matrix: RunMatrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, decoded = Mock(), Mock()
    monkeypatch.setattr("harness.matrix.runner.encode_result", encoded)
    monkeypatch.setattr("harness.matrix.runner.decode_result", decoded)
    assert run_matrix(MTP).ret == 0
    assert (encoded.call_count, decoded.call_count) == (0, 0)


@pytest.mark.parametrize("worker", [True, False])
def test_a_worker_lets_go_of_what_it_sent(worker: bool) -> None:
    """Its own terminal, which nobody sees, keeps every report to the end."""
    config = SimpleNamespace(getoption=Mock(return_value="{}"))
    if worker:
        config.workerinput = {}
    runner = CellRunner(config, {}, Mock(), Mock())  # type: ignore[arg-type]
    report = SimpleNamespace(**{RESULT: result()})
    sending = runner.pytest_runtest_logreport(report)  # type: ignore[arg-type]
    next(sending)
    assert hasattr(report, RESULT)
    assert next(sending, None) is None
    assert hasattr(report, RESULT) is not worker


def test_lines_are_json_with_the_verdict(run_matrix: RunMatrix, pytester: pytest.Pytester) -> None:
    run_matrix(MTP, "-k", "n5")
    (line,) = (pytester.path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert (row["status"], row["request"]["draft_n_max"]) == ("pass", 5)


def test_what_the_cells_alone_do_not_say_is_said(
    run_matrix: RunMatrix, verdicts: dict[int | None, Verdict], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.toml"
    ledger.write_text(
        '[[divergence]]\nname = "gone"\nsubject = "reference"\nchecks = ["starts"]\nsince = 9246\n'
        'reason = "once it did not start"\nlink = "https://example.org/1"\n',
        encoding="utf-8",
    )
    run = run_matrix(MTP, "--matrix-ledger", str(ledger))
    assert run.ret == 1
    assert "exit status 1: every cell is good on its own, but 1 ledger entry stale" in str(
        run.stdout
    )
    verdicts[5] = Verdict.FLAKY
    run = run_matrix(MTP)
    assert run.ret == 3
    assert "exit status 3: no cell fails, but" in str(run.stdout)
    verdicts[5] = Verdict.PASS
    assert "exit status" not in str(run_matrix(MTP).stdout)


def test_the_command_shows_failures_alike_once(
    run_matrix: RunMatrix, verdicts: dict[int | None, Verdict]
) -> None:
    verdicts.update(dict.fromkeys(LENGTHS, Verdict.FAIL))
    told = run_matrix(MTP, "--tb=no", "-rN").stdout.str()
    assert told.count("harness: as it was told") == 1
    assert "4 cells" in told
    assert "b9246, cpu: mtp n=default,1,5,16 tiny-mtp" in told
    assert told.count("run it alone") == 1
    assert "4 failed" in told
    each = run_matrix(MTP, "--tb=short", "-rN").stdout.str()
    assert each.count("run it alone") == 4


def test_a_bug_of_the_harness_is_shown_with_its_traceback(
    run_matrix: RunMatrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object, cell: Cell) -> CellResult:
        raise RuntimeError(f"a bug met by {cell.build}")

    monkeypatch.setattr(CellRunner, "run", broken)
    run = run_matrix(MTP, "-k", "n5", "--tb=no")
    assert run.ret == 3
    assert "RuntimeError: a bug met by b9246" in run.stdout.str()
