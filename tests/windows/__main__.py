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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.builds.locations import cache_root
from harness.errors import HarnessError
from harness.terminal import open_progress
from tests.unit.builds.builds_bench import release, serving
from tests.windows.interpreter import C_COMPILER, installed, windows_python
from tests.windows.servers import COMPILERS, LINKER, SERVERS, release_archive, server_directory
from tests.windows.tables import compare_tables
from tests.windows.wine import Wine, WineError, find_wine, opened_wine, windows_path

UNIT: Final = "tests/unit"
ROOT: Final = Path(__file__).resolve().parents[2]
LIVE: Final = tuple(Path(__file__).with_name("live.txt").read_text("utf-8").split())


def main() -> int:
    """Make what is missing, run what is asked for, and return 0 if all of it is as it should be."""
    parser = argparse.ArgumentParser(
        prog="nox -s windows --",
        description=(__doc__ or "").splitlines()[0],
        epilog="Other words go to pytest. Without any: unit tests, live tests, and the tables.",
    )
    parser.add_argument("--python", nargs=argparse.REMAINDER, metavar="WORD", help="python's words")
    parser.add_argument("--tables", action="store_true", help="only the smoke matrix")
    parser.add_argument("--missing", action="store_true", help="name what this host lacks")
    options, tests = parser.parse_known_args()
    if options.missing:
        sys.stdout.write("".join(f"{name}\n" for name in missing_programs()))
        return 0
    try:
        with prepared() as place:
            if options.python is not None:
                return place.python(*options.python)
            if tests:
                return place.pytest(*tests)
            statuses = (
                [] if options.tables else [place.pytest("-n", "auto", UNIT), place.pytest(*LIVE)]
            )
            return int(any([*statuses, place.tables()]))
    except (WineError, HarnessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def missing_programs() -> list[str]:
    """Name what this host has not, by Debian's packages."""
    missing = [] if find_wine() else ["wine64"]
    if not all(map(shutil.which, (C_COMPILER, *COMPILERS.values()))):
        missing.append("mingw-w64")
    if not shutil.which(LINKER):
        missing.append("lld")
    return missing


@dataclass(frozen=True, kw_only=True)
class Place:
    """A Windows to run in.

    Attributes:
        wine: Runs its programs.
        program: Its Python, which has the harness installed.
        checkout: A copy of the checkout, without the package.
        env: Variables of every run.
    """

    wine: Wine
    program: Path
    checkout: Path
    env: Mapping[str, str]

    def python(self, *words: str) -> int:
        """Run its Python, and return the exit status."""
        return self.wine.call([self.program, *words], directory=self.checkout, env=self.env)[0]

    def pytest(self, *words: str) -> int:
        """Run tests, and return pytest's exit status."""
        plugins = ["-p", "tests.windows.wine_cannot", "-p", "no:cacheprovider"]
        return self.python("-m", "pytest", *plugins, *words)

    def tables(self) -> int:
        """Hold the smoke matrix to Linux's; 1 where it is another than is listed."""
        complaints = compare_tables(self.wine, self.program, self.checkout, self.env)
        for complaint in complaints:
            sys.stdout.write(f"{complaint}\n")
        said = "differs from Linux's" if complaints else "is Linux's, but for what is listed"
        sys.stdout.write(f"the smoke matrix on Windows {said}\n")
        return int(bool(complaints))


@contextmanager
def prepared() -> Iterator[Place]:
    """Give a Windows; the releases that it can have are what was compiled for it."""
    kept = cache_root() / "windows"
    with (
        opened_wine() as wine,
        serving() as web,
        tempfile.TemporaryDirectory(prefix="windows-", ignore_cleanup_errors=True) as directory,
    ):
        with open_progress() as progress:
            for server in SERVERS:
                built = server_directory(server, kept, progress)
                tag = server.build
                release(web, tag, {f"llama-{tag}-bin-win-cpu-x64.zip": release_archive(built)})
        python, scratch = windows_python(kept, wine), Path(directory)
        checkout = scratch / "checkout"
        copy_checkout(checkout)
        with installed(python, build_wheel(scratch / "wheel"), wine) as own:
            yield Place(
                wine=wine,
                program=own,
                checkout=checkout,
                env={
                    "GITHUB_API_URL": web.url,
                    "LLAMA_HARNESS_CACHE": windows_path(scratch / "cache"),
                    # Windows' own code page, not UTF-8, as most have it.
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
