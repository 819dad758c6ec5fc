"""Results of a Dask cluster, as its client tells of them."""

from collections.abc import Callable
from unittest.mock import Mock

import pytest

from harness.matrix import cluster
from harness.model import Cell, Verdict
from harness.report.jsonl import encode_result
from tests.unit.results import result

CELL = Cell(build="b9246", subject="reference", environment="cpu", request=result().request)


class Future:
    """Ends as each word says in turn; a lost one is being run again."""

    key = "cell-0"

    def __init__(self, *statuses: str) -> None:
        self._statuses = iter(statuses)
        self.status = next(self._statuses)
        self.released = False

    def add_done_callback(self, call: Callable[["Future"], None]) -> None:
        call(self)

    def exception(self, timeout: float) -> Exception | None:
        assert timeout
        if self.status == "lost":
            self.status = next(self._statuses)
            if self.status == "lost":
                raise TimeoutError
        return ValueError("no such thing") if self.status == "error" else None

    def result(self, timeout: float) -> bytes:
        assert timeout
        assert self.status == "finished"
        return encode_result(result())

    def release(self) -> None:
        self.released = True


def collected(*statuses: str, workers: int = 1) -> tuple[Verdict, str]:
    future = Future(*statuses)
    client = Mock()
    client.scheduler_info.return_value = {"workers": {str(n): {} for n in range(workers)}}
    ((place, found),) = cluster._collected(client, "tcp://here", [CELL], [future])
    assert place == 0
    assert future.released is bool(workers)
    return found.status, found.failure.message if found.failure else ""


def test_what_a_worker_found_outlives_it() -> None:
    """It died before that was fetched, so that another one runs the cell again, sooner or later."""
    assert collected("finished") == (Verdict.PASS, "")
    assert collected("lost", "finished") == (Verdict.PASS, "")
    assert collected("lost", "lost", "lost", "finished") == (Verdict.PASS, "")


def test_what_a_worker_could_not_run_is_an_error() -> None:
    status, why = collected("lost", "error")
    assert status is Verdict.ERROR
    assert why.endswith("could not run it: no such thing")
    assert collected("cancelled")[1].endswith("lost it (cancelled)")


def test_without_workers_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_WITHOUT_WORKERS_S", cluster._LOOK_S)
    status, why = collected("lost", "lost", "lost", workers=0)
    assert status is Verdict.ERROR
    assert why.endswith("has no worker")
