"""Compiles the library layers of the spoof from our C sources, once for all spoofs."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from harness.builds.locations import cache_root
from harness.environments.native_compiler import compile_libraries

LIBRARIES: Mapping[str, str] = {"libnvidia-ml.so.1": "nvml.c", "libcuda.so.1": "cuda.c"}
"""The libraries by the name under which programs load them, with their source."""


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
    compiled = compile_libraries(LIBRARIES, _sources(), (cache or cache_root()) / "cuda-spoof")
    if isinstance(compiled, str):
        return _all_absent(compiled)
    return NativeLibraries(paths=compiled)


def _all_absent(reason: str) -> NativeLibraries:
    return NativeLibraries(absent=dict.fromkeys(LIBRARIES, reason))


def _sources() -> dict[str, str]:
    folder = resources.files("harness.environments") / "native"
    files = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return {entry.name: entry.read_text(encoding="utf-8") for entry in files if entry.is_file()}
