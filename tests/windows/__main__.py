"""Runs the harness's tests on Windows as Wine has it: ``nox -s windows``.

A Windows CPython, real Windows builds of llama-server and the spoof's libraries for Windows are
made once and kept in the cache. The harness is installed into that Python as a wheel; the tests
run in a copy of the checkout that has no ``harness`` folder.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.builds.locations import cache_root
from harness.errors import HarnessError
from harness.terminal import open_progress
from tests.unit.builds.builds_bench import release, serving
from tests.windows.interpreter import C_COMPILER, install, windows_python
from tests.windows.servers import COMPILERS, SERVERS, release_archive, server_directory
from tests.windows.wine import Wine, WineError, find_wine, opened_wine, windows_path

UNIT: Final = "tests/unit"
LIVE: Final = ("tests/live/test_windows.py",)
ROOT: Final = Path(__file__).resolve().parents[2]


def main() -> int:
    """Make what is missing, run the tests, and return pytest's exit status."""
    parser = argparse.ArgumentParser(prog="nox -s windows --", description=__doc__)
    parser.add_argument("--kills", type=int, metavar="N", help="kill a runner N times instead")
    parser.add_argument("--shell", nargs=argparse.REMAINDER, metavar="WORD", help="python's words")
    parser.add_argument("--missing", action="store_true", help="name what this host lacks")
    options, tests = parser.parse_known_args()
    if options.missing:
        sys.stdout.write("".join(f"{name}\n" for name in missing_programs()))
        return 0
    try:
        with prepared() as (wine, python, checkout, env):
            if options.shell is not None:
                return wine.call([python, *options.shell], directory=checkout, env=env)[0]
            words = tests or [UNIT, *LIVE]
            command = ["-m", "pytest", "-p", "tests.windows.wine_cannot", "-p", "no:cacheprovider"]
            return wine.call([python, *command, *words], directory=checkout, env=env)[0]
    except (WineError, HarnessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def missing_programs() -> list[str]:
    """Name what this host has not, by Debian's packages."""
    missing = [] if find_wine() else ["wine64"]
    if not all(map(shutil.which, (C_COMPILER, *COMPILERS.values()))):
        missing.append("mingw-w64")
    return missing


@contextmanager
def prepared() -> Iterator[tuple[Wine, Path, Path, dict[str, str]]]:
    """Give Wine, its Python, a copy of the checkout and the variables that tests run with."""
    kept = cache_root() / "windows"
    with (
        open_progress() as progress,
        opened_wine() as wine,
        serving() as web,
        tempfile.TemporaryDirectory(prefix="windows-", ignore_cleanup_errors=True) as directory,
    ):
        for server in SERVERS:
            built = server_directory(server, kept, progress)
            tag = server.build
            release(web, tag, {f"llama-{tag}-bin-win-cpu-x64.zip": release_archive(built)})
        python = windows_python(kept, wine)
        scratch = Path(directory)
        install(python, build_wheel(scratch / "wheel"), wine)
        checkout = scratch / "checkout"
        copy_checkout(checkout)
        yield (
            wine,
            python,
            checkout,
            {
                "GITHUB_API_URL": web.url,
                "LLAMA_HARNESS_CACHE": windows_path(scratch / "cache"),
                "PYTHONUTF8": "0",
            },
        )


def build_wheel(directory: Path) -> Path:
    """Build this checkout's wheel for Windows, with the spoof's libraries."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(directory), str(ROOT)]
    env = {**os.environ, "LLAMA_HARNESS_PREBUILT": "windows"}
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise WineError(f"the wheel cannot be built:\n{done.stdout}{done.stderr}")
    return next(directory.glob("*.whl"))


def copy_checkout(into: Path) -> None:
    """Copy what git knows of the checkout, or would take up, but for the package itself."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and not name.startswith("harness/") and (ROOT / name).is_file():
            place = into / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place)


if __name__ == "__main__":
    sys.exit(main())
