"""The library through which a build's server finds the spoofed cards, compiled for that build.

A ggml backend is bound to the very headers of the program that loads it: the library is compiled
against those that the store keeps beside the build, on first use, in about a second.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from harness.builds.headers import headers_digest
from harness.environments.native_compiler import complaint

CARD_LIBRARY: Final = "libggml-cuda-spoof.so"
"""What it is called on every system; ``machine.txt`` lies beside it."""

SOURCES: Final = ("ggml_cuda.cpp", "machine.h")
"""What it is compiled from, the first naming the others."""

_OPTIONS: Final = (
    *("-std=c++17", "-O1", "-w", "-fPIC", "-shared"),
    *("-fvisibility=hidden", "-fno-exceptions", "-fno-rtti"),
)
_COMPILERS: Final = ("c++", "g++", "clang++")


def compile_card(headers: Path, cache: Path) -> Path | str:
    """Return the library for a build, compiled on first use, or why it cannot be had.

    Args:
        headers: A folder with the headers of ggml that the build was made with.
        cache: Where libraries are kept, by the digest of headers and sources.
    """
    try:
        build = headers_digest(headers)
    except OSError as error:
        return f"cannot read {headers}: {error.strerror or error}"
    sources = card_sources()
    told = "\0".join([*_OPTIONS, build, *sources, *sources.values()])
    kept = cache / hashlib.sha256(told.encode()).hexdigest()[:16]
    library = kept / CARD_LIBRARY
    if library.is_file():
        return library
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        return f"no C++ compiler on PATH (looked for {', '.join(_COMPILERS)})"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept, prefix=".compiling-") as scratch:
            for name, text in sources.items():
                (Path(scratch) / name).write_text(text, encoding="utf-8", newline="\n")
            problem = _compile(compiler, Path(scratch), headers, build)
            if problem:
                return problem
            # Another process may have done the same: either file is the right one.
            (Path(scratch) / CARD_LIBRARY).replace(library)
    except OSError as error:
        return f"cannot write {kept}: {error.strerror or error}"
    return library


def card_sources() -> Mapping[str, str]:
    """The text of every source by its file name."""
    folder = resources.files("harness.environments") / "native"
    return {name: (folder / name).read_text(encoding="utf-8") for name in SOURCES}


def _compile(compiler: str, scratch: Path, headers: Path, build: str) -> str | None:
    """Compile in a directory that has the sources; what is wrong, None where nothing is."""
    command = [compiler, *_OPTIONS, f'-DCARD_HEADERS="{build}"', "-I", str(headers.absolute())]
    libraries = ("-lpthread", "-ldl") if sys.platform.startswith("linux") else ()
    command += ["-o", CARD_LIBRARY, SOURCES[0], *libraries]
    return complaint(command, SOURCES[0], scratch, {**os.environ, "LC_ALL": "C"})
