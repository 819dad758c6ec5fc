"""The card's library and its starter compile for other systems, against the headers of real builds.

They are loaded on Linux alone so far; here nothing is linked or run.
"""

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from harness.cells.workbench import Workbench
from harness.environments.card import card_sources
from tests.live.cards import BUILDS

pytestmark = pytest.mark.live

pytest.importorskip("ziglang", reason="the compiler, from the package ziglang")

TARGETS = {
    "x86_64-windows-gnu": b"\x64\x86",
    "x86_64-macos": b"\xcf\xfa\xed\xfe",
    "aarch64-macos": b"\xcf\xfa\xed\xfe",
}
"""What an object file of each begins with."""
OPTIONS = ("-O1", "-fPIC", "-fvisibility=hidden", "-Wall", '-DCARD_HEADERS="none"')
OF_LIBRARY = ("-std=c++17", "-fno-exceptions", "-fno-rtti")
PATIENCE_S = 300.0


def compiled(target: str, *words: str, directory: Path) -> bytes:
    """The object file that the compiler makes of a source."""
    cache = str(directory.parent / "zig")
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", *words, "-target", target, *OPTIONS, "-o", "made.o"],
        cwd=directory,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (directory / "made.o").read_bytes()


@pytest.mark.parametrize("target", TARGETS)
def test_the_library_compiles_for_every_era(
    workbench: Workbench, tmp_path: Path, target: str
) -> None:
    for name, text in card_sources().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for build in BUILDS:
        headers = workbench.build(build).headers
        if not isinstance(headers, Path):
            pytest.skip(f"{build}: {headers}")
        words = ("c++", *OF_LIBRARY, "-I", str(headers.absolute()), "-c", "ggml_cuda.cpp")
        assert compiled(target, *words, directory=tmp_path).startswith(TARGETS[target])


@pytest.mark.parametrize("target", TARGETS)
def test_the_starter_compiles(tmp_path: Path, target: str) -> None:
    source = resources.files("harness.builds") / "resources" / "card_starter.c"
    (tmp_path / "starter.c").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    made = compiled(target, "cc", "-c", "starter.c", directory=tmp_path)
    assert made.startswith(TARGETS[target])
