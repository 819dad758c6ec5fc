"""Compiles builds by the plain Release recipe and by the harness's own, and compares the times.

Both run one after the other on the same unpacked sources, with the compiler cache out of the way:

    python benchmarks/compile.py [ID ...]

Columns: wall seconds, processor seconds of all compilers, and how many times faster the harness's
recipe is by each. On a machine that does other work at the same time, trust the processor seconds.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness.builds import Build, load_catalogue
from harness.builds.archives import unpack
from harness.builds.catalogue import PackageFile
from harness.builds.platforms import this_platform
from harness.builds.recipe import FAST, PLAIN, Recipe, compile_server, move_tree
from harness.builds.sources.index import PackageIndexes
from harness.builds.toolchain import find_toolchain
from harness.errors import HarnessError, UsageError
from harness.terminal import Progress, open_progress

DEFAULT = ("b8929", "b9246", "b11434")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One compile.

    Attributes:
        wall_s: From configuring to stripping.
        cpu_s: User and system time of all its processes.
        version: What the binary says it is.
        megabytes: The binary's size.
    """

    wall_s: float
    cpu_s: float
    version: str
    megabytes: float


def children_seconds() -> float:
    """Return the processor time of all ended child processes; 0 where the system does not tell."""
    times = os.times()
    return times.children_user + times.children_system


def measure(
    build: Build,
    recipe: Recipe,
    downloads: Path,
    progress: Progress,
    *,
    adding: str = "",
    cached: bool = False,
) -> Measured:
    """Compile a build from its package's sources, with lines added to its CMakeLists.txt.

    Args:
        build: Which one.
        recipe: How.
        downloads: Where its package is kept.
        progress: Where to show it.
        adding: The lines.
        cached: Whether the compiler cache may help.
    """
    toolchain = find_toolchain()
    origin = next(
        (each for each in build.sources if isinstance(each, PackageFile) and not each.is_wheel),
        None,
    )
    if origin is None:
        raise UsageError(f"{build.id} has no sources to compile")
    archive = PackageIndexes().fetch(
        origin.project,
        origin.file,
        sha256=origin.sha256,
        directory=downloads,
        progress=progress,
    )
    with tempfile.TemporaryDirectory(prefix="compile-", dir=downloads) as scratch:
        place = Path(scratch)
        unpack(archive, place / "unpacked", below=origin.tree)
        tree = move_tree(place / "unpacked", origin.tree, place / "tree")
        with (tree / "CMakeLists.txt").open("a", encoding="utf-8") as lists:
            lists.write(adding)
        before, start = children_seconds(), time.monotonic()
        compiled = compile_server(
            tree,
            place,
            toolchain=toolchain if cached else dataclasses.replace(toolchain, cache=None),
            platform=this_platform(),
            progress=progress,
            cancelled=threading.Event(),
            label=f"{build.id} ({'own' if recipe.unity else 'plain'} recipe)",
            number=build.number if build.numbered else 0,
            recipe=recipe,
        )
        wall, cpu = time.monotonic() - start, children_seconds() - before
        answer = subprocess.run(
            [compiled.binary, "--version"], capture_output=True, text=True, check=True
        )
        return Measured(
            wall_s=wall,
            cpu_s=cpu,
            version=(answer.stderr or answer.stdout).splitlines()[0],
            megabytes=compiled.binary.stat().st_size / 1e6,
        )


def main() -> int:
    """Run the comparison and print a table; exit 1 where a build is below ``--at-least``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("ids", nargs="*", default=DEFAULT, metavar="ID")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="TIMES")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    slowest = float("inf")
    try:
        builds = load_catalogue().select(arguments.ids)
        with open_progress() as progress, tempfile.TemporaryDirectory() as downloads:
            for build in builds:
                own = measure(build, FAST, Path(downloads), progress)
                plain = measure(build, PLAIN, Path(downloads), progress)
                times = plain.wall_s / own.wall_s
                slowest = min(slowest, times)
                rows.append(
                    {
                        "build": build.id,
                        "plain_wall_s": round(plain.wall_s, 1),
                        "own_wall_s": round(own.wall_s, 1),
                        "wall_times": round(times, 2),
                        "plain_cpu_s": round(plain.cpu_s, 1),
                        "own_cpu_s": round(own.cpu_s, 1),
                        "cpu_times": round(plain.cpu_s / own.cpu_s, 2) if own.cpu_s else None,
                        "version": own.version,
                        "own_mb": round(own.megabytes, 1),
                        "plain_mb": round(plain.megabytes, 1),
                    }
                )
    except HarnessError as error:
        sys.stderr.write(f"compile.py: {error}\n")
        return error.exit_code
    if arguments.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        header = list(rows[0])
        sys.stdout.write("  ".join(name.rjust(12) for name in header) + "\n")
        for row in rows:
            sys.stdout.write("  ".join(str(row[name]).rjust(12) for name in header) + "\n")
    return 0 if slowest >= arguments.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
