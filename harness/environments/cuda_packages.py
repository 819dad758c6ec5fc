"""CUDA's own libraries from their PyPI packages, for servers that are linked against them.

``libcudart`` and ``libcublas`` may be shipped by anyone and need no driver; hosts without a GPU
seldom have them. Where the harness's interpreter has the packages, servers find them there.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from harness.config.paths import is_dir, is_file

DRIVER: Final = "libcuda.so.1"
_LIBRARY: Final = re.compile(r"(?P<stem>lib\w+)\.so\.(?P<major>\d+)")
_PACKAGES: Final = {
    "libcudart": "nvidia-cuda-runtime",
    "libcublas": "nvidia-cublas",
    "libcublasLt": "nvidia-cublas",
    "libnccl": "nvidia-nccl",
}
_OF_CUDA: Final = re.compile(r"lib(?:cuda|cudart|cublas(?:Lt)?|nccl|nvidia-ml)\.so")
_UNSUFFIXED_FROM: Final = 13
"""Up to CUDA 12 the packages' names end in ``-cu12`` and the like."""


def directories_with(libraries: Iterable[str]) -> tuple[str, ...]:
    """Return the directories of installed packages that hold any of the libraries."""
    wanted = set(libraries)
    return tuple(
        str(directory)
        for directory in _library_directories()
        if any(is_file(directory / name) for name in wanted)
    )


def _library_directories() -> Iterator[Path]:
    for place in dict.fromkeys(sys.path):
        for pattern in ("nvidia/*/lib", "nvidia/cu*/lib/*-linux"):
            yield from sorted(path for path in Path(place or ".").glob(pattern) if is_dir(path))


def advice(libraries: Iterable[str]) -> str:
    """Return what to do about libraries that are missing, in one line; empty where unknown."""
    names = list(libraries)
    packages = sorted({package for name in names if (package := _package(name))})
    parts = []
    if packages:
        parts.append(f"`python -m pip install {' '.join(packages)}` brings CUDA's own")
    if DRIVER in names:
        parts.append(f"{DRIVER} is the driver's, which cuda-spoof stands in for")
    return "; ".join(parts)


def are_of_cuda(libraries: Iterable[str]) -> bool:
    """Whether a GPU's environment may bring all of some libraries: CUDA's or its driver's."""
    return all(_OF_CUDA.match(name) for name in libraries)


def _package(library: str) -> str | None:
    match = _LIBRARY.fullmatch(library)
    package = _PACKAGES.get(match["stem"]) if match else None
    if match is None or package is None:
        return None
    plain = int(match["major"]) >= _UNSUFFIXED_FROM and package != "nvidia-nccl"
    return package if plain else f"{package}-cu{match['major']}"
