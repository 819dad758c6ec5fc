"""How often a matrix of the reference cries wolf: the same matrix, many times over.

Every run is one process of ``llama-harness matrix``, and one line of the record. The record is read
first, so that a count that was interrupted goes on where it stopped. A run with any verdict but
pass, degraded and known, with a relation that does not hold, or with another exit status than 0, is
a false alarm: its results and its output are kept beside the record, and the count ends.

    nox -s bench -- false_alarms
    python benchmarks/false_alarms.py --record alarms.jsonl --runs 20 --most 3
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from harness.model import BAD
from harness.report.jsonl import read_results

RUNS: Final = 20


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the matrix.

    Attributes:
        arguments: Of ``llama-harness matrix``; runs with others are not counted together.
        builds: Those whose cells ran.
        verdicts: How many cells came to each.
        load: Running processes per core, when it began.
    """

    number: int
    arguments: tuple[str, ...]
    status: int
    seconds: float
    load: float
    builds: tuple[str, ...]
    verdicts: dict[str, int]
    alarms: tuple[str, ...]

    @property
    def is_quiet(self) -> bool:
        """Whether it is no false alarm."""
        return self.status == 0 and not self.alarms


def main() -> int:
    """Run, count and print; returns 1 where there is a false alarm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="how many in all")
    parser.add_argument("--most", type=int, help="how many now, at the most (default: all)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="one JSON line for each run")
    parser.add_argument("--show", action="store_true", help="print the record, run nothing")
    parser.add_argument(
        "arguments", nargs="*", help="of the matrix, after -- (default: --profile all)"
    )
    options = parser.parse_args()
    arguments = tuple(options.arguments) or ("--profile", "all")
    record: Path = options.record or Path("false-alarms.jsonl")
    runs = [run for run in _recorded(record) if run.arguments == arguments]
    wanted = 0 if options.show else options.runs - len(runs)
    for _ in range(wanted if options.most is None else min(wanted, options.most)):
        if not all(run.is_quiet for run in runs):
            break
        run = _run(len(runs) + 1, arguments, record)
        runs.append(run)
        with record.open("ab") as stream:
            stream.write(msgspec.json.encode(run) + b"\n")
        print(_line(run), flush=True)
    _summarise(runs)
    return 0 if all(run.is_quiet for run in runs) else 1


def _recorded(record: Path) -> list[Run]:
    if not record.exists():
        return []
    return [msgspec.json.decode(line, type=Run) for line in record.read_bytes().splitlines()]


def _run(number: int, arguments: Sequence[str], record: Path) -> Run:
    kept = record.with_suffix("")
    lines, output = kept.with_name(f"{kept.name}-last.jsonl"), kept.with_name(f"{kept.name}-last")
    lines.unlink(missing_ok=True)
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0
    started = time.perf_counter()
    with output.open("wb") as stream:
        status = subprocess.run(
            [sys.executable, "-m", "harness", "matrix", *arguments, "--jsonl", str(lines)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    results = list(read_results([lines])) if lines.exists() else []
    return Run(
        number=number,
        arguments=tuple(arguments),
        status=status,
        seconds=round(time.perf_counter() - started, 1),
        load=round(load, 1),
        builds=tuple(dict.fromkeys(result.build for result in results)),
        verdicts=dict(Counter(result.status.value for result in results)),
        alarms=tuple(result.id for result in results if result.status in BAD),
    )


def _line(run: Run) -> str:
    cells = sum(run.verdicts.values())
    verdicts = ", ".join(f"{count} {name}" for name, count in sorted(run.verdicts.items()))
    end = "" if run.is_quiet else f"  FALSE ALARM: {', '.join(run.alarms) or 'see the output'}"
    return (
        f"run {run.number}: {cells} cells on {len(run.builds)} builds: {verdicts}; exit status "
        f"{run.status}; {run.seconds:.0f} s at load {run.load} a core{end}"
    )


def _summarise(runs: Sequence[Run]) -> None:
    if not runs:
        print("no runs")
        return
    seconds = sorted(run.seconds for run in runs)
    cells = sum(sum(run.verdicts.values()) for run in runs)
    print(
        f"{len(runs)} runs of `llama-harness matrix {' '.join(runs[0].arguments)}`, {cells} cells, "
        f"on {', '.join(runs[-1].builds)}: {sum(not run.is_quiet for run in runs)} false alarms; "
        f"{seconds[0]:.0f} to {seconds[-1]:.0f} s, median {median(seconds):.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
