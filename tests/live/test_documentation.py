"""The commands of the documentation that launch builds, run as they stand."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK
from tests.unit.docs_commands import ROOT, DocumentedCommand, documented_commands

pytestmark = pytest.mark.live

SOME_SECONDS = (
    *("check", "record", "session", "env", "doctor", "probe", "matrix", "bisect", "upgrade"),
)
"""Commands that launch something, or ask this host; the others are run by the unit tests."""
ON_THE_STORE = (("builds", "get"), ("builds", "path"), ("builds", "verify"))

ARGV = "argv:fixtures/argv/unsloth-5231.txt"
BARE = "MODEL"
"""All of a command line that asks for nothing."""
STATUS = {
    # --draft-max was removed before b9246, which is what that page shows.
    "check": {EXIT_FAIL},
    # As are changes that are needed, and an application that adapts by itself.
    "upgrade": {EXIT_OK, EXIT_FAIL},
    # What is missing on this host is no matter of the page.
    "doctor": {EXIT_OK, EXIT_CANNOT_TELL},
    # Bug A of the reference subject is what that page shows.
    "session": {EXIT_FAIL},
    ARGV: {EXIT_FAIL},
}
NOT_RUN = {
    "b9700": "needs the network",
    "mine": "a build of the reader's own",
    "/path/to/llama-server": "needs a program of the reader's own",
    "--random": "tests/live/test_sessions.py walks",
    "found.session": "a session that a walk would have found",
    "./works.sh": "a program of the reader's own; tests/live/test_bisect.py has one",
    "--over-subject": "tests/live/test_bisect.py searches over subjects",
    "studio.jsonl": "fails by design, and takes minutes; tests/live/test_subject_unsloth.py has "
    "its kinds of failure",
    "pyllama": "needs an application from PyPI",
    "llserve": "needs an application from PyPI",
    "FILE": "a journal of the reader's own; tests/live/test_bisect.py has one",
}
MINUTES = ("--profile full", "mtp and n5")
"""Runs of several builds whole."""


def marked(command: DocumentedCommand) -> Any:
    text = shlex.join(command.words)
    long = command.words == ("matrix",) or any(one in text for one in MINUTES)
    return pytest.param(command, id=str(command), marks=[pytest.mark.slow] if long else [])


GALLERY = "apps.md"
"""Its commands need the applications; tests/live/test_apps.py runs them."""
COMMANDS = [
    command
    for command in documented_commands()
    if command.page != GALLERY
    and (command.words[0] in SOME_SECONDS or command.words[:2] in ON_THE_STORE)
    and "--list" not in command.words
    and not any(reason in " ".join(command.words) for reason in NOT_RUN)
]
RECORD = next(
    command
    for command in COMMANDS
    if command.page == "own-application.md" and command.words[0] == "record"
)
CARDS = "cuda-spoof.md"
"""Its command lines are for hosts with cards, which the spoof has."""


def run(command: DocumentedCommand, folder: Path) -> "subprocess.CompletedProcess[str]":
    # A shell would look for files that match.
    words = [
        name
        for word in command.words
        for name in (sorted(map(str, Path().glob(word))) if word.startswith("fixtures") else [word])
    ]
    if words[0] == "bisect":
        # The builds that are pinned, none that would have to be compiled.
        words.insert(2, "--catalogue-only")
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("command", [marked(command) for command in COMMANDS])
def test_a_documented_command_does_what_its_page_says(
    command: DocumentedCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("examples", "fixtures/argv", "fixtures/sessions", "fixtures/services"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    if "recording:recording.json" in command.words:
        assert run(RECORD, tmp_path).returncode == EXIT_OK
    answer = run(command, tmp_path)
    expected = STATUS.get(command.words[0], {EXIT_OK})
    if ARGV in command.words and command.words[0] == "matrix":
        expected = STATUS[ARGV]
    if BARE in command.words or (command.page == CARDS and command.words[0] == "check"):
        expected = {EXIT_OK}
    assert answer.returncode in expected, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
