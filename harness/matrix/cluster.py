"""Runs cells on a Dask cluster.

The cluster needs nothing of this host but its address: each worker has its own store, makes or
fetches each build once, and ends its own servers. Results are fetched as they come, so that what a
worker found outlives it; a cell whose worker died is run again by another one.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Final

import pytest

from harness.builds import Catalogue
from harness.cells.running import error_result
from harness.config.configuration import load_configuration
from harness.errors import ExecutorError, HarnessError, UsageError
from harness.matrix.runner import CellItem
from harness.model import Cell, CellResult, FailureKind
from harness.report.jsonl import decode_result

_CONNECT_S: Final = 10.0
_LOOK_S: Final = 5.0
_WITHOUT_WORKERS_S: Final = 60.0


class ClusterLoop:
    """Runs the cells on a Dask cluster, and reports each as it ends."""

    def __init__(self, address: str, catalogue: Catalogue) -> None:
        self._address = address
        self._catalogue = catalogue

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Take the place of pytest's own loop."""
        if session.testsfailed or session.config.option.collectonly:
            return None
        config = session.config
        items = [item for item in session.items if isinstance(item, CellItem)]
        try:
            with _dask_results(
                self._address,
                [item.cell for item in items],
                catalogue=self._catalogue,
                retries=config.getoption("matrix_retries"),
                health_timeout_s=load_configuration().settings.health_timeout,
            ) as results:
                for place, result in results:
                    items[place].found = result
                    config.hook.pytest_runtest_protocol(item=items[place], nextitem=None)
                    if session.shouldfail:
                        raise session.Failed(session.shouldfail)
                    if session.shouldstop:
                        raise session.Interrupted(session.shouldstop)
        except HarnessError as error:
            pytest.exit(str(error), returncode=error.exit_code)
        return True


@contextmanager
def _dask_results(
    address: str,
    cells: Sequence[Cell],
    *,
    catalogue: Catalogue,
    retries: int,
    health_timeout_s: float,
) -> Iterator[Iterator[tuple[int, CellResult]]]:
    """Run cells on a Dask cluster; gives the place of each cell with its result, as they end.

    Leaving the context cancels what has not begun.

    Raises:
        UsageError: The ``distributed`` package is not installed.
        ExecutorError: The cluster does not answer, has no worker, or cannot import the harness.
    """
    try:
        import distributed

        from harness.matrix.dask_worker import CellWorker, run_on_worker
    except ImportError as error:
        raise UsageError(
            "--executor dask needs the package distributed: pip install 'llama-harness[dask]'"
        ) from error
    name = f"llama-harness-{uuid.uuid4().hex}"
    with ExitStack() as stack:
        try:
            client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
            stack.callback(client.close)
            client.wait_for_workers(1, timeout=_CONNECT_S)
            client.register_plugin(CellWorker(name, catalogue, health_timeout_s))
        except (OSError, ValueError) as error:
            raise ExecutorError(
                f"the Dask cluster at {address} cannot be used: {error or type(error).__name__}"
            ) from error
        except ImportError as error:
            raise ExecutorError(
                f"a worker of the Dask cluster at {address} lacks a package: {error}; install the "
                "same llama-harness on every worker"
            ) from error
        stack.callback(client.unregister_worker_plugin, name)
        futures = client.map(
            run_on_worker,
            [name] * len(cells),
            cells,
            [retries] * len(cells),
            key=[f"{name}-{place}" for place in range(len(cells))],
            pure=False,
        )
        stack.callback(client.cancel, futures)
        yield _collected(client, address, cells, futures)


def _collected(
    client: Any, address: str, cells: Sequence[Cell], futures: Sequence[Any]
) -> Iterator[tuple[int, CellResult]]:
    ended: SimpleQueue[Any] = SimpleQueue()
    places: Mapping[str, int] = {future.key: place for place, future in enumerate(futures)}
    for future in futures:
        future.add_done_callback(ended.put)
    waiting, alone_s = set(range(len(cells))), 0.0
    while waiting:
        future = None
        try:
            future = ended.get(timeout=_LOOK_S)
            place = places[future.key]
            result = _result_of(future, cells[place], address)
        except (Empty, TimeoutError):
            if future is not None:
                ended.put(future)
            alone_s = 0.0 if client.scheduler_info()["workers"] else alone_s + _LOOK_S
            if alone_s < _WITHOUT_WORKERS_S:
                continue
            for place in sorted(waiting):
                yield place, _lost(cells[place], f"the Dask cluster at {address} has no worker")
            return
        waiting.remove(place)
        yield place, result
        future.release()


def _result_of(future: Any, cell: Cell, address: str) -> CellResult:
    """What a cell came to.

    Raises:
        TimeoutError: Its worker died before this was fetched, and another one runs it again.
    """
    error = None if future.status == "cancelled" else future.exception(timeout=_LOOK_S)
    if future.status == "finished":
        return decode_result(future.result(timeout=_LOOK_S))
    if future.status == "error":
        why = str(error) or type(error).__name__
        return _lost(cell, f"a worker of the Dask cluster at {address} could not run it: {why}")
    return _lost(cell, f"the Dask cluster at {address} lost it ({future.status})")


def _lost(cell: Cell, message: str) -> CellResult:
    return error_result(cell, FailureKind.HARNESS, message)
