"""The matrix as a pytest plugin, so that ``-k``, ``-n`` and ``--lf`` work on cells."""

from pathlib import Path

import pytest

from harness.builds import load_catalogue
from harness.cells.flakes import RETRIES
from harness.cells.names import cell_id
from harness.errors import HarnessError
from harness.matrix.axes import select_cells
from harness.matrix.cluster import ClusterLoop
from harness.matrix.executor_names import LOCAL, dask_address
from harness.matrix.options import SELECTION_OPTIONS, selection_from
from harness.matrix.reporter import CellReporter
from harness.matrix.runner import CellRunner, WorkerGuard
from harness.verdicts.ledger import load_ledger


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the selection of cells, where they run, and the files for the results."""
    group = parser.getgroup("llama-harness", "cells of the llama-harness matrix")
    for option in SELECTION_OPTIONS:
        group.addoption(f"--matrix-{option.name}", **option.arguments())
    group.addoption(
        "--matrix-jsonl",
        dest="matrix_jsonl",
        metavar="FILE",
        default=None,
        help="write one JSON line per cell",
    )
    group.addoption(
        "--matrix-junit", dest="matrix_junit", metavar="FILE", default=None, help="write JUnit XML"
    )
    group.addoption(
        "--matrix-executor",
        dest="matrix_executor",
        metavar="WHERE",
        default=LOCAL,
        help="local, or dask:ADDRESS for the workers of a Dask cluster (default: local)",
    )
    group.addoption(
        "--matrix-unavailable",
        dest="matrix_unavailable",
        metavar="JSON",
        default="{}",
        help="why builds cannot be had, by id, where that is known already",
    )
    group.addoption(
        "--matrix-retries",
        dest="matrix_retries",
        metavar="N",
        type=int,
        default=RETRIES,
        help=f"run a bad cell again, alone, this often (default: {RETRIES})",
    )
    group.addoption(
        "--matrix-ledger",
        dest="matrix_ledger",
        metavar="FILE",
        default=None,
        help="known divergences (default: the harness's own)",
    )
    group.addoption(
        "--matrix-ledger-update",
        dest="matrix_ledger_update",
        action="store_true",
        help="propose ledger entries for the cells that fail; writes nothing",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take up what runs the cells and, in the one process that reports them, what does so."""
    file = config.getoption("matrix_ledger")
    register = config.pluginmanager.register
    try:
        catalogue = load_catalogue()
        ledger = load_ledger(catalogue, Path(file) if file else None)
        address = dask_address(config.getoption("matrix_executor"))
        selected = select_cells(selection_from(vars(config.option)), catalogue)
        cells = {cell_id(cell): cell for cell in selected}
        register(CellRunner(config, cells, catalogue, ledger))
        if not hasattr(config, "workerinput"):
            register(CellReporter(config, cells, catalogue, ledger))
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error
    if config.getoption("numprocesses", None):
        register(WorkerGuard())
    if address is not None:
        register(ClusterLoop(address, catalogue))
