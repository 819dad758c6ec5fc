"""How a run grows from 500 cells to 5,000: wall time, memory, open files, and what it leaves.

Every cell is a launch of its own, or every tenth with ``--cells-per-launch 10``: the subjects are
static command lines that differ in their seed. They are judged by Studio's contract, which looks at
a server once; with ``--contract own`` all that they ask for is tried, at the cost of a dozen
requests more.
Memory and open files of the run's processes, all but the servers, are read several times a second.

    nox -s bench -- sweep
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks._figures import add_json_option, keep
from harness.processes.reaper import owned_processes
from harness.report.jsonl import read_results

ROOT = Path(__file__).parents[1]
BUILDS = ("b8929", "b9246", "b10435")
MODELS = ("tiny-llama", "tiny-mtp")
ENVIRONMENTS = ("cpu", "cuda-spoof")
LOOK_S = 0.25
PARTS = 5
"""Memory in the last part of a run is held against that in the middle one."""


@dataclass(kw_only=True)
class Watched:
    """One process of a run.

    Attributes:
        samples: When, how many bytes it holds, and how many files it has open.
    """

    kind: str
    samples: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """The last fifth's memory over that of the middle fifth."""
        sizes = [size for _, size, _ in self.samples]
        part = max(1, len(sizes) // PARTS)
        middle = len(sizes) // 2
        return median(sizes[-part:]) / median(sizes[middle - part // 2 :][:part])


def main() -> int:
    """Run the sweep in its sizes, in turn; print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=500, metavar="CELLS")
    parser.add_argument("--large", type=int, default=5000, metavar="CELLS")
    parser.add_argument("--small-runs", type=int, default=2, help="before and after the large one")
    parser.add_argument("--cells-per-launch", type=int, default=1, metavar="N")
    parser.add_argument("--contract", default="studio", choices=("studio", "own"))
    parser.add_argument("-n", dest="workers", default="2")
    add_json_option(parser, "sweep")
    options = parser.parse_args()
    before = (options.small_runs + 1) // 2
    sizes = [options.small] * before + [options.large]
    sizes += [options.small] * (options.small_runs - before)
    rows = []
    for size in sizes:
        rows.append(_sweep(size, options))
        print(json.dumps(rows[-1]), file=sys.stderr)
    keep("a sweep, from few cells to many", [*rows, _growth(rows, options.large)], options.json)
    return 0


def _growth(rows: Sequence[Mapping[str, object]], large: int) -> dict[str, object]:
    """The large run over what the small ones would make linear."""
    few = [row for row in rows if row["asked"] != large]
    many = next(row for row in rows if row["asked"] == large)

    def ratio(key: str) -> float:
        # No worker, no memory of its.
        usual = median(float(str(row[key])) for row in few) or 1.0
        return round(float(str(many[key])) / usual, 3)

    return dict.fromkeys(many, "") | {
        "asked": "large / small",
        "ms_per_cell": ratio("ms_per_cell"),
        "cpu_ms_per_cell": ratio("cpu_ms_per_cell"),
        "peak_controller_mb": ratio("peak_controller_mb"),
        "peak_worker_mb": ratio("peak_worker_mb"),
    }


def _sweep(size: int, options: argparse.Namespace) -> dict[str, object]:
    shared: int = options.cells_per_launch
    axes = len(BUILDS) * len(MODELS) * len(ENVIRONMENTS)
    subjects = max(1, round(size / axes))
    with tempfile.TemporaryDirectory() as directory:
        words = [*_selection(Path(directory), subjects, shared), "-n", options.workers, "-q"]
        words += ["--contract", options.contract]
        jsonl, scratch = Path(directory, "results.jsonl"), Path(directory, "tmp")
        scratch.mkdir()
        begun, watched = time.monotonic(), dict[int, Watched]()
        spent = _children_cpu()
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", "matrix", *words, "--jsonl", str(jsonl)],
            env={**os.environ, "TMPDIR": str(scratch)},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, watched, ended))
        watcher.start()
        status = process.wait()
        ended.set()
        watcher.join()
        wall = time.monotonic() - begun
        cpu = _children_cpu() - spent
        results = list(read_results([jsonl]))
        statuses = sorted({result.status.value for result in results})
        left = _left(scratch)
    controllers = [one for one in watched.values() if one.kind == "controller"]
    others = [one for one in watched.values() if one.kind == "worker"]

    def peak(those: Sequence[Watched]) -> float:
        return max((size for one in those for _, size, _ in one.samples), default=0) / 1e6

    return {
        "asked": size,
        "cells": len(results),
        "per_launch": shared,
        "contract": options.contract,
        "exit": status,
        "verdicts": " ".join(statuses),
        "wall_s": round(wall, 1),
        "ms_per_cell": round(wall * 1000 / len(results), 2),
        "cpu_ms_per_cell": round(cpu * 1000 / len(results), 2),
        "peak_controller_mb": round(peak(controllers), 1),
        "growth_controller": round(max(one.growth for one in controllers), 3),
        "peak_worker_mb": round(peak(others), 1),
        "growth_worker": round(max((one.growth for one in others), default=1.0), 3),
        "open_files": max(files for one in watched.values() for _, _, files in one.samples),
        "left_over": left,
    }


def _selection(directory: Path, subjects: int, shared: int) -> list[str]:
    words = ["--mode", "off", "--draft-max", "default"]
    for flag, values in (("--build", BUILDS), ("--model", MODELS), ("--env", ENVIRONMENTS)):
        words += [word for value in values for word in (flag, value)]
    for number in range(subjects):
        seed = number // shared + 1
        file = directory / f"{number}.txt"
        file.write_text(
            f"llama-server -m model.gguf --port 8080 -c 512 -np 1 --no-warmup --seed {seed}\n",
            encoding="utf-8",
        )
        words += ["--subject", f"argv:{file}"]
    return words


def _watch(pid: int, watched: dict[int, Watched], ended: threading.Event) -> None:
    """Sample the runner and its workers: Python processes of its, which are not servers."""
    runner = psutil.Process(pid)
    while not ended.wait(LOOK_S):
        try:
            family = [runner, *runner.children()]
        except psutil.Error:
            continue
        for process in family:
            try:
                kind = "controller" if process.pid == pid else "worker"
                if "reaper" in " ".join(process.cmdline()) or not process.name().startswith("py"):
                    continue
                sample = (time.monotonic(), process.memory_info().rss, _open_files(process))
            except (psutil.Error, AttributeError):
                continue
            watched.setdefault(process.pid, Watched(kind=kind)).samples.append(sample)


def _open_files(process: psutil.Process) -> int:
    if sys.platform == "win32":
        return process.num_handles()
    return process.num_fds()


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _left(scratch: Path) -> int:
    """Processes that carry the mark of a run in this scratch directory, and files left there."""
    time.sleep(1)
    return sum(1 for _ in scratch.iterdir()) + len(owned_processes(home=scratch))


if __name__ == "__main__":
    sys.exit(main())
