"""The library layers of the spoof: compiled, from a wheel or from our C sources on first use."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from harness.builds.locations import cache_root
from harness.environments.native_compiler import (
    SPOOF_LIBRARIES,
    SPOOF_LIBRARIES_OF_WINDOWS,
    compile_libraries,
    read_sources,
)


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
    """Return the compiled libraries; those that neither a wheel nor the cache has are compiled.

    Compiling takes about two seconds.

    Args:
        cache: Where they are kept, by the digest of their sources; the store's root if not given.
    """
    libraries = SPOOF_LIBRARIES_OF_WINDOWS if sys.platform == "win32" else SPOOF_LIBRARIES
    if sys.platform == "darwin":
        reason = "made for Linux and Windows only: NVIDIA has no driver for macOS"
        return NativeLibraries(absent=dict.fromkeys(libraries, reason))
    kept = (cache or cache_root()) / "cuda-spoof"
    compiled = compiled_libraries(libraries, "native", kept)
    if isinstance(compiled, str):
        return NativeLibraries(absent=dict.fromkeys(libraries, compiled))
    return NativeLibraries(paths=compiled)


def compiled_libraries(
    libraries: Mapping[str, str], folder: str, cache: Path
) -> Mapping[str, Path] | str:
    """Return libraries compiled from a folder of this package; see ``compile_libraries``."""
    place = resources.files("harness.environments") / folder
    with resources.as_file(place) as sources:
        return compile_libraries(libraries, read_sources(sources), cache)
