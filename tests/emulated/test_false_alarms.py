"""The count of false alarms: it goes on where it stopped, and stops where there is one."""

import subprocess
import sys
from pathlib import Path

from tests.live.matrix_runs import ROOT, variables

TINY = (
    *("--build", "emulated-legacy-mtp", "--env", "cpu", "--model", "tiny-mtp", "-n", "0"),
    *("--mode", "mtp+ngram", "--draft-max", "5"),
)


def count(directory: Path, *words: str, subject: str = "reference") -> tuple[int, list[str]]:
    """Exit status and lines of one call of the script."""
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks" / "false_alarms.py")),
            *("--record", str(directory / "record.jsonl"), *words),
            *("--", *TINY, "--subject", subject),
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=variables(),
        check=False,
        timeout=300,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_a_count_goes_on_where_it_stopped(tmp_path: Path) -> None:
    status, (first, total) = count(tmp_path, "--runs", "2", "--most", "1")
    assert status == 0
    assert first.startswith("run 1: 1 cells on 1 builds: 1 pass; exit status 0; ")
    assert total.startswith("1 runs of `llama-harness matrix --build emulated-legacy-mtp")

    status, (second, total) = count(tmp_path, "--runs", "2")
    assert second.startswith("run 2: ")
    assert ": 0 false alarms; " in total

    assert count(tmp_path, "--runs", "2") == (0, [total])


def test_a_false_alarm_is_named_and_ends_the_count(tmp_path: Path) -> None:
    status, (run, total) = count(tmp_path, "--runs", "2", subject="reference@C")
    assert status == 1
    assert "exit status 1" in run
    assert "FALSE ALARM: emulated_legacy_mtp-cpu-reference@C-mtp+ngram-n5" in run
    assert ": 1 false alarms; " in total
    assert "draft-n-max" in (tmp_path / "record-last").read_text(encoding="utf-8")

    assert count(tmp_path, "--runs", "2", subject="reference@C") == (1, [total])
