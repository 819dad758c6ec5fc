"""Takes a real ``nvidia-smi`` out of sight without losing the programs that lie beside it."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.config.paths import entries, exists
from harness.errors import EnvironmentUnavailableError

_TOOL = "nvidia-smi"


@contextlib.contextmanager
def path_without_smi(path: str, scratch: Path) -> Iterator[str]:
    """Give a PATH on which no ``nvidia-smi`` is found.

    A directory that holds one is replaced by a directory of links to all else in it. On a host
    without ``nvidia-smi`` the PATH is returned as it is and nothing is made.

    Args:
        path: The PATH.
        scratch: Where the links are made; does not exist yet, and is gone at the end.

    Raises:
        EnvironmentUnavailableError: On Windows, where the driver puts the tool into the system
            directory, which every program searches before PATH.
    """
    directories = [entry for entry in path.split(os.pathsep) if entry]
    if not any(_holds_smi(Path(entry)) for entry in directories):
        yield path
        return
    if sys.platform == "win32":
        raise EnvironmentUnavailableError(
            "this host has an NVIDIA driver, and its nvidia-smi.exe in the system directory cannot "
            "be hidden from programs; use environment cuda, or a host without the driver"
        )
    try:
        shown = [
            str(_links(Path(entry), scratch / str(number))) if _holds_smi(Path(entry)) else entry
            for number, entry in enumerate(directories)
        ]
        yield os.pathsep.join(shown)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _holds_smi(directory: Path) -> bool:
    return any(exists(directory / name) for name in (_TOOL, f"{_TOOL}.exe"))


def _links(directory: Path, links: Path) -> Path:
    links.mkdir(parents=True)
    for entry in entries(directory):
        if entry.name != _TOOL:
            (links / entry.name).symlink_to(entry)
    return links
