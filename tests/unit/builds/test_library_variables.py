"""What a program with libraries of its own needs to be told, on each system."""

import threading
from pathlib import Path

import pytest

from harness.builds.platforms import Platform
from harness.builds.sources.base import Workspace, is_shared_library, library_variables
from harness.terminal import Progress


@pytest.mark.parametrize(
    ("system", "library", "wanted"),
    [
        ("linux", "libllama.so.0", {"LD_LIBRARY_PATH": "{directory}/build/bin"}),
        ("macos", "libllama.dylib", {"DYLD_LIBRARY_PATH": "{directory}/build/bin"}),
        ("windows", "llama.dll", {}),
        ("linux", "LICENSE.txt", {}),
    ],
)
def test_where_the_libraries_are(
    tmp_path: Path, system: str, library: str, wanted: dict[str, str]
) -> None:
    platform = Platform(system=system, machine="x64")  # type: ignore[arg-type]
    place = tmp_path / "build" / "bin"
    place.mkdir(parents=True)
    binary = place / platform.server_name
    for path in (binary, place / library):
        path.write_bytes(b"")
    workspace = Workspace(
        output=tmp_path,
        scratch=tmp_path,
        downloads=tmp_path,
        compilers=tmp_path,
        packed=tmp_path,
        platform=platform,
        progress=Progress(),
        turn=lambda: (_ for _ in ()).throw(AssertionError),
        shared=lambda _: (_ for _ in ()).throw(AssertionError),
        cancelled=threading.Event(),
    )
    assert library_variables(binary, workspace) == wanted


def test_names_of_shared_libraries() -> None:
    for name in ("libggml.so", "libggml.so.0.20.0", "libggml.dylib", "ggml.dll"):
        assert is_shared_library(Path(name)), name
    for name in ("llama-server", "llama-server.exe", "libggml.a", "also.txt"):
        assert not is_shared_library(Path(name)), name
