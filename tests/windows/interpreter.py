"""Makes a Windows CPython on Linux: wheels, a standard library and a few lines of C.

Nothing of it is installed by an installer of Windows. panda3d's wheel brings CPython itself, for
programs made with panda3d; the standard library is this very Python's, which is of the same minor
version and the same text on every system; ``python.exe`` and two libraries are compiled.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock

from tests.windows.wine import Wine, WineError, windows_path

HERE: Final = Path(__file__).resolve().parent
VERSION: Final = (3, 11)
C_COMPILER: Final = "x86_64-w64-mingw32-gcc"
LEFT_OUT: Final = ("lib-dynload", "site-packages", "test", "idlelib", "tkinter", "turtledemo")
"""Parts of the standard library that are another system's or that nobody needs here."""

_LIBRARY: Final = "python311.dll"
_BESIDE: Final = (_LIBRARY, "VCRUNTIME140.dll")
_WITHOUT: Final = ("_tkinter.pyd", "tcl86t.dll", "tk86t.dll")


def windows_python(cache: Path, wine: Wine) -> Path:
    """Return ``python.exe`` with all that the harness needs installed; it is made once.

    Args:
        cache: Where it is kept, by the digest of what it is made of.
        wine: Runs its pip.

    Raises:
        WineError: A part cannot be had or made.
    """
    if sys.version_info[:2] != VERSION:
        raise WineError(f"the standard library must be Python {VERSION[0]}.{VERSION[1]}'s")
    made = cache / f"python-{_digest()}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{made}.lock"):
        if not made.is_dir():
            with tempfile.TemporaryDirectory(dir=cache, prefix=".making-") as scratch:
                home = Path(scratch) / "python"
                _make(home, Path(scratch), wine)
                home.replace(made)
    return made / "python.exe"


@contextmanager
def installed(python: Path, wheel: Path, wine: Wine) -> Iterator[Path]:
    """Give a Python of one's own, with one wheel more.

    Args:
        python: The program of the one that is kept, which stays as it is.
        wheel: What is installed.
        wine: Runs pip.

    Raises:
        WineError: pip does not install it.
    """
    with tempfile.TemporaryDirectory(
        dir=python.parents[1], prefix=".own-", ignore_cleanup_errors=True
    ) as directory:
        home = Path(directory) / "python"
        shutil.copytree(python.parent, home, copy_function=os.link)
        own = home / python.name
        words = ["-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        wine.check([own, *words, wheel], directory=wheel.parent)
        yield own


def _digest() -> str:
    files = [Path(__file__), *HERE.glob("*.txt"), *(HERE / "c").iterdir()]
    parts = [sys.version.encode(), *(path.read_bytes() for path in sorted(files))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _make(home: Path, scratch: Path, wine: Wine) -> None:
    runtime, wheels = scratch / "runtime", scratch / "wheels"
    _download(HERE / "runtime.txt", runtime)
    _download(HERE / "wheels.txt", wheels)
    (home / "DLLs").mkdir(parents=True)
    _unpack_runtime(next(runtime.glob("panda3d-*.whl")), home)
    _copy_standard_library(home / "Lib")
    _compile(home / "python.exe", HERE / "c" / "python.c", "-lshell32")
    _compile(home / "bcryptprimitives.dll", HERE / "c" / "bcryptprimitives.c", "-shared")
    _forward(home / "python3.dll", home / _LIBRARY, scratch)
    pip = next(runtime.glob("pip-*.whl"))
    # pip replaces itself on Windows only where it runs as ``-m pip``, which its own wheel allows.
    words = ["-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-warn-script-location"]
    wine.check(
        [home / "python.exe", *words, pip, *sorted(wheels.iterdir())],
        directory=scratch,
        env={"PYTHONPATH": windows_path(pip)},
    )


def _download(requirements: Path, directory: Path) -> None:
    version = f"{VERSION[0]}.{VERSION[1]}"
    _run(
        [
            *(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
            *("--platform", "win_amd64", "--implementation", "cp", "--python-version", version),
            *("-d", str(directory), "-r", str(requirements)),
        ]
    )


def _unpack_runtime(wheel: Path, home: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            folder, _, name = entry.filename.rpartition("/")
            # Wine has the C runtime of Windows itself.
            if folder != "deploy_libs" or name in _WITHOUT or name.startswith("api-ms-"):
                continue
            if name in _BESIDE or name.endswith((".pyd", ".dll")):
                place = home if name in _BESIDE else home / "DLLs"
                (place / name).write_bytes(archive.read(entry))


def _copy_standard_library(into: Path) -> None:
    shutil.copytree(
        sysconfig.get_path("stdlib"),
        into,
        ignore=shutil.ignore_patterns(*LEFT_OUT, "__pycache__", "config-3*"),
    )
    # The import system is in the library, which is of 3.11.9; from 3.11.8 on it calls this on the
    # class.
    metadata = into / "importlib" / "metadata" / "__init__.py"
    text = metadata.read_text(encoding="utf-8")
    old = "    def invalidate_caches(cls)"
    if f"@classmethod\n{old}" not in text:
        metadata.write_text(text.replace(old, f"    @classmethod\n{old}"), encoding="utf-8")


def _compile(output: Path, source: Path, *options: str) -> None:
    _run([C_COMPILER, "-O1", "-s", "-o", str(output), str(source), *options])


def _forward(output: Path, library: Path, scratch: Path) -> None:
    """Make the stable ABI's library, which hands every name on to the library of the version."""
    listed = _run([C_COMPILER.replace("gcc", "objdump"), "-p", str(library)])
    table = listed.partition("[Ordinal/Name Pointer] Table")[2]
    names = re.findall(r"^\s+\[\s*\d+\](?: \+base\[\s*\d+\]\s+\w+)? (\w+)$", table, re.MULTILINE)
    if not names:
        raise WineError(f"{library.name} exports nothing that objdump lists")
    lines = ["LIBRARY python3.dll", "EXPORTS"]
    lines += [f"  {name} = {library.stem}.{name}" for name in names]
    definitions = scratch / "python3.def"
    definitions.write_text("\n".join(lines) + "\n", encoding="ascii")
    entry = "-Wl,--entry=0"
    _run([C_COMPILER, "-shared", "-nostdlib", "-s", entry, "-o", str(output), str(definitions)])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise WineError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
