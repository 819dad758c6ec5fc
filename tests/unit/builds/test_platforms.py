import platform
import sys

import pytest

from harness.builds.platforms import Platform, this_platform


@pytest.mark.parametrize(
    ("system", "name", "variable"),
    [
        ("linux", "llama-server", "LD_LIBRARY_PATH"),
        ("macos", "llama-server", "DYLD_LIBRARY_PATH"),
        ("windows", "llama-server.exe", "PATH"),
    ],
)
def test_names_and_variables(system: str, name: str, variable: str) -> None:
    there = Platform(system=system, machine="x64")  # type: ignore[arg-type]
    assert there.server_name == name
    assert there.library_path_variable == variable
    assert str(there) == f"{system}-x64"


@pytest.mark.parametrize(
    ("python", "machine", "wanted"),
    [
        ("linux", "x86_64", "linux-x64"),
        ("linux", "aarch64", "linux-arm64"),
        ("darwin", "arm64", "macos-arm64"),
        ("win32", "AMD64", "windows-x64"),
        ("linux", "riscv64", "linux-riscv64"),
    ],
)
def test_this_platform(
    monkeypatch: pytest.MonkeyPatch, python: str, machine: str, wanted: str
) -> None:
    monkeypatch.setattr(sys, "platform", python)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert str(this_platform()) == wanted
