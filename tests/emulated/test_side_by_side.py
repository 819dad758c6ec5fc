"""Cells side by side: their order, and that whoever stops listening leaves no server behind."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from harness.cells.running import run_cell
from harness.cells.side_by_side import run_side_by_side
from harness.cells.workbench import Workbench, open_workbench
from harness.model import Cell, CellResult, DemandedBy, LoadRequest, Verdict
from harness.processes.reaper import owned_processes
from harness.server import RunningServer
from harness.settings.observation import Observation, observe
from harness.subjects.command_lines import CommandLine, StaticSubject

COUNT = 8


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    monkeypatch.setattr("harness.cells.side_by_side.usable_cores", lambda: 4)
    with open_workbench() as workbench:
        for number in range(COUNT):
            words = ("-c", str(256 * (number + 1)))
            workbench.add_subject(StaticSubject(f"line {number}", CommandLine(words=words)))
        yield workbench


def cells() -> list[Cell]:
    return [
        Cell(
            build="emulated-legacy-mtp",
            subject=f"line {number}",
            environment="cpu",
            request=LoadRequest(model="tiny-llama", mode=None),
            demanded_by=DemandedBy.COMMAND_LINE,
        )
        for number in range(COUNT)
    ]


def servers(bench: Workbench) -> list[int]:
    return [process.pid for process in owned_processes(bench.owner)]


def test_results_come_in_the_order_of_the_cells(bench: Workbench) -> None:
    results = list(run_side_by_side(cells(), bench))
    assert [one.subject for one in results] == [f"line {number}" for number in range(COUNT)]
    assert {one.status for one in results} == {Verdict.PASS}
    assert servers(bench) == []
    assert not bench.stopped.is_set()


class HeldServers:
    """Has every server but the first cell's looked at only once it has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: list[int] = []
        self.cells: list[str] = []
        self._here = threading.local()
        self._run_cell, self._observe = run_cell, observe
        monkeypatch.setattr("harness.cells.side_by_side.run_cell", self._run)
        monkeypatch.setattr("harness.cells.running.observe", self._look)

    def _run(self, cell: Cell, workbench: Workbench) -> CellResult:
        self._here.subject = cell.subject
        self.cells.append(cell.subject)
        return self._run_cell(cell, workbench)

    def _look(self, server: RunningServer, *words: Any, **options: Any) -> Observation:
        if self._here.subject != "line 0":
            self.held.append(server.pid)
            assert eventually(lambda: server.process.poll() is not None)
        return self._observe(server, *words, **options)


def eventually(happens: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, GeneratorExit, ValueError])
def test_whoever_is_interrupted_leaves_no_server_and_starts_none(
    bench: Workbench, interruption: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers_held = HeldServers(monkeypatch)
    results = run_side_by_side(cells(), bench)
    assert isinstance(results, Generator)
    first = next(results)
    assert (first.subject, first.status) == ("line 0", Verdict.PASS)
    assert eventually(lambda: len(servers_held.held) >= 3)
    assert set(servers(bench)) >= set(servers_held.held[:3])
    with pytest.raises(interruption):
        results.throw(interruption())
    assert servers(bench) == []
    assert bench.stopped.is_set()
    assert len(servers_held.cells) < COUNT
    late = run_cell(cells()[-1], bench)
    assert late.failure is not None
    assert (late.status, late.failure.message) == (Verdict.ERROR, "the run was stopped")
    assert servers(bench) == []
