"""Looking at the file system as a shell does: what may not be read is not there.

``Path.is_file`` and its like raise where a directory above may not be entered, as the entries of
PATH, a home or a working directory may be after ``su``, in containers and for service users.
"""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 2.0
_POLL_S: Final = 0.02


def is_file(path: Path) -> bool:
    """Whether a file can be seen there."""
    return os.path.isfile(path)  # noqa: PTH113 - does not raise


def is_dir(path: Path) -> bool:
    """Whether a directory can be seen there."""
    return os.path.isdir(path)  # noqa: PTH112 - does not raise


def exists(path: Path) -> bool:
    """Whether anything can be seen there."""
    return os.path.exists(path)  # noqa: PTH110 - does not raise


def entries(directory: Path) -> list[Path]:
    """What can be seen in a directory, sorted; nothing where it may not be listed."""
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def size_below(directory: Path) -> int:
    """Bytes of all files below a directory, but for what goes or may not be seen meanwhile."""
    size = 0
    for place, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(place, name).lstat().st_size
    return size


def expanded(path: str | Path) -> Path:
    """A path with the home that its ``~`` or ``~user`` stands for; as it is where there is none."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - does not raise


def working_directory() -> Path | None:
    """The working directory; None where it is gone or may not be known."""
    try:
        return Path.cwd()
    except OSError:
        return None


def home() -> Path | None:
    """The user's home; None for a user without one."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def take_place(fresh: Path, place: Path) -> None:
    """Move a file or directory to where another of its kind may be, whole or not at all.

    Windows replaces nothing that a process has open, be it one that reads it just now or a scanner
    that looks at whatever is new; so there it is tried for two seconds.

    Raises:
        OSError: It cannot be had there.
    """
    deadline = time.monotonic() + (_PATIENCE_S if sys.platform == "win32" else 0)
    while True:
        try:
            fresh.replace(place)
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_POLL_S)
        else:
            return
