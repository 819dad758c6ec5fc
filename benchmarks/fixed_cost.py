"""What a warm matrix costs outside its cells: before the first, after the last, and between.

Runs ``nox -s matrix``, ``llama-harness matrix`` (the smoke profile) and ``matrix --list`` in turn,
several times. A time without any cell running counts as outside, wherever it lies.

    nox -s bench -- fixed_cost
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks._clock import CLOCK_VARIABLE, read_clock
from benchmarks._figures import add_json_option, keep

ROOT = Path(__file__).parents[1]
LIST = "matrix --list"


def main() -> int:
    """Measure, print and keep; arguments after ``--`` replace the smoke profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each command")
    parser.add_argument("selection", nargs="*", help="other cells than the smoke profile's")
    add_json_option(parser, "fixed_cost")
    options = parser.parse_args()
    harness = [sys.executable, "-m", "harness", "matrix"]
    commands: dict[str, list[str]] = {"llama-harness matrix": harness}
    if nox := shutil.which("nox"):
        commands["nox -s matrix"] = [nox, "-s", "matrix", "--"]
        _run([nox, "-s", "matrix", "--", "--list"], {})  # makes its environment
    _run([*harness, *options.selection, "--list"], {})
    seen: dict[str, list[Mapping[str, float]]] = {name: [] for name in commands}
    listed: list[float] = []
    for _ in range(options.rounds):
        for name, command in commands.items():
            seen[name].append(_measure([*command, *options.selection]))
        begun = time.monotonic()
        _run([*harness, *options.selection, "--list"], {})
        listed.append(time.monotonic() - begun)
    rows: list[dict[str, object]] = [
        {
            "command": name,
            "runs": len(runs),
            "cells": runs[0]["cells"],
            **{
                key: round(median(run[key] for run in runs), 2) for key in runs[0] if key != "cells"
            },
        }
        for name, runs in seen.items()
    ]
    blank = dict.fromkeys(rows[0], "")
    rows.append({**blank, "command": LIST, "runs": len(listed), "wall_s": round(median(listed), 2)})
    keep("outside the cells of a warm run, medians in seconds", rows, options.json)
    return 0


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: round(median(run[key] for run in runs), 2) for key in runs[0]}


def _measure(command: Sequence[str]) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        clock = Path(directory, "clock")
        begun = time.monotonic()
        _run([*command, "-p", "benchmarks._clock"], {CLOCK_VARIABLE: str(clock)})
        ended = time.monotonic()
        cells = read_clock(clock)
    busy, until = 0.0, begun
    for start, end in cells:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return {
        "cells": float(len(cells)),
        "wall_s": ended - begun,
        "before_s": cells[0][0] - begun,
        "after_s": ended - until,
        "outside_s": ended - begun - busy,
    }


def _run(command: Sequence[str], extra: Mapping[str, str]) -> None:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **extra},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 1, 3}:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
