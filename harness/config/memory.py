"""What is kept from one run to the next, by content.

A key is the digest of all that a value depends on, the harness's own source files among it: what
was found under other circumstances has another key, and so is never found.
"""

import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import sqlite3

FILE: Final = "remembered.sqlite"
_BUSY_S: Final = 10.0
_KEPT_S: Final = 90 * 24 * 3600
"""What nobody put in for so long is forgotten."""
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS kept "
    "(kind TEXT, key TEXT, value BLOB, at REAL, PRIMARY KEY (kind, key)) WITHOUT ROWID"
)


class Memory:
    """A file of values by kind and key, for any number of processes and threads at once.

    It only ever saves time: where it cannot be read or written, it is empty.
    """

    def __init__(self, file: Path) -> None:
        """Name the file; it is opened when it is first needed."""
        self._file = file
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._unusable = False
        self._grew = False

    def get(self, kind: str, key: str) -> bytes | None:
        """The value, None where there is none."""
        rows = self._do("SELECT value FROM kept WHERE kind = ? AND key = ?", kind, key)
        return bytes(rows[0][0]) if rows else None

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Keep a value in place of any other with its key."""
        self._grew = True
        self._do("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", kind, key, value, time.time())

    def forget(self, kind: str) -> None:
        """Forget every value of a kind."""
        self._do("DELETE FROM kept WHERE kind = ?", kind)

    def close(self) -> None:
        """Forget what is old where something new was kept, and close the file."""
        if self._grew:
            self._do("DELETE FROM kept WHERE at < ?", time.time() - _KEPT_S)
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _do(self, statement: str, *values: Any) -> list[Any]:
        import sqlite3

        with self._lock:
            if self._unusable:
                return []
            try:
                if self._opened is None:
                    self._opened = self._open()
                with self._opened:
                    return self._opened.execute(statement, values).fetchall()
            except (sqlite3.Error, OSError) as error:
                self._unusable = True
                if type(error) is sqlite3.DatabaseError:  # no such file, or a spoilt one
                    with contextlib.suppress(OSError):
                        self._file.unlink()
                return []

    def _open(self) -> "sqlite3.Connection":
        import sqlite3

        self._file.parent.mkdir(parents=True, exist_ok=True)
        opened = sqlite3.connect(self._file, timeout=_BUSY_S, check_same_thread=False)
        try:
            with contextlib.suppress(sqlite3.OperationalError):  # a file system without it
                opened.execute("PRAGMA journal_mode = WAL")
            opened.execute("PRAGMA synchronous = OFF")
            opened.execute(_TABLE)
        except sqlite3.Error:
            opened.close()
            raise
        return opened


def digest_of(*parts: Any) -> str:
    """The SHA-256 of values that JSON can tell apart."""
    plain = msgspec.to_builtins(parts, str_keys=True, enc_hook=str)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def digest_of_files(files: Iterable[tuple[str, Path]]) -> str:
    """The SHA-256 of names and contents.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for name, file in files:
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def files_below(directory: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a directory with its path from there, but for what Python compiles."""
    for place, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            if not name.endswith(".pyc"):
                path = Path(place, name)
                yield path.relative_to(directory).as_posix(), path


def states_below(directory: str) -> Iterator[tuple[str, int, int, int]]:
    """Each file below a directory, but for what Python compiles: its size, and when it changed.

    Left out are links that lead nowhere, as editors make them, and what goes meanwhile.
    """
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in found:
        if entry.name == "__pycache__" or entry.name.endswith(".pyc"):
            continue
        if entry.is_dir():
            yield from states_below(entry.path)
            continue
        with contextlib.suppress(FileNotFoundError):
            state = entry.stat()
            yield entry.path, state.st_size, state.st_mtime_ns, state.st_ctime_ns


@cache
def own_digest() -> str:
    """The harness itself: all its files, in a development checkout too, and its Python.

    Three hundred files are not read for each command: whoever changes one, changes its times.
    """
    package = Path(__file__).parents[1]
    data = package / "_fixtures"
    data = data if data.is_dir() else package.parent / "fixtures"
    places = [str(place) for place in (package, data) if place.is_dir()]
    return digest_of([[*states_below(place)] for place in places], sys.version)
