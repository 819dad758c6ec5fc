"""The library layers, their agreement with ``nvidia-smi``, and the profile read back from them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.environments import native_compiler
from harness.environments.asking import LAYERS
from harness.environments.capture import capture_profile, write_profile
from harness.environments.consistency import ask_layers, check_consistency, visibility_settings
from harness.environments.environment import environment
from harness.environments.machine import SpoofedMachine, load_profile
from harness.environments.native_compiler import SPOOF_LIBRARIES, SPOOF_LIBRARIES_OF_WINDOWS
from harness.environments.native_libraries import native_libraries
from harness.errors import EnvironmentUnavailableError, UsageError
from tests.unit.environments.conftest import OpenEnvironment

LIBRARIES = SPOOF_LIBRARIES_OF_WINDOWS if sys.platform == "win32" else SPOOF_LIBRARIES
DRIVER = next(name for name, source in LIBRARIES.items() if source == "cuda.c")


def are_to_be_had() -> bool:
    """Whether a wheel brings the libraries, or a C compiler can make them."""
    compiler = any(map(shutil.which, ("cc", "gcc", "clang")))
    prebuilt = Path(native_compiler.__file__).parents[1] / "_prebuilt"
    return sys.platform != "darwin" and (compiler or prebuilt.is_dir())


pytestmark = pytest.mark.skipif(not are_to_be_had(), reason="neither a wheel nor a compiler")
compiles = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("cc") is None, reason="compiles by a cc of its own"
)


def test_all_layers_agree_and_nothing_is_seen_without_the_spoof(
    tmp_path: Path, native_cache: Path
) -> None:
    checks = list(
        check_consistency(
            "cuda-spoof:two-gpus",
            home=tmp_path / "home",
            settings=[None, "1,0", "1,-1,0", ""],
            cache=native_cache,
        )
    )
    assert [check for check in checks if check.ok is False] == []
    agreeing = {(check.setting, check.layer) for check in checks if check.ok}
    for setting in (None, "1,0", "1,-1,0", ""):
        for layer in ("nvidia-smi", "nvml", "cuda-driver"):
            assert (setting, layer) in agreeing
    assert {layer for setting, layer in agreeing if setting == "spoof off"} == set(LAYERS)


def test_a_layer_that_differs_is_found(tmp_path: Path, opened: OpenEnvironment) -> None:
    with opened("cuda-spoof") as inside:
        assert inside.spoof is not None
        known = inside.spoof.libraries / "machine.txt"
        known.write_text(known.read_text().replace("memory_used_mib 2", "memory_used_mib 3"))
        answers = {answer.layer: answer for answer in ask_layers(inside.variables)}
    smi, nvml = answers["nvidia-smi"].cards, answers["nvml"].cards
    assert smi is not None
    assert nvml is not None
    assert smi[0]["memory_free_mib"] == 24205
    assert nvml[0]["memory_free_mib"] == 24204


def test_settings_cover_every_form(two_cards: SpoofedMachine) -> None:
    settings = visibility_settings(two_cards)
    assert {None, "", "-1", "0,", "1,0", "2", "1,none,0"} <= set(settings)
    assert sum(str(setting).startswith("GPU-") for setting in settings) > 3


def test_without_a_driver_the_libraries_find_none(opened: OpenEnvironment) -> None:
    with opened("cuda-spoof:no-driver") as inside:
        answers = {answer.layer: answer for answer in ask_layers(inside.variables)}
    assert answers["nvidia-smi"].absent == (
        "exit 9: NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver"
    )
    assert answers["nvml"].absent == "nvmlInit_v2: driver not loaded"
    assert answers["cuda-driver"].cards == ()


def test_without_the_tool_the_libraries_still_answer(opened: OpenEnvironment) -> None:
    with opened("cuda-spoof:no-smi") as inside:
        answers = {answer.layer: answer for answer in ask_layers(inside.variables)}
    assert answers["nvidia-smi"].absent is not None
    for layer in ("nvml", "cuda-driver"):
        cards = answers[layer].cards
        assert cards is not None
        assert cards[0]["name"] == "NVIDIA GeForce RTX 4090"


@compiles
def test_no_compiler_leaves_the_layers_that_need_none(
    tmp_path: Path, no_compiler: Mapping[str, str]
) -> None:
    with environment("cuda-spoof", home=tmp_path / "home", cache=tmp_path / "empty") as inside:
        assert inside.absent == dict.fromkeys(
            SPOOF_LIBRARIES, "no C compiler on PATH (looked for cc, gcc, clang)"
        )
        assert "LD_LIBRARY_PATH" not in inside.variables
        answers = {answer.layer: answer for answer in ask_layers(inside.variables)}
        assert answers["nvidia-ml-py"].cards == answers["nvidia-smi"].cards
        assert answers["nvml"].absent is not None
        listed = subprocess.check_output(
            ["nvidia-smi", "-L"], env=dict(inside.variables), text=True
        )
    assert listed.startswith("GPU 0: NVIDIA GeForce RTX 4090")


@compiles
def test_a_compiler_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'x.c:1: error: no' >&2\nexit 1\n", encoding="utf-8")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent))
    absent = native_libraries(tmp_path / "cache").absent
    assert absent["libcuda.so.1"].endswith("does not compile nvml.c: x.c:1: error: no")
    assert list((tmp_path / "cache").rglob("*.so*")) == []


@compiles
def test_an_unwritable_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    absent = native_libraries(tmp_path / "file").absent
    assert absent["libcuda.so.1"].startswith("cannot write ")


@compiles
def test_libraries_are_compiled_once(tmp_path: Path) -> None:
    first = native_libraries(tmp_path).paths["libcuda.so.1"]
    made = first.stat().st_mtime_ns
    assert native_libraries(tmp_path).paths["libcuda.so.1"].stat().st_mtime_ns == made
    # In a process of its own: a library once loaded answers to its name ever after.
    asked = f"import ctypes; print(ctypes.CDLL({str(first)!r}).cuInit(0))"
    assert subprocess.check_output([sys.executable, "-c", asked]).strip() == b"100"


def test_what_the_driver_cannot_do_is_noted(opened: OpenEnvironment) -> None:
    asked = f"import ctypes; print(ctypes.CDLL({DRIVER!r}).cuMemCreate())"
    with opened("cuda-spoof") as inside:
        assert inside.spoof is not None
        assert inside.spoof.unanswered() == ()
        said = subprocess.check_output([sys.executable, "-c", asked], env=dict(inside.variables))
        assert inside.spoof.unanswered() == ("cuMemCreate",)
    assert said.strip() == b"801"


@pytest.mark.parametrize("name", ["cuda-spoof:rtx-3060-laptop", "cuda-spoof:a100-80gb+two-gpus"])
def test_a_captured_profile_is_the_one_that_was_spoofed(
    opened: OpenEnvironment, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "captured.toml"
    with opened(name) as inside:
        write_profile(capture_profile(inside.variables), path)
        assert inside.spoof is not None
        assert load_profile(str(path)) == inside.spoof.machine
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["captured.toml"]


def test_capture_needs_a_card(opened: OpenEnvironment, tmp_path: Path) -> None:
    with (
        opened("cpu") as inside,
        pytest.raises(EnvironmentUnavailableError, match="there is no nvidia-smi on PATH"),
    ):
        capture_profile(inside.variables)
    with (
        opened("cuda-spoof:no-driver") as inside,
        pytest.raises(EnvironmentUnavailableError, match="nvidia-smi exited 9 and said"),
    ):
        capture_profile(inside.variables)
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_profile(load_profile(), tmp_path / "gone" / "x.toml")


FAKE_TORCH = """
import types
version = types.SimpleNamespace(cuda=None)
cuda = types.SimpleNamespace(is_available=lambda: False, device_count=lambda: 0)
backends = types.SimpleNamespace(cuda=types.SimpleNamespace(is_built=lambda: False))
"""


def test_an_installed_torch_sees_the_cards(opened: OpenEnvironment, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "torch.py").write_text(FAKE_TORCH, encoding="utf-8")
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys; sys.mine = 1\n")
    asked = (
        "import sys, torch; print(torch.cuda.device_count(), torch.cuda.get_device_name(1), "
        "torch.cuda.mem_get_info(), torch.version.cuda, sys.mine)"
    )
    with opened("cuda-spoof:two-gpus") as inside:
        path = f"{inside.variables['PYTHONPATH']}{os.pathsep}{tmp_path / 'site'}"
        said = subprocess.check_output(
            [sys.executable, "-c", asked], env={**inside.variables, "PYTHONPATH": path}, text=True
        )
    free, total = 24205 * 1024**2, (24564 - 357) * 1024**2
    assert said == f"2 NVIDIA GeForce RTX 4090 ({free}, {total}) 13.0 1\n"


def test_no_torch_appears_where_none_is_installed(opened: OpenEnvironment) -> None:
    asked = "import importlib.util as u; print(u.find_spec('torch'))"
    with opened("cuda-spoof") as inside:
        said = subprocess.check_output(
            [sys.executable, "-I", "-S", "-c", asked], env=dict(inside.variables)
        )
        bare = {**inside.variables}
        seen = subprocess.check_output([sys.executable, "-S", "-c", asked], env=bare)
    assert said.strip() == seen.strip() == b"None"
