"""What a program inside each environment finds, and what is left afterwards."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.environments import environment as environment_module
from harness.environments import open_environment
from harness.environments.detection import detect_host
from harness.environments.hermetic import hermetic_variables
from harness.environments.hiding import path_without_smi
from harness.errors import EnvironmentUnavailableError, UsageError
from harness.model import Gpu
from tests.unit.environments.conftest import OpenEnvironment

posix = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts and links")


def program(directory: Path, name: str, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_nothing_but_the_allow_list_passes(tmp_path: Path) -> None:
    user = {
        "PATH": "/bin",
        "LANG": "de_DE.UTF-8",
        "SystemRoot": "C:\\Windows",
        "HOME": "/home/me",
        "LLAMA_ARG_DRAFT_MAX": "4",
        "CUDA_VISIBLE_DEVICES": "0",
        "HTTPS_PROXY": "http://proxy",
        "LD_LIBRARY_PATH": "/opt",
        "PYTHONPATH": "/opt",
        "HF_HOME": "/data",
    }
    variables = hermetic_variables(tmp_path / "home", user)
    assert {"PATH", "LANG", "SystemRoot"} <= variables.keys()
    own = {name: value for name, value in variables.items() if value not in user.values()}
    assert "HOME" in own
    assert "APPDATA" in own
    assert all(Path(value).is_dir() for value in own.values())
    assert all(Path(value).is_relative_to(tmp_path) for value in own.values())
    assert not variables.keys() & (user.keys() - {"PATH", "LANG", "SystemRoot", "HOME"})


def test_cpu_has_no_gpu(opened: OpenEnvironment) -> None:
    with opened("cpu") as inside:
        host = detect_host(inside.variables)
    assert not host.has_gpu
    assert host.note == "no nvidia-smi on PATH"


def test_the_spoof_has_the_profile_s_gpu(opened: OpenEnvironment) -> None:
    with opened("cuda-spoof") as inside:
        host = detect_host(inside.variables)
    assert host.gpus == (
        Gpu(index=0, name="NVIDIA GeForce RTX 4090", memory_total_mib=24564, memory_free_mib=24205),
    )
    assert host.note is None


@posix
@pytest.mark.parametrize(
    ("variant", "note"),
    [
        ("no-driver", "nvidia-smi exited 9 and said: NVIDIA-SMI has failed because it couldn't"),
        ("no-smi", "no nvidia-smi on PATH"),
        ("hang", "nvidia-smi did not answer within 0.3 s"),
    ],
)
def test_detection_survives_failures(opened: OpenEnvironment, variant: str, note: str) -> None:
    with opened(f"cuda-spoof:{variant}") as inside:
        host = detect_host(inside.variables, timeout_s=0.3 if variant == "hang" else 60)
    assert host.gpus == ()
    assert host.note is not None
    assert host.note.startswith(note)


@posix
def test_variants_of_cards(opened: OpenEnvironment) -> None:
    with opened("cuda-spoof:two-gpus+zero-memory+rtx-3060-laptop") as inside:
        gpus = detect_host(inside.variables).gpus
        hidden = detect_host({**inside.variables, "CUDA_VISIBLE_DEVICES": "1"}).gpus
        none = detect_host({**inside.variables, "CUDA_VISIBLE_DEVICES": ""})
    assert [(gpu.index, gpu.memory_total_mib, gpu.memory_free_mib) for gpu in gpus] == [
        (0, 6144, 0),
        (1, 6144, 0),
    ]
    assert [gpu.index for gpu in hidden] == [1]
    assert none.gpus == ()
    assert none.note == "nvidia-smi exited 6 and said: No devices were found"


@posix
def test_an_unmasked_tool_is_masked_by_detection(opened: OpenEnvironment) -> None:
    with opened("cuda-spoof:two-gpus+unmasked-smi") as inside:
        hidden = {**inside.variables, "CUDA_VISIBLE_DEVICES": "1"}
        listed = subprocess.run(
            ["nvidia-smi", "-L"], env=hidden, capture_output=True, text=True, check=True
        )
        assert [gpu.index for gpu in detect_host(hidden).gpus] == [1]
        note = detect_host({**inside.variables, "CUDA_VISIBLE_DEVICES": "7"}).note
    assert listed.stdout.count("GPU ") == 2
    assert note == "CUDA_VISIBLE_DEVICES=7 hides every GPU"


def test_nothing_is_left(opened: OpenEnvironment, tmp_path: Path) -> None:
    before = dict(os.environ)
    with opened("cuda-spoof") as inside:
        spoof = inside.spoof
        assert spoof is not None
        assert spoof.programs.is_dir()
    assert dict(os.environ) == before
    assert [path for path in (tmp_path / "home").rglob("*") if not path.is_dir()] == []
    assert not spoof.programs.exists()
    assert not spoof.programs.parent.exists()


@posix
def test_nothing_is_left_after_an_error(opened: OpenEnvironment, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened("cuda-spoof:hang"):
        raise ZeroDivisionError
    assert [path for path in (tmp_path / "home").rglob("*") if not path.is_dir()] == []


@posix
def test_a_hanging_tool_ends_with_its_spoof(opened: OpenEnvironment) -> None:
    with opened("cuda-spoof:hang") as inside:
        waiting = subprocess.Popen(["nvidia-smi"], env=dict(inside.variables))
        time.sleep(0.3)
        assert waiting.poll() is None
    assert waiting.wait(timeout=60) == 1


def test_a_spoof_inside_a_spoof_shows_the_inner_one(tmp_path: Path) -> None:
    with (
        open_environment("cuda-spoof:h100-80gb", home=tmp_path / "a") as outer,
        open_environment("cuda-spoof:a100-80gb", home=tmp_path / "b") as inner,
    ):
        assert detect_host(outer).gpus[0].name == "NVIDIA H100 80GB HBM3"
        assert detect_host(inner).gpus[0].name == "NVIDIA A100-SXM4-80GB"


@posix
def test_a_real_tool_is_hidden_and_its_neighbours_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "usr", "nvidia-smi", "#!/bin/sh\nexit 0\n")
    program(tmp_path / "usr", "neighbour", "#!/bin/sh\necho here\n")
    path = os.pathsep.join([str(tmp_path / "usr"), os.defpath])
    with path_without_smi(path, tmp_path / "links") as shown:
        assert shutil.which("nvidia-smi", path=shown) is None
        neighbour = shutil.which("neighbour", path=shown)
        assert neighbour is not None
        assert subprocess.check_output([neighbour], text=True) == "here\n"
    assert not (tmp_path / "links").exists()
    monkeypatch.setenv("PATH", path)
    with open_environment("cpu", home=tmp_path / "home") as variables:
        assert not detect_host(variables).has_gpu


@posix
def test_cpu_hides_a_real_driver(
    tmp_path: Path, opened: OpenEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr(environment_module, "_DRIVER", driver)
    if shutil.which("cc") is None:
        with pytest.raises(EnvironmentUnavailableError, match="cannot hide it: no C compiler"):
            opened("cpu").__enter__()
        return
    with opened("cpu") as inside:
        asked = (
            "import ctypes; l = ctypes.CDLL('libcuda.so.1'); n = ctypes.CDLL('libnvidia-ml.so.1')\n"
            "print(l.cuInit(0), n.nvmlInit_v2())"
        )
        said = subprocess.check_output([sys.executable, "-c", asked], env=dict(inside.variables))
    assert said.split() == [b"100", b"9"]


@posix
def test_cuda_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with (
        pytest.raises(EnvironmentUnavailableError, match=r"needs an NVIDIA GPU .* no nvidia-smi"),
        open_environment("cuda", home=tmp_path / "home"),
    ):
        pass
    program(
        tmp_path / "empty",
        "nvidia-smi",
        "#!/bin/sh\necho '0, GPU-1, 10, 5, Card'\n",
    )
    with (
        pytest.raises(EnvironmentUnavailableError, match=r"libcuda\.so\.1 cannot be loaded"),
        open_environment("cuda", home=tmp_path / "home"),
    ):
        pass


def test_an_unknown_environment_is_a_usage_error(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="no environment is named 'gpu'"),
        open_environment("gpu", home=tmp_path / "home"),
    ):
        pass
    assert not (tmp_path / "home").exists()


@posix
@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("echo '<html>'", "nvidia-smi answered a line without a GPU: <html>"),
        ("exit 0", "nvidia-smi listed no GPU"),
        ("echo broken >&2; exit 255", "nvidia-smi exited 255 and said: broken"),
        ("kill -9 $$", "nvidia-smi exited -9 and said: nothing"),
        ("printf '\\377\\376'", "nvidia-smi answered a line without a GPU: \ufffd\ufffd"),
        ("echo '0, GPU-1'", "nvidia-smi answered a line without a GPU: 0, GPU-1"),
        ("sleep 20 & sleep 20", "nvidia-smi did not answer within 0.5 s"),
    ],
)
def test_detection_names_what_the_tool_did(tmp_path: Path, script: str, note: str) -> None:
    program(tmp_path, "nvidia-smi", f"#!/bin/sh\n{script}\n")
    started = time.monotonic()
    timeout_s = 0.5 if "sleep" in script else 60
    host = detect_host({"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"}, timeout_s=timeout_s)
    assert time.monotonic() - started < 15
    assert host.gpus == ()
    assert host.note == note


@posix
def test_detection_reads_odd_cards(tmp_path: Path) -> None:
    lines = "0, GPU-a, 6144, 100, Card, with a comma\\n3, GPU-b, [N/A], [N/A], GB10\\n"
    program(tmp_path, "nvidia-smi", f"#!/bin/sh\nprintf '{lines}'\n")
    assert detect_host({"PATH": str(tmp_path)}).gpus == (
        Gpu(index=0, name="Card, with a comma", memory_total_mib=6144, memory_free_mib=100),
        Gpu(index=3, name="GB10", memory_total_mib=0, memory_free_mib=0),
    )


@posix
def test_detection_survives_a_tool_that_cannot_be_run(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", "\x00\x01 no program")
    note = detect_host({"PATH": str(tmp_path)}).note
    assert note == "nvidia-smi cannot be run: Exec format error"
