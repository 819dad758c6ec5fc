"""Gets adjacent published builds one after the other, with the compiler cache and without.

Each pass begins with a new store and an empty compiler cache: the first build is a cold one, the
others find what the builds before them left. Without the cache, each build is compiled whole.

    nox -s bench -- neighbours
    python benchmarks/neighbours.py --first 9802 --builds 12 --times 3

Columns: wall and processor seconds from fetching the package to the build that has been seen to
run, each the median of all passes, and how far the passes lie apart. The last row is the median of
all builds but the first. On a machine that does other work at the same time, trust the processor
seconds.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks._figures import Figure, add_json_option, keep
from benchmarks.compile import children_seconds
from harness.builds import Build
from harness.builds.offers import package_offers
from harness.builds.toolchain import find_toolchain
from harness.cells.qualification import open_store
from harness.errors import EXIT_CANNOT_TELL, HarnessError
from harness.terminal import Progress, open_progress

FIRST = 9802
BUILDS = 12
CACHE_VARIABLES = ("CCACHE_DIR", "SCCACHE_DIR")


def adjacent(first: int, count: int) -> list[Build]:
    """Return the published builds from a number on."""
    offers = package_offers()
    numbers = [number for number in offers.builds if number >= first][:count]
    return [
        Build(id=f"b{number}", number=number, sources=offers.builds[number].origins)
        for number in numbers
    ]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One build got.

    Attributes:
        wall_s: From the call to the build in the store.
        cpu_s: User and system time of all that it started.
    """

    wall_s: float
    cpu_s: float


def one_pass(builds: Sequence[Build], progress: Progress, *, cached: bool) -> list[Measured]:
    """Get all builds, with an empty cache at the start or with none."""
    measured = []
    with tempfile.TemporaryDirectory(prefix="neighbours-") as directory:
        cache = str(Path(directory, "compiled"))
        os.environ.update(dict.fromkeys(CACHE_VARIABLES, cache))
        os.environ.pop("CCACHE_DISABLE", None)
        if not cached:
            os.environ["CCACHE_DISABLE"] = "1"
        store = open_store(Path(directory, "store"))
        for build in builds:
            before, start = children_seconds(), time.monotonic()
            store.acquire(build, progress=progress)
            wall, cpu = time.monotonic() - start, children_seconds() - before
            measured.append(Measured(wall_s=wall, cpu_s=cpu))
    return measured


def rows(
    builds: Sequence[Build], passes: Sequence[tuple[str, Sequence[Sequence[Measured]]]]
) -> list[Figure]:
    """One row for each build and one for all but the first."""
    table: list[dict[str, object]] = [{"build": build.id} for build in builds]
    last: dict[str, object] = {"build": f"median of {len(builds) - 1}"}
    for name, each in passes:
        for unit in ("wall", "cpu"):
            seconds = [[getattr(one, f"{unit}_s") for one in measured] for measured in each]
            for at, row in enumerate(table):
                here = [measured[at] for measured in seconds]
                row[f"{name}_{unit}_s"] = round(median(here), 1)
                row[f"{name}_{unit}_spread_s"] = round(max(here) - min(here), 1)
            medians = [median(measured[1:]) for measured in seconds]
            last[f"{name}_{unit}_s"] = round(median(medians), 1)
            last[f"{name}_{unit}_spread_s"] = round(max(medians) - min(medians), 1)
    return [*table, last]


def main() -> int:
    """Compile, print and keep; 3 where there is no compiler cache."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=FIRST, metavar="NUMBER")
    parser.add_argument("--builds", type=int, default=BUILDS, metavar="N")
    parser.add_argument("--times", type=int, default=1, metavar="N", help="passes with the cache")
    parser.add_argument(
        "--times-without", type=int, default=1, metavar="N", help="passes without (default: 1)"
    )
    add_json_option(parser, "neighbours")
    options = parser.parse_args()
    try:
        cache = find_toolchain().cache
        if cache is None:
            sys.stderr.write("neighbours.py: no compiler cache here\n")
            return EXIT_CANNOT_TELL
        builds = adjacent(options.first, options.builds)
        with open_progress() as progress:
            passes: list[tuple[str, list[list[Measured]]]] = []
            for name, times, cached in (
                ("with", options.times, True),
                ("without", options.times_without, False),
            ):
                measured = [one_pass(builds, progress, cached=cached) for _ in range(times)]
                if measured:
                    passes.append((name, measured))
    except HarnessError as error:
        sys.stderr.write(f"neighbours.py: {error}\n")
        return error.exit_code
    keep(f"adjacent builds, with and without {cache.name}", rows(builds, passes), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
