"""The whole history: cells, drift and atlas on builds of all times; ``nox -s history``.

    python -m tests.history [--resume] [--most N] [--results FILE] [WORDS FOR THE MATRIX]
    python -m tests.history --page FILE...

Adds builds evenly by time to the catalogue, runs the smoke matrix on them, and writes what came of
it into ``docs/history.md``. Builds that are in the store are not made again; with ``--resume`` the
cells that an earlier run settled are not run again. A part of the cells, or a Dask cluster, as for
any matrix; the page is then made of the parts' results.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.builds import load_catalogue
from harness.builds.spacing import HISTORY
from harness.cells.qualification import open_store
from harness.cli import main as harness
from harness.errors import EXIT_CANNOT_TELL, EXIT_OK
from tests.history.page import write_page

EVERY: Final = 9
"""Days."""


def main(words: Sequence[str] | None = None) -> int:
    """Run what is left of the history."""
    parser = argparse.ArgumentParser(
        prog="nox -s history --", description=__doc__, add_help=False, allow_abbrev=False
    )
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--most", type=int, metavar="N")
    parser.add_argument("--results", type=Path, default=Path("history.jsonl"))
    parser.add_argument("--page", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--executor", metavar="WHERE")
    options, rest = parser.parse_known_args(words)
    if options.most is not None and options.most < 0:
        parser.error(f"--most {options.most}: a number of builds, 0 or more")
    if options.page:
        return write_page(options.page)
    if added := harness(["builds", "add", "--every", str(EVERY)]):
        return added
    builds = ["--profile", HISTORY]
    made = EXIT_OK
    if options.most is not None:
        made = _make(options.most)
        builds = [word for build in _stored() for word in ("--build", build)]
        if not builds:
            sys.stderr.write("no build of the history is stored: give --most a number above 0\n")
            return EXIT_CANNOT_TELL
    # Without --resume verdicts are kept all the same, for a run that is stopped and goes on.
    reuse = ["--reuse", *([] if options.resume else ["--fresh"])]
    where = ["--executor", options.executor] if options.executor else reuse
    status = harness(["matrix", *builds, *where, "--jsonl", str(options.results), *rest])
    if rest:  # They may leave cells out.
        return status or made
    return max(status, made, write_page([options.results]))


def _make(most: int) -> int:
    """Get so many builds that the store lacks."""
    stored = _stored()
    missing = [one.id for one in load_catalogue().profile(HISTORY) if one.id not in stored]
    statuses = [harness(["builds", "get", build]) for build in missing[:most]]
    return EXIT_CANNOT_TELL if any(statuses) else EXIT_OK


def _stored() -> list[str]:
    store = open_store()
    return [one.id for one in load_catalogue().profile(HISTORY) if store.find(one) is not None]


if __name__ == "__main__":
    sys.exit(main())
