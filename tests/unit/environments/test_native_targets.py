"""Our C sources compile for every system, by a compiler that knows all of them.

The libraries themselves are used on Linux alone so far; here nothing is linked or run.
"""

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from harness.environments.native_compiler import read_sources

pytest.importorskip("ziglang", reason="the compiler, from the package ziglang")

TARGETS = {
    "x86_64-linux-gnu": b"\x7fELF",
    "aarch64-linux-gnu": b"\x7fELF",
    "x86_64-windows-gnu": b"\x64\x86",
    "x86_64-macos": b"\xcf\xfa\xed\xfe",
    "aarch64-macos": b"\xcf\xfa\xed\xfe",
}
"""What an object file of each begins with."""

LINUX_ONLY = {("one_core.c", "x86_64-windows-gnu"): "dlfcn.h"}
"""What a source stands in for that a system does not have, as the compiler tells it.

one_core.c is preloaded to call the C library's own function behind it and to hide files of /sys.
Windows preloads nothing and has neither.
"""

OPTIONS = ("-std=c11", "-O1", "-fPIC", "-fvisibility=hidden")
PATIENCE_S = 300.0


def every_source() -> dict[str, str]:
    with resources.as_file(resources.files("harness.environments") / "native") as folder:
        return {**read_sources(folder), **read_sources(folder / "one_core")}


SOURCES = every_source()
COMPILED = sorted(name for name in SOURCES if name.endswith(".c"))


@pytest.fixture(scope="session")
def zig_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What zig keeps of the systems, for all tests of a run."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "zig"
    cache.mkdir(exist_ok=True)
    return cache


def compiled(source: str, target: str, directory: Path, cache: Path) -> tuple[Path, str]:
    """Compile one source; give the object file, which is not there where it failed, and errors."""
    for name, text in SOURCES.items():
        (directory / name).write_text(text, encoding="utf-8")
    made = directory / "made.o"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", target),
            *(*OPTIONS, "-c", source, "-o", str(made)),
        ],
        cwd=directory,
        env={
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": str(cache),
            "ZIG_LOCAL_CACHE_DIR": str(cache),
        },
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
    )
    assert made.is_file() is (done.returncode == 0), done.stderr
    return made, done.stderr


def test_sources_are_found() -> None:
    assert {"cuda.c", "nvml.c", "one_core.c"} <= set(COMPILED)
    assert {(source, target) for source in COMPILED for target in TARGETS} >= set(LINUX_ONLY)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", COMPILED)
def test_compiles(source: str, target: str, tmp_path: Path, zig_cache: Path) -> None:
    made, errors = compiled(source, target, tmp_path, zig_cache)
    if missing := LINUX_ONLY.get((source, target)):
        assert not made.exists(), "it compiles after all: take it off LINUX_ONLY"
        assert f"'{missing}' file not found" in errors
    else:
        assert made.exists(), errors
        assert made.read_bytes().startswith(TARGETS[target])
