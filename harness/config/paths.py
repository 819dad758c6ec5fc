"""Looking at the file system as a shell does: what may not be read is not there.

``Path.is_file`` and its like raise where a directory above may not be entered, as the entries of
PATH, a home or a working directory may be after ``su``, in containers and for service users.
"""

import os
from pathlib import Path


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
