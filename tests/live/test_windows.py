"""What is Windows' own: releases, errors of the loader, names, ways to quote and to lock."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.builds.upkeep import verify
from harness.cells.qualification import open_store
from harness.cells.workbench import Workbench
from harness.environments.hermetic import hermetic_variables
from harness.flags.capabilities import parse_help
from harness.formats import read_file
from harness.model import Failure, FailureKind
from harness.server import LaunchFailedError, launch
from harness.server.ports import reserved_port
from tests.live.matrix_runs import ROOT, variables

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "win32", reason="Windows' own"),
]

WITH_LIBRARIES, RENAMED = "b8929", "b9246"
ODD_NAMES = ("with space", "Überäößé", "a&b", "100%", "caret^", "x" * 120)
"""Folders as people have them: each is more than one word, or another, to some program."""


def harness(*words: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command from a directory."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=directory,
        env=variables(),
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("build", [WITH_LIBRARIES, RENAMED])
def test_a_release_is_acquired_and_is_whole(workbench: Workbench, build: str) -> None:
    acquired = workbench.build(build)
    assert acquired.binary.name == "llama-server.exe"
    if acquired.manifest.source == "release":
        assert acquired.manifest.asset.startswith(f"llama-{build}-bin-win-cpu-x64")
    assert verify(open_store(), build) == ()


@pytest.mark.parametrize("build", [WITH_LIBRARIES, RENAMED])
def test_its_help_is_linux_s(workbench: Workbench, build: str, tmp_path: Path) -> None:
    probed = harness("probe", "--json", build, directory=tmp_path)
    assert probed.returncode == 0, probed.stderr
    recorded = parse_help((ROOT / "fixtures" / "help" / f"{build}.txt").read_text("utf-8"))
    here = workbench.capabilities(build)
    assert {option.spellings for option in here.options} == {
        option.spellings for option in recorded.options
    }
    assert json.loads(probed.stdout)


@pytest.fixture
def model(workbench: Workbench) -> Path:
    return workbench.models["tiny-llama"].path


def failure_of(
    program: Path, words: Sequence[str], directory: Path, port: int | None = None
) -> Failure:
    with (
        reserved_port() as free,
        pytest.raises(LaunchFailedError) as caught,
        launch(
            program,
            (*words, "--port", str(port or free)),
            port=port or free,
            env=hermetic_variables(directory / "home"),
            cwd=directory,
        ),
    ):
        pytest.fail("it became healthy")
    return caught.value.failure


def test_a_library_that_is_not_there(workbench: Workbench, tmp_path: Path) -> None:
    own = workbench.build(WITH_LIBRARIES).binary.parent
    libraries = sorted(own.glob("*.dll"))
    if not libraries:
        pytest.skip("this build has no library of its own")
    program = Path(shutil.copy(own / "llama-server.exe", tmp_path))
    failure = failure_of(program, [], tmp_path)
    assert failure.kind is FailureKind.MISSING_LIBRARY


@pytest.mark.parametrize("build", [WITH_LIBRARIES, RENAMED])
def test_an_unknown_argument(workbench: Workbench, model: Path, tmp_path: Path, build: str) -> None:
    program = workbench.build(build).binary
    failure = failure_of(program, ["-m", str(model), "--no-such-flag"], tmp_path)
    assert (failure.kind, failure.argument) == (FailureKind.UNKNOWN_ARGUMENT, "--no-such-flag")


@pytest.mark.parametrize("build", [WITH_LIBRARIES, RENAMED])
def test_an_assertion(workbench: Workbench, model: Path, tmp_path: Path, build: str) -> None:
    program = workbench.build(build).binary
    words = ["-m", str(model), "--override-kv", "llama.block_count=int:0"]
    assert failure_of(program, words, tmp_path).kind is FailureKind.ABORT


def test_a_removed_argument(workbench: Workbench, model: Path, tmp_path: Path) -> None:
    program = workbench.build(RENAMED).binary
    failure = failure_of(program, ["-m", str(model), "--draft-max", "5"], tmp_path)
    assert (failure.kind, failure.argument) == (FailureKind.REMOVED_ARGUMENT, "--draft-max")


@pytest.mark.parametrize("build", [WITH_LIBRARIES, RENAMED])
def test_a_port_in_use(workbench: Workbench, model: Path, tmp_path: Path, build: str) -> None:
    program = workbench.build(build).binary
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        failure = failure_of(program, ["-m", str(model)], tmp_path, port)
    assert failure.kind is FailureKind.PORT_IN_USE


@pytest.mark.parametrize("name", ODD_NAMES)
def test_folders_of_any_name(workbench: Workbench, model: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    copy = Path(shutil.copy(model, folder / "my model.gguf"))
    line = f'llama-server.exe -m "{copy}" -c 512 --alias "a b"'
    batch = folder / "start.bat"
    batch.write_text(line.replace("%", "%%") + "\r\n", encoding="utf-8", newline="")
    (read,) = read_file(batch).values()
    assert read.words[:2] == ("-m", str(copy))
    checked = harness("check", "--build", RENAMED, str(batch), directory=folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "context 512" in checked.stdout


def test_a_path_longer_than_windows_once_took(
    workbench: Workbench, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "/".join(["d" * 50] * 5)
    try:
        folder.mkdir(parents=True)
        copy = Path(shutil.copy(model, folder / "model.gguf"))
    except OSError:
        pytest.skip("this Windows takes no long paths")
    assert len(str(copy)) > 260
    checked = harness(
        *("check", "--build", RENAMED, "--", "-m", str(copy), "-c", "512"), directory=tmp_path
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--draft-max", "5"], "--spec-draft-n-max"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_explain(tmp_path: Path, words: Sequence[str], said: str) -> None:
    done = harness(
        *("explain", "--build", RENAMED, "--", "-c", "512", "--jinja", *words), directory=tmp_path
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout


def test_what_an_application_starts_is_recorded(workbench: Workbench, tmp_path: Path) -> None:
    workbench.build(RENAMED)
    done = harness(
        *("record", "--build", RENAMED, "-o", "recorded.json", "--"),
        *(sys.executable, str(ROOT / "examples" / "application.py")),
        directory=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "healthy" in done.stdout
    (run,) = json.loads((tmp_path / "recorded.json").read_text("utf-8"))["runs"]
    (start,) = run["launches"]
    assert start["argv"][:3] == ["-m", "model.gguf", "--port"]


def test_a_session(workbench: Workbench, tmp_path: Path) -> None:
    workbench.build(RENAMED)
    script = next((ROOT / "fixtures" / "sessions").glob("ngram-changed-length.session"))
    done = harness("session", "--build", RENAMED, str(script), directory=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    """A results file that another program has open meanwhile."""
    path = tmp_path / "results.jsonl"
    path.touch()
    with path.open("rb"):
        yield path


def test_a_file_that_another_program_has_open(results: Path, tmp_path: Path) -> None:
    done = harness(
        *("matrix", "--build", RENAMED, "--env", "cpu", "--model", "tiny-llama", "--mode", "off"),
        *("--draft-max", "1", "-n", "0", "--jsonl", str(results)),
        directory=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert results.read_bytes().count(b"\n") >= 1


def test_output_in_a_pipe_is_utf_8_with_plain_line_ends(tmp_path: Path) -> None:
    words = ["matrix", "--build", RENAMED, "--list"]
    command = [sys.executable, "-m", "harness", *words]
    said = subprocess.run(
        command, cwd=tmp_path, env={**os.environ}, capture_output=True, check=True
    ).stdout
    assert b"\r" not in said
    assert said.decode("utf-8")
