"""Puts a stand-in where an application looks for its server, and the user's own file back.

A companion process does the putting back, when a pipe from the recorder closes: a recorder that is
killed cannot. What even the companion could not put back lies beside the place, and the next
recording begins with it.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

MARK = b"# stand-in of llama-harness\n"
"""In every stand-in, so that it is never taken for a user's own file."""

_ASIDE = ".llama-harness-own"
_FRESH = ".llama-harness-new"
_RESTORE_S = 30.0


@contextlib.contextmanager
def placed(program: Path, place: Path, root: Path) -> Iterator[None]:
    """Have a copy of a program at a place while the context is open.

    Args:
        program: The stand-in.
        place: Where it is put; what is there is moved aside meanwhile.
        root: Of the store, where recordings that want the same place meet.

    Raises:
        UsageError: It cannot be put there.
    """
    import filelock

    # The companion runs this file alone, where no package is found.
    from harness.config.paths import expanded
    from harness.errors import UsageError

    place = expanded(place).absolute()
    if place.is_dir():
        raise UsageError(f"--shim-at {place}: is a directory; name the program in it")
    locks = root / "locks"
    name = hashlib.sha256(str(place).encode()).hexdigest()
    try:
        locks.mkdir(parents=True, exist_ok=True)
        with (
            filelock.FileLock(locks / f"@shim-{name[:16]}.lock").acquire(timeout=0),
            _exchanged(program.read_bytes(), place),
        ):
            yield
    except filelock.Timeout as error:
        raise UsageError(f"--shim-at {place}: another recording has its stand-in there") from error


def copies(started_as: Path, own: Sequence[Path]) -> list[Path]:
    """The copies of a stand-in, and the links to it, that an application made and started.

    Args:
        started_as: Holds the path of every stand-in that was started, one a line.
        own: The stand-ins themselves.
    """
    try:
        lines = started_as.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    kept = {_named(program) for program in own}
    started = dict.fromkeys(map(Path, lines))
    return [program for program in started if _named(program) not in kept and _is_ours(program)]


def _named(program: Path) -> Path:
    """A path whose last part is not followed where it is a link."""
    return program.parent.resolve() / program.name


def _is_ours(program: Path) -> bool:
    try:
        return MARK in program.read_bytes()
    except OSError:
        return False


@contextlib.contextmanager
def _exchanged(content: bytes, place: Path) -> Iterator[None]:
    from harness.errors import writing
    from harness.processes.job import start_apart
    from harness.processes.reaper import unowned

    with writing(f"--shim-at {place}"):
        restore(place, ())
    made = [parent for parent in place.parents if not parent.exists()]
    words = [str(place), json.dumps([str(directory) for directory in made])]
    companion = start_apart(
        [sys.executable, "-I", "-S", str(Path(__file__)), *words], unowned(os.environ)
    )
    try:
        with writing(f"--shim-at {place}"):
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = _beside(place, _FRESH)
            fresh.write_bytes(content)
            fresh.chmod(0o755)
            if os.path.lexists(place):
                place.rename(_beside(place, _ASIDE))
            fresh.replace(place)
        yield
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            companion.communicate(timeout=_RESTORE_S)
        restore(place, made)


def restore(place: Path, made: Sequence[Path]) -> None:
    """Put back what was at a place; harmless where that is done already.

    Args:
        place: The place.
        made: Directories that are to go, the innermost first, if nothing else is in them.
    """
    aside = _beside(place, _ASIDE)
    _beside(place, _FRESH).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        if MARK in place.read_bytes():  # else the application has put its own there
            place.unlink()
    if os.path.lexists(aside):
        aside.replace(place)
    for directory in made:
        with contextlib.suppress(OSError):
            directory.rmdir()


def _beside(place: Path, suffix: str) -> Path:
    return place.with_name(f".{place.name}{suffix}")


def _main() -> None:
    place, made = sys.argv[1:]
    sys.stdin.buffer.read()
    restore(Path(place), [Path(each) for each in json.loads(made)])


if __name__ == "__main__":
    _main()
