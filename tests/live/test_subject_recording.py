"""The stand-in in front of a real build."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.builds import AcquiredBuild, load_catalogue
from harness.cells.qualification import open_store
from harness.cells.running import run_cell
from harness.cells.workbench import open_workbench
from harness.cli import main
from harness.gguf_models import ensure_models
from harness.model import Cell, LoadRequest, TinyModel, Verdict
from harness.server.ports import reserved_port
from harness.shim.install import install_shim
from harness.shim.recordings import load_recording

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform == "win32", reason="one launcher is a shell script"),
]

PYTHON = """
import subprocess, sys, time, urllib.request
model, port = sys.argv[1:]
help_text = subprocess.run(["llama-server", "--help"], capture_output=True, text=True).stdout
assert "draft-mtp" in help_text
server = subprocess.Popen(["llama-server", "-m", model, "--port", port,
                           "--spec-type", "draft-mtp", "--spec-draft-n-max", "4"])
for _ in range(600):
    try:
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).status == 200
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("never healthy")
server.terminate()
server.wait()
"""
SHELL = """\
#!/bin/sh
llama-server --version || exit 1
llama-server -m "$1" --port "$2" --spec-type ngram-mod --draft-max 5
echo "status $?"
"""


@pytest.fixture(scope="module")
def build() -> AcquiredBuild:
    return open_store().acquire(load_catalogue().get("b9246"))


@pytest.fixture(scope="module")
def model() -> TinyModel:
    return ensure_models(open_store().root / "models")["tiny-mtp"]


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.mark.parametrize("flag", ["--help", "--version", "--list-devices"])
def test_the_stand_in_answers_as_the_build_does(
    build: AcquiredBuild, tmp_path: Path, flag: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    shim = install_shim(programs, tmp_path / "state", build.binary, env=build.env)
    real, stand_in = (
        subprocess.run([str(program), flag], capture_output=True, check=False)
        for program in (build.binary, shim.program)
    )
    assert (stand_in.stdout, stand_in.stderr) == (real.stdout, real.stderr)
    assert stand_in.returncode == real.returncode
    assert real.stdout or real.stderr


def test_a_python_application_is_recorded_and_tested(
    model: TinyModel, tmp_path: Path, port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "app.py"
    script.write_text(PYTHON)
    output = tmp_path / "app.json"
    app = [sys.executable, str(script), str(model.path), str(port)]
    assert main(["record", "--build", "b9246", "-q", "-o", str(output), "--", *app]) == 0
    assert "--spec-draft-n-max 4" in capfd.readouterr().out
    recording = load_recording(output)
    (only,) = recording.runs
    assert (only.build, only.status, only.cut_short) == ("b9246", 0, "")
    assert [launch.argv[-4:] for launch in only.launches] == [
        ["--spec-type", "draft-mtp", "--spec-draft-n-max", "4"]
    ]
    with open_workbench() as workbench:
        wish = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=4)
        cell = Cell(build="b9246", subject=f"recording:{output}", environment="cpu", request=wish)
        assert run_cell(cell, workbench).status is Verdict.PASS


def test_a_shell_application_that_the_build_refuses(
    model: TinyModel, tmp_path: Path, port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "app.sh"
    script.write_text(SHELL)
    script.chmod(0o755)
    output = tmp_path / "app.json"
    app = [str(script), str(model.path), str(port)]
    assert main(["record", "--build", "b9246", "-q", "-o", str(output), "--", *app]) == 0
    said = capfd.readouterr()
    assert "status 1" in said.out
    assert "--draft-max" in said.err
    assert json.loads(output.read_text())["runs"][0]["launches"][0]["argv"][-2:] == [
        "--draft-max",
        "5",
    ]


def test_an_application_that_starts_nothing(tmp_path: Path) -> None:
    output = tmp_path / "app.json"
    app = [sys.executable, "-c", "pass"]
    assert main(["record", "--build", "b9246", "-q", "-o", str(output), "--", *app]) == 3
    assert not output.exists()
