"""Compiles the library layers of the spoof from our C sources, once for all spoofs."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from harness.builds.locations import cache_root

LIBRARIES: Mapping[str, str] = {"libnvidia-ml.so.1": "nvml.c", "libcuda.so.1": "cuda.c"}
"""The libraries by the name under which programs load them, with their source."""

_OPTIONS = ("-std=c11", "-O1", "-w", "-fPIC", "-shared", "-fvisibility=hidden")
_COMPILERS = ("cc", "gcc", "clang")
_COMPILE_TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class NativeLibraries:
    """The libraries that this host can have.

    Attributes:
        paths: Compiled files by library name.
        absent: Names of libraries that cannot be had, with the reason.
    """

    paths: Mapping[str, Path] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)


def native_libraries(cache: Path | None = None) -> NativeLibraries:
    """Return the compiled libraries, compiling those that the cache lacks (about two seconds).

    Args:
        cache: Where they are kept, by the digest of their sources; the store's root if not given.
    """
    if not sys.platform.startswith("linux"):
        return _all_absent(f"made for Linux only, this is {sys.platform}")
    sources = _sources()
    digest = hashlib.sha256("\0".join([*_OPTIONS, *sources, *sources.values()]).encode())
    kept = (cache or cache_root()) / "cuda-spoof" / digest.hexdigest()[:16]
    missing = [name for name in LIBRARIES if not (kept / name).is_file()]
    if missing:
        reason = _compile(missing, sources, kept)
        if reason:
            return _all_absent(reason)
    return NativeLibraries(paths={name: kept / name for name in LIBRARIES})


def _all_absent(reason: str) -> NativeLibraries:
    return NativeLibraries(absent=dict.fromkeys(LIBRARIES, reason))


def _sources() -> dict[str, str]:
    folder = resources.files("harness.environments") / "native"
    files = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return {entry.name: entry.read_text(encoding="utf-8") for entry in files if entry.is_file()}


def _compile(names: list[str], sources: Mapping[str, str], into: Path) -> str | None:
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        return f"no C compiler on PATH (looked for {', '.join(_COMPILERS)})"
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".compiling-") as scratch:
            for name, text in sources.items():
                (Path(scratch) / name).write_text(text, encoding="utf-8")
            for name in names:
                problem = _compile_one(compiler, Path(scratch), LIBRARIES[name], name)
                if problem:
                    return problem
                # Another process may have done the same: either file is the right one.
                os.replace(Path(scratch) / name, into / name)  # noqa: PTH105 - names the pair
    except OSError as error:
        return f"cannot write {into}: {error.strerror or error}"
    return None


def _compile_one(compiler: str, directory: Path, source: str, output: str) -> str | None:
    command = [compiler, *_OPTIONS, "-Wl,-soname," + output, "-o", output, source]
    try:
        done = subprocess.run(
            [*command, "-lpthread", "-ldl"],
            cwd=directory,
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
