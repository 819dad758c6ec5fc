"""The stand-in at a place of the user's, and what was there before."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.shim.placing import MARK, placed

OURS = f"#!/bin/sh\n{MARK.decode()}echo ours\n"

KILLED = """
import sys, time
from pathlib import Path
from harness.shim.placing import placed
with placed(*map(Path, sys.argv[1:])):
    print("placed", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_text(OURS, newline="\n")
    return path


def test_a_file_is_put_back_as_it_was(program: Path, tmp_path: Path) -> None:
    place = tmp_path / "app" / "llama-server"
    place.parent.mkdir()
    place.write_text("the user's own")
    place.chmod(0o700)
    os.utime(place, (1, 2))
    before = place.stat()
    with placed(program, place, tmp_path / "store"):
        assert place.read_text() == OURS
        assert os.access(place, os.X_OK)
    after = place.stat()
    assert place.read_text() == "the user's own"
    assert (after.st_ino, after.st_mode, after.st_mtime) == (
        before.st_ino,
        before.st_mode,
        before.st_mtime,
    )
    assert [each.name for each in place.parent.iterdir()] == ["llama-server"]


def test_a_link_is_put_back_and_what_it_leads_to_is_left_alone(
    program: Path, tmp_path: Path
) -> None:
    real = tmp_path / "real"
    real.write_text("real")
    place = tmp_path / "link"
    place.symlink_to("real")
    with placed(program, place, tmp_path / "store"):
        assert real.read_text() == "real"
        assert not place.is_symlink()
    assert place.readlink() == Path("real")


def test_where_nothing_was_nothing_is_left(program: Path, tmp_path: Path) -> None:
    place = tmp_path / "a" / "b" / "llama-server"
    with placed(program, place, tmp_path / "store"):
        assert place.read_text() == OURS
    assert not (tmp_path / "a").exists()
    with placed(program, place, tmp_path / "store"):
        (tmp_path / "a" / "kept").touch()
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["kept"]


def test_what_the_application_put_there_goes_where_the_user_had_something(
    program: Path, tmp_path: Path
) -> None:
    place = tmp_path / "llama-server"
    with placed(program, place, tmp_path / "store"):
        place.write_text("downloaded")
    assert place.read_text() == "downloaded"
    with placed(program, place, tmp_path / "store"):
        place.write_text("downloaded again")
    assert place.read_text() == "downloaded"


def test_an_error_meanwhile_changes_nothing_of_that(program: Path, tmp_path: Path) -> None:
    place = tmp_path / "llama-server"
    place.write_text("own")
    with pytest.raises(KeyboardInterrupt), placed(program, place, tmp_path / "store"):
        raise KeyboardInterrupt
    assert place.read_text() == "own"


def test_a_recorder_that_is_killed_leaves_the_file_as_it_was(program: Path, tmp_path: Path) -> None:
    place = tmp_path / "llama-server"
    place.write_text("own")
    words = [str(program), str(place), str(tmp_path / "store")]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *words], stdout=subprocess.PIPE
    ) as recorder:
        assert recorder.stdout is not None
        recorder.stdout.readline()
        assert place.read_text() == OURS
        recorder.kill()
    deadline = time.monotonic() + 20
    while place.read_text() != "own":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with placed(program, place, tmp_path / "store"):
        assert place.read_text() == OURS
    assert place.read_text() == "own"


def test_what_even_the_companion_could_not_put_back_is_put_back_by_the_next(
    program: Path, tmp_path: Path
) -> None:
    place = tmp_path / "llama-server"
    place.write_text(OURS + "of an earlier recording")
    with placed(program, place, tmp_path / "store"):
        (tmp_path / ".llama-server.llama-harness-own").write_text("own")
    assert place.read_text() == "own"
    (tmp_path / ".llama-server.llama-harness-own").write_text("older")
    place.write_text(OURS)
    with placed(program, place, tmp_path / "store"):
        assert place.read_text() == OURS
    assert place.read_text() == "older"


def test_places_that_cannot_be_had(program: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"), placed(program, tmp_path, tmp_path):
        pass
    place = tmp_path / "llama-server"
    with (
        placed(program, place, tmp_path),
        pytest.raises(UsageError, match="another recording has its stand-in there"),
        placed(program, place, tmp_path),
    ):
        pass
    place.write_text("a file")
    with (
        pytest.raises(UsageError, match="cannot be written"),
        placed(program, place / "llama-server", tmp_path),
    ):
        pass
