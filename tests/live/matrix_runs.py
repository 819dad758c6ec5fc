"""Runs of the ``llama-harness matrix`` command as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model import CellResult
from harness.report.jsonl import read_results

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Run:
    status: int
    stdout: str
    stderr: str
    jsonl: Path
    junit: Path

    @property
    def results(self) -> tuple[CellResult, ...]:
        return tuple(read_results([self.jsonl]))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "harness", "matrix", *words]


def variables(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **(extra or {})}


def run_matrix(directory: Path, words: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """Run the command; pytest's cache of the last failures goes into ``directory``."""
    jsonl, junit = directory / "results.jsonl", directory / "junit.xml"
    done = subprocess.run(
        command(
            *words,
            *("--jsonl", str(jsonl), "--junit", str(junit)),
            *("-o", f"cache_dir={directory / 'cache'}"),
        ),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=directory,
        env=variables(env),
        check=False,
        timeout=3600,
    )
    return Run(
        status=done.returncode, stdout=done.stdout, stderr=done.stderr, jsonl=jsonl, junit=junit
    )
