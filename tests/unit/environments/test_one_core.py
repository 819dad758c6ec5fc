"""The library that makes a process see one core."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.environments.one_core import one_core_variables

COMPILES = sys.platform.startswith("linux") and shutil.which("cc") is not None


@pytest.mark.skipif(not COMPILES, reason="needs Linux and a C compiler")
@pytest.mark.parametrize("name", ["plain", "a space", "Zähler"])
def test_a_process_with_these_variables_sees_one_core(tmp_path: Path, name: str) -> None:
    variables = one_core_variables(tmp_path / name)
    asked = (
        "import ctypes, errno\n"
        "c = ctypes.CDLL(None, use_errno=True)\n"
        "c.fopen.restype = ctypes.c_void_p\n"
        "paths = (b'/proc/self/stat', b'/sys/devices/system/cpu/cpu1/online')\n"
        "there = [bool(c.fopen(path, b'r')) for path in paths]\n"
        "print(c.get_nprocs(), *there, ctypes.get_errno() == errno.ENOENT)"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (told.stdout.strip(), told.stderr) == ("1 True False True", "")
    assert one_core_variables(tmp_path / name) == variables


@pytest.mark.skipif(not COMPILES, reason="needs Linux and a C compiler")
def test_a_path_that_cannot_be_written_in_the_variable(tmp_path: Path) -> None:
    assert one_core_variables(tmp_path / "a:colon") == {}


def test_without_a_compiler_nothing_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert one_core_variables(tmp_path) == {}
