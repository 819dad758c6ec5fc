"""What runs inside the workers of a Dask cluster; only for where ``distributed`` is installed."""

import threading
from contextlib import ExitStack

from distributed import Worker, WorkerPlugin, get_worker

from harness.builds import Catalogue
from harness.cells.flakes import run_settled
from harness.cells.workbench import Workbench, open_workbench
from harness.model import Cell
from harness.report.jsonl import encode_result


class CellWorker(WorkerPlugin):  # type: ignore[misc]  # untyped
    """What a worker holds for the length of a run: one workbench for each of its threads."""

    def __init__(self, name: str, catalogue: Catalogue, health_timeout_s: float) -> None:
        self.name = name
        self._catalogue = catalogue
        self._health_timeout_s = health_timeout_s

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's signature
        """Start with a worker; what costs time waits for the first cell."""
        self._own = threading.local()
        self._guard = threading.Lock()
        self._resources = ExitStack()

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's signature
        """Give back everything."""
        with self._guard:
            self._resources.close()

    def workbench(self) -> Workbench:
        """The workbench of this thread.

        Raises:
            HarnessError: It cannot be had on this worker.
        """
        if not hasattr(self._own, "workbench"):
            bench = open_workbench(
                catalogue=self._catalogue, health_timeout_s=self._health_timeout_s
            )
            with self._guard:
                self._own.workbench = self._resources.enter_context(bench)
        own: Workbench = self._own.workbench
        return own


def run_on_worker(name: str, cell: Cell, retries: int) -> bytes:
    """Run one cell on the worker that calls this; the result as a line."""
    holder: CellWorker = get_worker().plugins[name]
    return encode_result(run_settled(cell, holder.workbench(), retries=retries))
