import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import pytest

from harness.cli import main
from harness.environments.machine import load_profile
from harness.environments.smi import answer
from harness.environments.smi_windows import main as windows_main
from harness.environments.smi_windows import write_launcher
from harness.environments.variants import Variant

posix = pytest.mark.skipif(sys.platform == "win32", reason="runs sh")


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@posix
def test_runs_a_command_inside_and_returns_its_exit_code(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["env", "cuda-spoof", "--profile", "h100-80gb", "--", "nvidia-smi", "-L"]) == 0
    assert capfd.readouterr().out.startswith("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-")
    assert main(["env", "cuda-spoof", "--", "sh", "-c", "exit 7"]) == 7
    assert main(["env", "cpu", "--", "sh", "-c", "kill -15 $$"]) == 128 + 15
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["cuda-spoof"], "env needs one of: -- COMMAND..., --self-test, --capture FILE"),
        (["cuda-spoof", "--self-test", "--", "true"], "env needs one of"),
        (["cuda-spoof", "--profle", "x", "--", "true"], "env has no option --profle"),
        (["cuda-spoof", "--", "no-such-command"], "no-such-command: no such command"),
        (["cuda-spoof", "--profile", "nope", "--", "x"], "no GPU profile is named 'nope'"),
        (["cpu", "--self-test"], "--capture belong to cuda-spoof, not cpu"),
        (["nowhere", "--", "true"], "no environment is named 'nowhere'"),
        (["cuda-spoof:hang", "--self-test"], "--self-test needs layers that answer, and hang"),
    ],
)
def test_says_what_is_wrong_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["env", *words]) == 2
    # A host without a C compiler is told so before, a line for each library.
    said = [line for line in capsys.readouterr().err.splitlines() if "no C compiler" not in line]
    assert len(said) == 1
    assert says in said[0]


@posix
def test_the_windows_program_answers_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    machine = load_profile()
    write_launcher(tmp_path, machine, frozenset())
    stated = answer(machine, ["-L"], visible=None, now=datetime.now().astimezone()).output
    assert windows_main(str(tmp_path / "nvidia-smi.json"), ["-L"]) == 0
    assert capsys.readouterr().out == stated
    done = subprocess.run([tmp_path / "nvidia-smi", "-L"], capture_output=True, check=True)
    assert done.stdout.decode() == stated
    write_launcher(tmp_path, machine, frozenset({Variant.NO_DRIVER}))
    assert windows_main(str(tmp_path / "nvidia-smi.json"), []) == 9
