"""The commands of the documentation that launch builds, run as they stand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import EXIT_FAIL, EXIT_OK
from tests.unit.docs_commands import ROOT, DocumentedCommand, documented_commands

pytestmark = pytest.mark.live

ON_ITS_OWN_BUILD = ("--build", "b9246", "--env", "cpu")
"""Runs that a page limits to what a reader waits some seconds for."""

STATUS = {
    # --draft-max was removed before b9246, which is what that page shows.
    "check": EXIT_FAIL,
}
NOT_RUN = {
    "my-app": "needs an application of the reader's own",
    "app.json": "needs a recording of one",
    "/path/to/llama-server": "needs a program of the reader's own",
    "builds add b9700": "needs the network",
    "bisect": "tests/live/test_bisect.py runs bisections",
    "session": "tests/live/test_sessions.py runs sessions",
}


def runnable(command: DocumentedCommand) -> bool:
    text = " ".join(command.words)
    small = command.words[0] in {"check", "record"} or (
        command.words[0] == "matrix" and all(word in command.words for word in ON_ITS_OWN_BUILD)
    )
    return small and not any(reason in text for reason in NOT_RUN)


COMMANDS = [command for command in documented_commands() if runnable(command)]
RECORD = next(command for command in COMMANDS if command.words[0] == "record")


def run(command: DocumentedCommand, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "harness", *command.words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_documented_command_does_what_its_page_says(
    command: DocumentedCommand, tmp_path: Path
) -> None:
    for name in ("examples", "fixtures/argv"):
        shutil.copytree(ROOT / name, tmp_path / name)
    if "recording:recording.json" in command.words:
        assert run(RECORD, tmp_path).returncode == EXIT_OK
    answer = run(command, tmp_path)
    expected = STATUS.get(command.words[0], EXIT_OK)
    if "argv:" in " ".join(command.words):
        expected = EXIT_FAIL
    assert answer.returncode == expected, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
