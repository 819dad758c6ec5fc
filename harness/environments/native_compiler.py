"""Compiles shared libraries from our C sources, once for each state of the sources."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

_OPTIONS = ("-std=c11", "-O1", "-w", "-fPIC", "-shared", "-fvisibility=hidden")
_COMPILERS = ("cc", "gcc", "clang")
_COMPILE_TIMEOUT_S = 120


def compile_libraries(
    libraries: Mapping[str, str], sources: Mapping[str, str], cache: Path
) -> Mapping[str, Path] | str:
    """The compiled libraries by name, or why they cannot be had.

    Args:
        libraries: The file name of each library, with that of its source.
        sources: The text of every source by its file name.
        cache: Where they are kept, by the digest of the sources.
    """
    digest = hashlib.sha256("\0".join([*_OPTIONS, *sources, *sources.values()]).encode())
    kept = cache / digest.hexdigest()[:16]
    missing = {name: it for name, it in libraries.items() if not (kept / name).is_file()}
    if missing:
        reason = _compile(missing, sources, kept)
        if reason:
            return reason
    return {name: kept / name for name in libraries}


def _compile(names: Mapping[str, str], sources: Mapping[str, str], into: Path) -> str | None:
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        return f"no C compiler on PATH (looked for {', '.join(_COMPILERS)})"
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".compiling-") as scratch:
            for name, text in sources.items():
                (Path(scratch) / name).write_text(text, encoding="utf-8")
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
