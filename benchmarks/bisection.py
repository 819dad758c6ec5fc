"""Wall time of a bisection against its builds' own times, with look-ahead on and off.

*Paced*: acquiring and running are waits of given length, so that only the scheduling is measured,
whatever else the machine does; acquisitions run side by side as downloads do, or one at a time as
compiles do. *Real* (``--real``): builds are fetched and compiled into a new store, once with
look-ahead and once without, with the compiler cache out of the way; the sums are what the store's
manifests and the journal say of each build.

    nox -s bench -- bisection
    python benchmarks/bisection.py --real --good b9093 --bad b9097 --test-s 60
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bisect.bisector import Bisector
from harness.bisect.journal import CommandQuestion, Journal, Notebook, Point, Question
from harness.bisect.lookahead import GRACE_S, Lookahead, ThreadJob, Wanted
from harness.bisect.progress import Reporter
from harness.bisect.search import Answer
from harness.bisect.tester import LiveTester
from harness.bisect.trial import Outcome, Signature, Trial
from harness.builds.manifest import read_manifest
from harness.processes.running import CancelledError

SCALE = 0.03
"""A paced second lasts this many real ones."""
BUILDS = 257
FIRST_BAD = 91


@dataclass(frozen=True, kw_only=True)
class Row:
    """One bisection.

    Attributes:
        label: What was measured.
        acquire_s: Sum of what acquiring each tested build takes by itself.
        test_s: Sum of the runs.
        without_s: Wall time with look-ahead off.
        with_s: Wall time with look-ahead on.
    """

    label: str
    acquire_s: float
    test_s: float
    without_s: float
    with_s: float


class PacedWorld:
    """Builds that take a given time to acquire and to run."""

    def __init__(self, *, acquire_s: float, test_s: float, one_at_a_time: bool) -> None:
        self._acquire_s = acquire_s * SCALE
        self._test_s = test_s * SCALE
        self._one_at_a_time = one_at_a_time
        self._slot = threading.Lock()
        self._store: set[str] = set()

    def bisect(self, *, lookahead: bool) -> float:
        """Bisect once; seconds of wall time, in paced seconds."""
        points = tuple(Point(id=f"b{9000 + at}", number=9000 + at) for at in range(BUILDS))
        question = Question(
            axes=("build",),
            builds=points,
            subjects=(Point(id="reference"),),
            predicate=CommandQuestion(command=("paced",), timeout_s=1),
        )
        exclusive = self._one_at_a_time
        silent = Reporter(lambda _: None, question.axes)
        with Lookahead(self._start, exclusive=lambda _: exclusive, enabled=lookahead) as ahead:
            tester = LiveTester(
                predicate=self.run,
                lookahead=ahead,
                stored=lambda wanted: wanted.axis == "subject" or wanted.id in self._store,
                reporter=silent,
            )
            began = time.monotonic()
            finding = Bisector(Notebook(question), tester, silent).run()
            wall = time.monotonic() - began
        assert finding.legs[0].boundary.after == FIRST_BAD
        return wall / SCALE

    def run(self, trial: Trial, anchor: Signature | None) -> Outcome:
        """Wait as long as a run takes."""
        del anchor
        time.sleep(self._test_s)
        bad = int(trial.build[1:]) - 9000 >= FIRST_BAD
        return Outcome(answer=Answer.BAD if bad else Answer.GOOD, reason="paced")

    def _start(self, wanted: Wanted) -> ThreadJob:
        grace_s = GRACE_S * SCALE if self._one_at_a_time else 0.0
        return ThreadJob(lambda cancelled: self._acquire(wanted, cancelled), grace_s=grace_s)

    def _acquire(self, wanted: Wanted, cancelled: threading.Event) -> None:
        if not self._one_at_a_time:
            self._wait(wanted, cancelled)
            return
        while not self._slot.acquire(timeout=0.01):
            if cancelled.is_set():
                raise CancelledError
        try:
            self._wait(wanted, cancelled)
        finally:
            self._slot.release()

    def _wait(self, wanted: Wanted, cancelled: threading.Event) -> None:
        if cancelled.wait(self._acquire_s):
            raise CancelledError
        self._store.add(wanted.id)


def paced_rows() -> list[Row]:
    """Downloads and compiles, against runs that are shorter, as long, and longer."""
    steps = (BUILDS - 2).bit_length() + 2
    rows = []
    for one_at_a_time in (False, True):
        kind = "one at a time" if one_at_a_time else "side by side"
        for acquire_s, test_s in ((10, 1), (10, 10), (10, 20), (10, 40)):
            walls = [
                PacedWorld(acquire_s=acquire_s, test_s=test_s, one_at_a_time=one_at_a_time).bisect(
                    lookahead=lookahead
                )
                for lookahead in (False, True)
            ]
            rows.append(
                Row(
                    label=f"paced, {kind}: acquire {acquire_s} s, run {test_s} s",
                    acquire_s=steps * acquire_s,
                    test_s=steps * test_s,
                    without_s=walls[0],
                    with_s=walls[1],
                )
            )
    return rows


def real_row(good: str, bad: str, test_s: float) -> Row:
    """Bisect real builds twice, each time into a new store; the change is in the middle."""
    middle = (int(good[1:]) + int(bad[1:])) // 2
    command = (
        "import os, sys, time\n"
        f"time.sleep({test_s})\n"
        f"sys.exit(int(os.environ['LLAMA_HARNESS_BUILD'][1:]) > {middle})"
    )
    without, with_lookahead = (
        _bisect_real(good, bad, command, lookahead=each) for each in (False, True)
    )
    return Row(
        label=f"real: {good} … {bad}, {without.builds} builds, run {test_s:g} s",
        acquire_s=without.acquire_s,
        test_s=without.test_s,
        without_s=without.wall_s,
        with_s=with_lookahead.wall_s,
    )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    builds: int
    acquire_s: float
    test_s: float
    wall_s: float


def _bisect_real(good: str, bad: str, command: str, *, lookahead: bool) -> _Measured:
    with tempfile.TemporaryDirectory(prefix="llama-harness-bench-") as name:
        root = Path(name)
        journal = root / "journal.jsonl"
        began = time.monotonic()
        subprocess.run(
            [
                *(sys.executable, "-m", "harness", "bisect", "run"),
                *("--good", good, "--bad", bad),
                *("--journal", str(journal)),
                *([] if lookahead else ["--no-lookahead"]),
                *("--", sys.executable, "-c", command),
            ],
            env={**os.environ, "LLAMA_HARNESS_CACHE": name, "CCACHE_DISABLE": "1"},
            check=True,
        )
        wall_s = time.monotonic() - began
        steps = tuple(Journal.open(journal).steps.values())
        manifests = [read_manifest(root / "builds" / step.trial.build) for step in steps]
    return _Measured(
        builds=len(steps),
        acquire_s=sum(each.seconds for each in manifests if each),
        test_s=sum(step.test_s for step in steps),
        wall_s=wall_s,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", action="store_true", help="compile real builds, twice")
    parser.add_argument("--good", default="b9093", help="good end of --real (%(default)s)")
    parser.add_argument("--bad", default="b9097", help="bad end of --real (%(default)s)")
    parser.add_argument(
        "--test-s", type=float, default=1.0, help="how long one run takes in --real (%(default)g)"
    )
    options = parser.parse_args(arguments)
    real = options.real
    rows = [real_row(options.good, options.bad, options.test_s)] if real else paced_rows()
    columns = (
        f"{'acquire':>8} {'run':>6} {'sum':>6} {'off':>7} {'on':>7} {'saved':>6} {'on/sum':>6}"
    )
    print(f"{'':50} {columns}")
    for row in rows:
        total = row.acquire_s + row.test_s
        saved = 1 - row.with_s / row.without_s
        print(
            f"{row.label:50} {row.acquire_s:8.1f} {row.test_s:6.1f} {total:6.1f} "
            f"{row.without_s:7.1f} {row.with_s:7.1f} {saved:6.0%} {row.with_s / total:6.2f}"
        )
    print("seconds; off and on are wall times without and with look-ahead")
    return 0


if __name__ == "__main__":
    sys.exit(main())
