"""The matrix as a pytest plugin, so that ``-k``, ``-n`` and ``--lf`` work on cells."""

from pathlib import Path

import pytest

from harness.builds import load_catalogue
from harness.cells.flakes import RETRIES
from harness.cells.names import cell_id
from harness.errors import HarnessError
from harness.matrix.axes import select_cells
from harness.matrix.cluster import ClusterLoop
from harness.matrix.options import (
    RUN_OPTIONS,
    SELECTION_OPTIONS,
    dask_address,
    selection_from,
)
from harness.matrix.reporter import CellReporter
from harness.matrix.runner import CellRunner, WorkerGuard
from harness.verdicts.ledger import load_ledger


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the selection of cells, where they run, and the files for the results."""
    group = parser.getgroup("llama-harness", "cells of the llama-harness matrix")
    for option in SELECTION_OPTIONS:
        group.addoption(f"--matrix-{option.name}", **option.arguments())
    for name, arguments in RUN_OPTIONS.items():
        default = {"default": RETRIES} if name == "retries" else {}
        group.addoption(f"--matrix-{name}", **arguments, **default)
    group.addoption(
        "--matrix-unavailable",
        metavar="JSON",
        default="{}",
        help="why builds cannot be had, by id, where that is known already",
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
