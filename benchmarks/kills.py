"""SIGKILLs a runner at random moments, and looks at what is left of it.

Each run has two workers and a store of its own, in which it acquires two builds anew before the
first cell. After each kill: when was the last server gone, does the store hold a build whole or
not at all, can every lock be had at once, and are the results that were written still there?

    nox -s bench -- kills
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil

from benchmarks._figures import add_json_option, keep
from harness.builds import Catalogue, load_catalogue
from harness.builds.digest import sha256_of
from harness.cells.qualification import open_store
from harness.processes.reaper import owned_processes
from harness.report.jsonl import read_results

BUILDS = ("b8929", "b9246")
ALLOWED_S = 5.0
PATIENCE_S = 60.0
TAKEN_UP_S = 120.0


def main() -> int:
    """Kill, look, print and keep; exit 1 where anything was left or lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument(
        "--within", type=float, default=0.0, metavar="S", help="stop after S seconds"
    )
    parser.add_argument("--seed", type=int, default=0)
    add_json_option(parser, "kills")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    rows: list[dict[str, object]] = []
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        place = Place(Path(directory))
        longest = place.undisturbed()
        for number in range(1, options.kills + 1):
            rows.append({"kill": number, **place.kill_after(chance.uniform(0.0, longest))})
            print(json.dumps(rows[-1]), file=sys.stderr)
            if options.within and time.monotonic() - begun > options.within:
                break
        finished = place.undisturbed() < PATIENCE_S + longest
    gone = [float(str(row["gone_s"])) for row in rows]
    summary = {
        "kills": len(rows),
        "with_cells_running": sum(bool(row["servers"]) for row in rows),
        "longest_until_gone_s": round(max(gone), 2),
        "median_until_gone_s": round(median(gone), 2),
        "left_after_5_s": sum(seconds > ALLOWED_S for seconds in gone),
        "stores_invalid": sum(not row["store_valid"] for row in rows),
        "locks_blocked": sum(not row["locks_free"] for row in rows),
        "results_damaged": sum(not row["results_intact"] for row in rows),
        "next_run_whole": finished,
    }
    keep("SIGKILLs of a runner", [summary], options.json)
    bad = ("left_after_5_s", "stores_invalid", "locks_blocked", "results_damaged")
    return int(any(summary[name] for name in bad) or not finished)


class Place:
    """A store, a scratch directory and a results file, for one run after another."""

    def __init__(self, root: Path) -> None:
        self._root, self._cache, self._scratch = root, root / "cache", root / "scratch"
        self._results = root / "results.jsonl"
        self._output = root / "output"
        catalogue = self._cache / "catalogue"
        catalogue.mkdir(parents=True)
        own, known = open_store(), load_catalogue()
        for build_id in BUILDS:
            build = known.get(build_id)
            binary = str(own.acquire(build).binary)
            (catalogue / f"kill-{build_id}.toml").write_text(
                f'id = "kill-{build_id}"\nnumber = {build.number}\nnumbered = false\n\n'
                f'[[sources]]\nkind = "local"\npath = {json.dumps(binary)}\n',
                encoding="utf-8",
            )

    def undisturbed(self) -> float:
        """How long a whole run takes; it must end well."""
        begun = time.monotonic()
        with self._started() as run:
            status = run.wait(TAKEN_UP_S)
        if status != 0:
            sys.exit(f"an undisturbed run ended with {status}:\n{self._output.read_text()}")
        return time.monotonic() - begun

    def kill_after(self, seconds: float) -> dict[str, object]:
        """Start a run, kill the runner, and look."""
        shutil.rmtree(self._cache / "builds", ignore_errors=True)
        with self._started() as run:
            time.sleep(seconds)
            servers = len(owned_processes(home=self._scratch))
            family: list[psutil.Process] = []
            with suppress(psutil.NoSuchProcess):  # It ended by itself, and Windows keeps no trace.
                family = psutil.Process(run.pid).children(recursive=True)
            before = self._results.read_bytes() if self._results.exists() else b""
            run.kill()
            run.wait()
        killed = time.monotonic()
        while self._left(family) and time.monotonic() - killed < PATIENCE_S:
            time.sleep(0.05)
        gone = time.monotonic() - killed
        return {
            "after_s": round(seconds, 2),
            "servers": servers,
            "results": before.count(b"\n"),
            "gone_s": round(gone, 2),
            "store_valid": self._store_is_valid(),
            "locks_free": self._locks_are_free(),
            "results_intact": self._intact(before),
        }

    def _started(self) -> "subprocess.Popen[bytes]":
        # A new one each time: Windows removes no file that is open, and lets go of it late.
        self._scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=self._root))
        self._results.unlink(missing_ok=True)
        with self._output.open("wb") as output:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "harness", "matrix", "--build", "kill-*"),
                    *("--env", "cpu", "--model", "tiny-llama", "--mode", "off", "--mode", "draft"),
                    *("-n", "2", "--jsonl", str(self._results)),
                ],
                env={
                    **os.environ,
                    "LLAMA_HARNESS_CACHE": str(self._cache),
                    "TMPDIR": str(self._scratch),
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _left(self, family: Sequence[psutil.Process]) -> bool:
        return any(_works(process) for process in family) or bool(
            owned_processes(home=self._scratch)
        )

    def _store_is_valid(self) -> bool:
        store, catalogue = open_store(self._cache), self._catalogue()
        for build_id in BUILDS:
            build = catalogue.get(f"kill-{build_id}")
            acquired = store.find(build)
            there = store.directory(build.id).exists()
            if there and (
                acquired is None or sha256_of(acquired.binary) != acquired.manifest.sha256
            ):
                return False
        return True

    def _locks_are_free(self) -> bool:
        store = open_store(self._cache)
        for build_id in BUILDS:
            with store.try_lock(f"kill-{build_id}") as had:
                if not had:
                    return False
        return True

    def _intact(self, before: bytes) -> bool:
        after = self._results.read_bytes() if self._results.exists() else b""
        results = list(read_results([self._results])) if after else []
        whole = before.rpartition(b"\n")[0]
        return after.startswith(whole) and len(results) >= before.count(b"\n")

    def _catalogue(self) -> Catalogue:
        return load_catalogue(self._cache / "catalogue")


def _works(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended and waits to be noticed holds nothing."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if __name__ == "__main__":
    sys.exit(main())
