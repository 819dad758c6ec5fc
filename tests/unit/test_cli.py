"""The command line: statuses, one clear line for each slip, and nothing started to tell it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.commands import matrix
from harness.errors import EXIT_CANNOT_TELL, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, StoreError

ROOT = Path(__file__).parents[2]


def run(*words: str) -> int:
    try:
        return cli.main(words)
    except SystemExit as ending:
        return int(ending.code or EXIT_OK)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(directory))
    return directory


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["matrix", "--build", "b1"], "b1"),
        (["matrix", "--profile", "nope"], "nope"),
        (["matrix", "--draft-max", "many"], "--draft-max 'many'"),
        (["matrix", "--env", "moon"], "'moon'"),
        (["matrix", "--subject", "telepathy"], "telepathy"),
        (["matrix", "--subject", "command:"], "command:"),
        (["matrix", "--model", "big"], "big"),
        (["probe", "no-such-build"], "no-such-build"),
    ],
)
def test_one_line_and_status_two_for_a_slip(
    cache: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == EXIT_USAGE
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("llama-harness: ")
    assert told in line
    assert output.out == ""
    assert not cache.exists()


@pytest.mark.parametrize("words", [[], ["no-such-command"], ["builds", "--bogus"]])
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == EXIT_USAGE
    assert "usage: llama-harness" in capsys.readouterr().err


def test_version_and_help_name_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == EXIT_OK
    assert capsys.readouterr().out.startswith("llama-harness ")
    assert run("--help") == EXIT_OK
    told = capsys.readouterr().out
    assert all(word in told for word in ("matrix", "builds", "probe", "bisect", "record"))


def test_listing_starts_and_writes_nothing(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", started)
    assert run("matrix", "--build", "b9246", "--mode", "mtp", "--list") == EXIT_OK
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(set(listed)) == 16
    assert "b9246-cuda_spoof-reference-mtp-n5" in listed
    assert not cache.exists()


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (KeyboardInterrupt(), EXIT_INTERRUPTED, "llama-harness: interrupted"),
        (StoreError("the store is full"), EXIT_CANNOT_TELL, "llama-harness: the store is full"),
    ],
)
def test_what_a_command_raises_becomes_its_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    told: str,
) -> None:
    def raising(_: object) -> int:
        raise error

    monkeypatch.setattr(matrix, "run_matrix", raising)
    assert run("matrix") == status
    assert capsys.readouterr().err == f"{told}\n"


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    listing = subprocess.Popen(
        [sys.executable, "-m", "harness", "matrix", "--profile", "all", "--list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert listing.stdout is not None
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.stderr is not None
    with listing.stderr as stream:
        assert stream.read() == b""
    assert listing.wait() == EXIT_OK
