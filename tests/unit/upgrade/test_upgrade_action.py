"""The action's step for pull requests, run with stand-ins for the programs that it calls."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow_scripts import read

ACTION = Path(__file__).parents[3] / "action.yml"
GH = """#!/bin/sh
echo "gh $*" >> "$CALLS"
case "$*" in
*--paginate*) echo "$BEFORE" ;;
*) test -z "$FORBIDDEN" ;;
esac
"""
HARNESS = """#!/bin/sh
echo "llama-harness $*" >> "$CALLS"
printf '%s' "$SAID"
exit "$STATUS"
"""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="needs bash"
)


def script() -> str:
    steps = read(ACTION)["runs"]["steps"]
    (step,) = (one for one in steps if one.get("if") == "inputs.mode == 'upgrade'")
    run: str = step["run"]
    return run


@dataclass(frozen=True, kw_only=True)
class Ran:
    status: int
    calls: list[str]
    summary: str
    output: str


def run(folder: Path, **variables: str) -> Ran:
    for name, text in (("gh", GH), ("llama-harness", HARNESS)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    calls, summary = folder / "calls", folder / "summary"
    for path in (calls, summary):
        path.touch()
    env = {
        "PATH": f"{folder}:{os.environ['PATH']}", "BIN": str(folder), "RUNNER_TEMP": str(folder),
        "ARGS": "--env cpu", "BASE": "abc", "NUMBER": "7", "GITHUB_REPOSITORY": "o/r",
        "GITHUB_STEP_SUMMARY": str(summary), "CALLS": str(calls), "BEFORE": "", "FORBIDDEN": "",
        "SAID": "### compose.yml\n", "STATUS": "0", **variables,
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script()],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Ran(
        status=done.returncode,
        calls=calls.read_text().splitlines(),
        summary=summary.read_text(),
        output=done.stdout + done.stderr,
    )


def test_what_changes_is_commented_and_put_on_the_page(tmp_path: Path) -> None:
    ran = run(tmp_path, STATUS="1")
    assert ran.status == 1
    assert ran.calls[0] == "llama-harness upgrade --base abc --markdown --env cpu"
    assert ran.calls[2].startswith("gh api --method POST repos/o/r/issues/7/comments -F body=@")
    assert ran.summary == "<!-- llama.cpp upgrade -->\n### compose.yml\n"


def test_a_comment_is_brought_up_to_date(tmp_path: Path) -> None:
    ran = run(tmp_path, BEFORE="41\n42")
    assert ran.status == 0
    assert ran.calls[2].startswith("gh api --method PATCH repos/o/r/issues/comments/41 -F body=@")


def test_nothing_is_said_where_no_build_changes(tmp_path: Path) -> None:
    ran = run(tmp_path, SAID="")
    assert (ran.status, len(ran.calls), ran.summary) == (0, 1, "")


def test_a_token_that_may_not_write_is_no_failure(tmp_path: Path) -> None:
    ran = run(tmp_path, FORBIDDEN="1", STATUS="4")
    assert ran.status == 4
    assert "::notice::No comment could be written" in ran.output
    assert "### compose.yml" in ran.summary
