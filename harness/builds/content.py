"""What a stored build really consists of: the digest of its files as they lie there now."""

import os
import time
from pathlib import Path
from typing import Final

from harness.builds.digest import sha256_of
from harness.builds.manifest import NAME
from harness.builds.store import AcquiredBuild
from harness.config.memory import Memory, digest_of

_KIND: Final = "file"
_SETTLED_S: Final = 2.0
"""A file that was changed less than this ago may be changed again without another time stamp."""
_ELSEWHERE: Final = frozenset({"local", "image"})
"""Sources whose program loads libraries that do not lie in the store."""


def content_of(acquired: AcquiredBuild, directory: Path, memory: Memory) -> str | None:
    """The digest of a build's files, and of the variables that it needs.

    Args:
        acquired: The build.
        directory: Where it lies in the store.
        memory: Keeps the digests of files that were not touched since.

    Returns:
        None where not all that it runs lies there, or where a file cannot be read.
    """
    if acquired.manifest.source in _ELSEWHERE:
        return None
    try:
        files = {
            path.relative_to(directory).as_posix(): digest_of_file(path, memory)
            for path in sorted(directory.rglob("*"))
            if path.is_file() and path != directory / NAME
        }
    except OSError:
        return None
    return digest_of(files, acquired.manifest.env, acquired.manifest.binary)


def digest_of_file(path: Path, memory: Memory) -> str:
    """The SHA-256 of a file, taken again only where the file was touched since it was last taken.

    Raises:
        OSError: It cannot be read.
    """
    state = path.stat()
    place = os.path.realpath(path)
    times = state.st_mtime_ns, state.st_ctime_ns
    key = digest_of(place, state.st_dev, state.st_ino, state.st_size, *times)
    kept = memory.get(_KIND, key)
    if kept is not None:
        return kept.decode()
    digest = sha256_of(path)
    if max(times) / 1e9 < time.time() - _SETTLED_S:
        memory.put(_KIND, key, digest.encode())
    return digest
