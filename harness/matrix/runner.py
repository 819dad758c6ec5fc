"""Cells as pytest items, and the one runner of each pytest process that runs them."""

import json
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import pytest

from harness.builds import Catalogue
from harness.cells.flakes import run_settled
from harness.cells.qualification import open_store
from harness.cells.running import error_result
from harness.cells.workbench import Workbench, open_workbench
from harness.config.memory import FILE as MEMORY_FILE
from harness.config.memory import Memory
from harness.errors import HarnessError
from harness.matrix.reuse import Verdicts
from harness.model import BAD, Cell, CellResult, FailureKind
from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.report.jsonl import decode_result, encode_result
from harness.verdicts.ledger import Ledger

NODE: Final = Path(__file__).with_name("matrix")
"""The file whose items the cells are; it only gives them a name."""

RESULT: Final = "llama_harness_result"
"""The attribute of a report that holds the result of its cell."""

NOTES: Final = "llama_harness_notes"
"""The attribute that holds what was remembered: plans by number, and ``DIFFERING`` cells by id."""

DIFFERING: Final = "differing"


class CellFailed(Exception):  # noqa: N818 - an outcome, not an error of the harness
    """A cell whose verdict is not a good one."""

    def __init__(self, result: CellResult) -> None:
        super().__init__(result.status.value)
        self.result = result


class CellRunner:
    """Collects the cells, and owns the workbench that is opened with the first one run."""

    def __init__(
        self, config: pytest.Config, cells: Mapping[str, Cell], catalogue: Catalogue, ledger: Ledger
    ) -> None:
        self.cells = cells
        self._is_worker = hasattr(config, "workerinput")
        self._retries: int = config.getoption("matrix_retries")
        self._unavailable: dict[str, str] = json.loads(config.getoption("matrix_unavailable"))
        self._catalogue = catalogue
        self._ledger = ledger
        self._resources = ExitStack()
        self._workbench: Workbench | None = None
        self._fresh: bool = config.getoption("matrix_fresh")
        self._reuses: bool = config.getoption("matrix_reuse")
        self._verdicts: Verdicts | None = None

    def run(self, cell: Cell) -> CellResult:
        """Run a cell until its verdict is settled, and look it up in the ledger."""
        try:
            result = run_settled(cell, self.workbench(), retries=self._retries)
        except (HarnessError, OSError) as error:
            # A full disk, no more files or processes: nothing that a cell could be judged by.
            result = error_result(cell, FailureKind.HARNESS, f"the host refuses to run it: {error}")
        return self.judge(result)

    def judge(self, result: CellResult) -> CellResult:
        """Look a settled cell up in the ledger."""
        return self._ledger.judge(result)

    def workbench(self) -> Workbench:
        """The workbench."""
        if self._workbench is None:
            store = open_store()
            memory = self._resources.enter_context(closing(Memory(store.root / MEMORY_FILE)))
            if self._reuses:
                self._verdicts = Verdicts(memory=memory, fresh=self._fresh)
            bench = open_workbench(
                catalogue=self._catalogue,
                store=store,
                unavailable=self._unavailable,
                memory=memory,
                verdicts=self._verdicts,
                fresh=self._fresh,
            )
            self._workbench = self._resources.enter_context(bench)
        return self._workbench

    def notes(self) -> dict[str, Any]:
        """What was remembered since this was last asked for."""
        notes: dict[str, Any] = {}
        if self._workbench is not None and self._workbench.planned:
            notes |= self._workbench.planned
            self._workbench.planned.clear()
        if self._verdicts is not None and self._verdicts.differing:
            notes[DIFFERING] = [*self._verdicts.differing]
            self._verdicts.differing.clear()
        return notes

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        """Collect the cells where pytest comes upon the file that stands for them."""
        if file_path != NODE:
            return None
        collector: CellCollector = CellCollector.from_parent(parent, path=file_path, runner=self)
        return collector

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give the result to the report, and keep it nowhere else."""
        report = yield
        if report.when == "call" and isinstance(item, CellItem) and item.result is not None:
            setattr(report, RESULT, item.result)
            item.result = None
            if notes := self.notes():
                setattr(report, NOTES, notes)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, dict[str, Any], dict[str, Any]]:
        """Send the result along from a worker."""
        data = yield
        result: CellResult | None = data.get(RESULT)
        return data if result is None else {**data, RESULT: encode_result(result).decode()}

    @pytest.hookimpl(wrapper=True)
    def pytest_report_from_serializable(
        self,
    ) -> Generator[None, pytest.TestReport | None, pytest.TestReport | None]:
        """Read the result that a worker has sent."""
        report = yield
        encoded = getattr(report, RESULT, None)
        if encoded is not None:
            setattr(report, RESULT, decode_result(encoded.encode()))
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Let go of a result that was sent: a worker's own terminal keeps every report."""
        yield
        if self._is_worker:
            vars(report).pop(RESULT, None)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Give back everything, and let the reaper look for what an interrupt left half started."""
        self._resources.__exit__(excinfo.type, excinfo.value, excinfo.tb)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Give back everything."""
        self._resources.close()


class CellCollector(pytest.File):
    """All selected cells."""

    def __init__(self, *, runner: CellRunner, **rest: Any) -> None:
        super().__init__(**rest)
        self._runner = runner

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each cell."""
        for name, cell in self._runner.cells.items():
            yield CellItem.from_parent(self, name=name, cell=cell, runner=self._runner)


class CellItem(pytest.Item):
    """One cell.

    Attributes:
        found: What it came to where it ran elsewhere.
        result: What it came to, until its report has it.
    """

    def __init__(self, *, cell: Cell, runner: CellRunner, **rest: Any) -> None:
        super().__init__(**rest)
        self.cell = cell
        self._runner = runner
        self.found: CellResult | None = None
        self.result: CellResult | None = None

    def runtest(self) -> None:
        """Run the cell."""
        runner = self._runner
        self.result = runner.run(self.cell) if self.found is None else runner.judge(self.found)
        self.found = None
        if self.result.status in BAD:
            raise CellFailed(self.result)

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: Any = None,
    ) -> str | Any:
        """The failure as the report shows it; a traceback only for a bug of the harness."""
        from harness.report.failures import describe

        if isinstance(excinfo.value, CellFailed):
            return describe(excinfo.value.result)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the item is and what it is called."""
        return self.path, None, self.name


class WorkerGuard:
    """Ends this run's workers with the run; by themselves they would finish their cells first."""

    def __init__(self) -> None:
        self._reaper = Reaper()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Mark what this process starts from now on."""
        self._reaper.__enter__()
        os.environ[OWNER_VARIABLE] = self._reaper.token

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Let go; xdist has ended its workers."""
        os.environ.pop(OWNER_VARIABLE, None)
        self._reaper.__exit__(None, None, None)
