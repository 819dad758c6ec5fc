"""Compiles shared libraries from our C sources, once for each state of the sources.

Wheels for one kind of Linux bring the spoof's libraries compiled (``hatch_build.py``), which runs
this module by its path: it imports nothing but the standard library.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

SPOOF_LIBRARIES: Mapping[str, str] = {"libnvidia-ml.so.1": "nvml.c", "libcuda.so.1": "cuda.c"}
"""The libraries by the name under which programs load them, with their source."""

SPOOF_LIBRARIES_OF_WINDOWS: Mapping[str, str] = {"nvml.dll": "nvml.c", "nvcuda.dll": "cuda.c"}
WINDOWS_CROSS_COMPILER = "x86_64-w64-mingw32-gcc"
"""Makes them elsewhere, for a wheel."""

_OPTIONS = ("-std=c11", "-O1", "-w", "-fPIC", "-shared", "-fvisibility=hidden")
_COMPILERS = ("cc", "gcc", "clang")
_COMPILE_TIMEOUT_S = 120


def read_sources(folder: Path) -> dict[str, str]:
    """The text of every source of a folder by its file name."""
    files = sorted(entry for entry in folder.iterdir() if entry.is_file())
    return {entry.name: entry.read_text(encoding="utf-8") for entry in files}


def prebuilt_place(sources: Mapping[str, str], machine: str = "") -> str:
    """Where a wheel has libraries compiled from these sources, below the package.

    Args:
        sources: The text of every source by its file name.
        machine: The processor as Python names it on the system that they are for; this host's if
            empty.
    """
    return f"_prebuilt/{(machine or platform.machine()).lower()}/{_digest(sources)}"


def _digest(sources: Mapping[str, str]) -> str:
    text = "\0".join([*_OPTIONS, *sources, *sources.values()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def compile_libraries(
    libraries: Mapping[str, str],
    sources: Mapping[str, str],
    cache: Path,
    compilers: Sequence[str] = _COMPILERS,
) -> Mapping[str, Path] | str:
    """The compiled libraries by name, or why they cannot be had.

    Args:
        libraries: The file name of each library, with that of its source.
        sources: The text of every source by its file name.
        cache: Where they are kept, by the digest of the sources.
        compilers: C compilers, of which the first on PATH is taken.
    """
    prebuilt = Path(__file__).resolve().parents[1] / prebuilt_place(sources)
    if all((prebuilt / name).is_file() for name in libraries):
        return {name: prebuilt / name for name in libraries}
    kept = cache / _digest(sources)
    missing = {name: it for name, it in libraries.items() if not (kept / name).is_file()}
    if missing:
        reason = _compile(missing, sources, kept, compilers)
        if reason:
            return reason
    return {name: kept / name for name in libraries}


def _compile(
    names: Mapping[str, str], sources: Mapping[str, str], into: Path, compilers: Sequence[str]
) -> str | None:
    compiler = next(filter(None, map(shutil.which, compilers)), None)
    if compiler is None:
        return f"no C compiler on PATH (looked for {', '.join(compilers)})"
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".compiling-") as scratch:
            for name, text in sources.items():
                (Path(scratch) / name).write_text(text, encoding="utf-8", newline="\n")
            for name, source in names.items():
                problem = _compile_one(compiler, Path(scratch), source, name)
                if problem:
                    return problem
                # Another process may have done the same: either file is the right one.
                os.replace(Path(scratch) / name, into / name)  # noqa: PTH105 - names the pair
    except OSError as error:
        return f"cannot write {into}: {error.strerror or error}"
    return None


def _compile_one(compiler: str, directory: Path, source: str, output: str) -> str | None:
    if output.endswith(".dll"):
        linked = ["-static-libgcc"]
    else:
        linked = ["-Wl,-soname," + output, "-lpthread", "-ldl"]
    return complaint([compiler, *_OPTIONS, "-o", output, source, *linked], source, directory)


def complaint(
    command: Sequence[str], source: str, directory: Path, env: Mapping[str, str] | None = None
) -> str | None:
    """Run a compiler in a directory that has its sources; what is wrong, None where nothing is."""
    compiler = command[0]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMPILE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{compiler} cannot be run on {source}: {error}"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    return f"{compiler} does not compile {source}: {(lines or ['no message'])[0]}"
