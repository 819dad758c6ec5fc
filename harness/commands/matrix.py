"""``llama-harness matrix``: select cells, get their builds, run them under pytest."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.builds import Catalogue, Store, load_catalogue
from harness.cells.names import cell_id
from harness.cells.qualification import open_store
from harness.config.configuration import load_configuration
from harness.errors import (
    EXIT_OK,
    EXIT_USAGE,
    EnvironmentUnavailableError,
    HarnessError,
    UsageError,
)
from harness.matrix.axes import select_cells
from harness.matrix.configured import completed
from harness.matrix.options import (
    RUN_OPTIONS,
    SELECTION_OPTIONS,
    as_pytest_arguments,
    dask_address,
    selection_from,
)
from harness.model import Cell
from harness.terminal import complain, open_progress, say

CELLS_WORTH_A_WORKER: Final = 24
"""Fewer cells than this take less time than starting another worker does."""

LEAST_OPEN_FILES: Final = 32
"""pytest, a server's pipes and sockets, and the model file while it is read."""

_NEW_FIRST: Final = {"--nf", "--new-first"}
_HERE: Final = Path(__file__).parents[1] / "matrix"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "matrix",
        help="launch builds with a subject's flags and judge what they do",
        description="Launch real builds with the flags that a subject generates, and judge "
        "whether each starts and does what was asked. Arguments that are not listed here go to "
        "pytest: -k, --lf, -x, --durations and so on.",
        epilog="Exit status: 0 every cell passes, is degraded or known; 1 some fail, a "
        "relation between cells does not hold or a ledger entry is stale; 2 wrong usage; 3 the "
        "harness could not tell, or a cell is flaky; 130 interrupted.",
    )
    for option in SELECTION_OPTIONS:
        parser.add_argument(f"--{option.name}", **option.arguments())
    parser.add_argument(
        "-n",
        dest="workers",
        metavar="WORKERS",
        help="processes side by side; 0 for none beside this one (default: as cores and cells "
        "allow)",
    )
    for name, arguments in RUN_OPTIONS.items():
        parser.add_argument(f"--{name}", **arguments)
    parser.add_argument("--list", action="store_true", help="print the cells, run nothing")
    parser.add_argument("-q", "--quiet", action="count", default=0, help="print less")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="print more")
    parser.set_defaults(func=run_matrix, passes_unknown=True)


def run_matrix(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        HarnessError: The selection is wrong.
    """
    configuration = load_configuration()
    settings = configuration.settings
    catalogue = load_catalogue()
    selection = completed(selection_from(vars(options)), configuration, catalogue)
    workers = settings.workers if options.workers is None else options.workers
    ledger = options.ledger or settings.ledger
    retries = settings.retries if options.retries is None else options.retries
    cells = select_cells(selection, catalogue)
    if options.list:
        for cell in cells:
            say(cell_id(cell))
        return EXIT_OK
    remote = dask_address(options.executor) is not None
    if remote and options.workers not in {None, "0"}:
        raise UsageError("-n is for --executor local; a Dask cluster has the workers it has")
    if remote and options.reuse:
        raise UsageError("--reuse is for --executor local: a worker's host may be another one")
    _check_open_files()
    store = open_store()
    unavailable = {} if remote else _acquire(cells, catalogue, store, quiet=bool(options.quiet))
    arguments = [
        str(_HERE / "matrix"),
        "-p",
        "harness.matrix.pytest_plugin",
        f"--rootdir={_HERE}",
        "-c",
        str(_HERE / "pytest.ini"),
        "-o",
        f"cache_dir={store.root / 'pytest'}",
        # It would keep the names of all cells that ever ran, and read them in each process.
        *([] if _NEW_FIRST & {*options.unknown} else ["-p", "no:nfplugin"]),
        # The reporter says what pytest's header and its lists of failures would.
        "--no-header",
        "-rN",
        "--tb=no",
        *as_pytest_arguments(selection),
        *_verbosity(options),
        *(["-n", "0"] if remote else _workers(workers, len(cells))),
        f"--matrix-executor={options.executor}",
        f"--matrix-unavailable={json.dumps(unavailable)}",
        *([f"--matrix-jsonl={Path(options.jsonl).absolute()}"] if options.jsonl else []),
        *([f"--matrix-junit={Path(options.junit).absolute()}"] if options.junit else []),
        f"--matrix-retries={retries}",
        *([f"--matrix-ledger={Path(ledger).absolute()}"] if ledger else []),
        *(["--matrix-ledger-update"] if options.ledger_update else []),
        *(["--matrix-reuse"] if options.reuse else []),
        *(["--matrix-fresh"] if options.fresh else []),
        *options.unknown,
    ]
    import pytest

    if not options.quiet:
        say(_overview(cells))
    return _exit_status(int(pytest.main(arguments)), cells)


def _check_open_files() -> None:
    """Tell a host that is too narrow before anything fails half-way.

    Raises:
        EnvironmentUnavailableError: It is.
    """
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_OPEN_FILES:
        raise EnvironmentUnavailableError(
            f"this process may have {allowed} open files, and a matrix needs at least "
            f"{LEAST_OPEN_FILES}: raise the limit with ulimit -n"
        )


def _overview(cells: Sequence[Cell]) -> str:
    """What is going to run, in one line."""
    axes = (
        dict.fromkeys(cell.build for cell in cells),
        dict.fromkeys(cell.environment for cell in cells),
        dict.fromkeys(cell.subject for cell in cells),
    )
    return f"{len(cells)} cells: {'; '.join(', '.join(axis) for axis in axes)}"


def _exit_status(status: int, cells: Sequence[Cell]) -> int:
    """Tell pytest's own ways of having been used wrongly as ours; the plugin does the rest."""
    import pytest

    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        # A shard may be empty; a selection that leaves nothing is a slip.
        return EXIT_USAGE if cells else EXIT_OK
    return EXIT_USAGE if status == pytest.ExitCode.USAGE_ERROR else status


def _acquire(
    cells: Sequence[Cell], catalogue: Catalogue, store: Store, *, quiet: bool
) -> dict[str, str]:
    """Get every build before the first cell, with progress.

    A build that cannot be had is named here and again in its cells, which come out as ``error``.

    Returns:
        The reason for each such build.
    """
    wanted = [catalogue.get(build_id) for build_id in dict.fromkeys(cell.build for cell in cells)]
    missing = [build for build in wanted if store.ready(build) is None]
    unavailable: dict[str, str] = {}
    if not missing:
        return unavailable
    with open_progress(quiet=quiet) as progress:
        for build, outcome in store.acquire_all(missing, progress=progress):
            if isinstance(outcome, HarnessError):
                unavailable[build.id] = str(outcome)
                complain(outcome)
    return unavailable


def _verbosity(options: argparse.Namespace) -> list[str]:
    if options.quiet:
        return ["-" + "q" * options.quiet]
    return ["-" + "v" * options.verbose] if options.verbose else []


def _workers(asked: str | int | None, cells: int) -> list[str]:
    if asked is not None:
        return ["-n", str(asked), "--dist=worksteal"]
    workers = min(os.cpu_count() or 1, cells // CELLS_WORTH_A_WORKER)
    return ["-n", str(workers), "--dist=worksteal"] if workers > 1 else ["-n", "0"]
