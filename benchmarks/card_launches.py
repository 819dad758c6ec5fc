"""Do many starts of a server with spoofed cards leave anything behind?

Each launch loads the card's library, offloads to two cards, drafts, answers and is ended. Counted
when ten have been and when all have: processes that the harness owns, entries of the temporary
directory, of ``/dev/shm`` and of the folder of compiled libraries, this process's open files, and
its memory.

    python -m benchmarks.card_launches --build b9246 --launches 1000
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks._figures import add_json_option, keep
from harness.builds.locations import cache_root
from harness.cells.running import run_cell
from harness.cells.workbench import open_workbench
from harness.config.paths import entries
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK
from harness.model import Cell, LoadRequest, Verdict
from harness.processes.reaper import owned_processes

ENVIRONMENT = "cuda-spoof:two-gpus"
FIRST = 10
MIB = 1 << 20


def main() -> int:
    """Launch, count, and print what grew; the exit status tells whether anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--build", default="b9246")
    parser.add_argument("--launches", type=int, default=1000)
    add_json_option(parser, "card_launches")
    options = parser.parse_args()
    request = LoadRequest(model="tiny-llama", mode="draft", draft_n_max=3)
    cell = Cell(build=options.build, subject="reference", environment=ENVIRONMENT, request=request)
    with private_temporary_directory(), open_workbench(share_launches=False) as workbench:
        layer = workbench.layer(options.build, ENVIRONMENT)
        if layer.absent:
            print(f"{options.build} finds no card: {layer.absent}", file=sys.stderr)
            return EXIT_CANNOT_TELL
        before: Mapping[str, int] = {}
        good = 0
        for number in range(options.launches + FIRST):
            if number == FIRST:
                before = left(workbench.owner)
                good = 0
            good += run_cell(cell, workbench).status is Verdict.PASS
        after = left(workbench.owner)
    figures = [
        {"build": options.build, "launches": options.launches, "of": "cells that pass",
         "first": "", "last": good},
        *(
            {"build": options.build, "launches": options.launches, "of": name,
             "first": count, "last": after[name]}
            for name, count in before.items()
        ),
    ]  # fmt: skip
    keep("What launches with two spoofed cards leave", figures, options.json)
    grown = [
        name for name in before if name != "MiB of this process" and after[name] > before[name]
    ]
    return EXIT_FAIL if grown or good < options.launches else EXIT_OK


@contextmanager
def private_temporary_directory() -> Iterator[None]:
    """Nobody else shall put anything into the one that is counted."""
    with tempfile.TemporaryDirectory(prefix="card-launches-") as directory:
        was, tempfile.tempdir = tempfile.tempdir, directory
        try:
            yield
        finally:
            tempfile.tempdir = was


def left(owner: str) -> Mapping[str, int]:
    """What there is of each kind of thing that a launch could leave."""
    this = psutil.Process()
    return {
        "owned processes": len(owned_processes(owner)),
        "entries of the temporary directory": len(entries(Path(tempfile.gettempdir()))),
        "entries of /dev/shm": len(entries(Path("/dev/shm"))),
        "compiled libraries": len(entries(cache_root() / "card")),
        "open files of this process": len(this.open_files()),
        "MiB of this process": this.memory_info().rss // MIB,
    }


if __name__ == "__main__":
    sys.exit(main())
