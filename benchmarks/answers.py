"""How long `check`, `explain` and `upgrade` take over stored builds, each from a cold process.

The commands take turns; median and spread of each are told. Nothing is acquired.

    nox -s bench -- answers
    python -m benchmarks.answers --builds 5 --builds 30
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks._figures import add_json_option, keep
from harness.builds import load_catalogue
from harness.cells.qualification import open_store

WORDS: Final = ("-c", "4096", "-ngl", "99", "--jinja")
REFUSED: Final = ("--draft-max", "8")
"""Of builds from b8955 on."""
RUNS: Final = 7


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each (default: %(default)s)")
    parser.add_argument(
        "--builds",
        type=int,
        action="append",
        help="numbers of stored builds to ask (default: 5, and all that are stored)",
    )
    add_json_option(parser, "answers")
    options = parser.parse_args()
    store = open_store()
    stored = [
        build.id
        for build in load_catalogue().builds
        if not build.emulated and store.find(build) is not None
    ]
    if len(stored) < 2:  # noqa: PLR2004 - upgrade has two ends
        print("fewer than two builds are stored: llama-harness builds get", file=sys.stderr)
        return 3
    numbers = sorted(set(options.builds or (5, len(stored))))
    commands = {
        f"check {number}": ("check", *_named(stored[-number:]), "--", *WORDS) for number in numbers
    }
    explain = ("explain", "--env", "cpu", *_named(stored[-5:]), "--")
    commands["explain 5"] = (*explain, *WORDS)
    commands["explain 5, refused"] = (*explain, *WORDS, *REFUSED)
    commands["upgrade 2"] = ("upgrade", "--from", stored[0], "--to", stored[-1], "--", *WORDS)
    told: Mapping[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as elsewhere:
        for _ in range(options.runs + 1):
            for name, command in commands.items():
                told[name].append(_seconds(command, Path(elsewhere)))
    keep(
        "answers over stored builds, seconds",
        [
            {
                "command": name,
                "runs": options.runs,
                # The first run fills what is remembered of builds.
                "median_s": round(median(seconds[1:]), 2),
                "least_s": round(min(seconds[1:]), 2),
                "most_s": round(max(seconds[1:]), 2),
                "first_s": round(seconds[0], 2),
            }
            for name, seconds in told.items()
        ],
        options.json,
    )
    return 0


def _named(builds: Sequence[str]) -> list[str]:
    return [word for build in builds for word in ("--build", build)]


def _seconds(command: Sequence[str], directory: Path) -> float:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "harness", *command],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begun
    if done.returncode not in {0, 1, 3}:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
