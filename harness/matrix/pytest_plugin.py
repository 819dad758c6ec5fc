"""Cells as pytest items, so that ``-k``, ``-n``, ``--lf`` and JUnit work on them."""

import json
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest

from harness.builds import Catalogue, load_catalogue
from harness.cells.flakes import RETRIES, run_settled
from harness.cells.names import cell_id
from harness.cells.running import error_result
from harness.cells.workbench import Workbench, open_workbench
from harness.config.configuration import load_configuration
from harness.errors import (
    EXIT_CANNOT_TELL,
    EXIT_FAIL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    HarnessError,
)
from harness.matrix.axes import select_cells
from harness.matrix.executor_names import LOCAL, dask_address
from harness.matrix.judgement import Judgement, judge_run
from harness.matrix.kept import KeptResults
from harness.matrix.options import SELECTION_OPTIONS, selection_from
from harness.model import Cell, CellResult, FailureKind, Verdict
from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.report.jsonl import JsonLinesWriter, decode_result, encode_result
from harness.report.outline import verdict_status
from harness.verdicts.ledger import Ledger, load_ledger
from harness.verdicts.proposals import as_toml, propose_entries

NODE: Final = Path(__file__).with_name("matrix")
"""The file whose items the cells are; it only gives them a name."""

_RESULT: Final = "llama_harness_result"
"""A report's attribute with the result, on its way from a worker to the reporter."""
_STATUS: Final = "llama_harness_status"
_COUNTED: Final = object()
"""Stands for each report that was let go."""
_CATALOGUE: Final = pytest.StashKey[Catalogue]()
_LEDGER: Final = pytest.StashKey[Ledger]()
_BAD: Final = frozenset({Verdict.FAIL, Verdict.ERROR, Verdict.FLAKY})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the selection of cells, and the file for the results."""
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
    """Take up the plugin's two halves: running cells, and reporting them."""
    file = config.getoption("matrix_ledger")
    try:
        catalogue = config.stash[_CATALOGUE] = load_catalogue()
        config.stash[_LEDGER] = load_ledger(catalogue, Path(file) if file else None)
        address = dask_address(config.getoption("matrix_executor"))
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(CellRunner(config), "llama-harness-runner")
    config.pluginmanager.register(Forgetter(config), "llama-harness-forgetter")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(CellReporter(config), "llama-harness-reporter")
    if config.getoption("numprocesses", None):
        config.pluginmanager.register(WorkerGuard(), "llama-harness-guard")
    if address is not None:
        config.pluginmanager.register(ClusterLoop(address), "llama-harness-cluster")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the cells where pytest comes upon the file that stands for them."""
    if file_path == NODE:
        collector: CellCollector = CellCollector.from_parent(parent, path=file_path)
        return collector
    return None


class CellFailed(Exception):  # noqa: N818 - an outcome, not an error of the harness
    """A cell whose verdict is not a good one."""

    def __init__(self, result: CellResult) -> None:
        super().__init__(result.status.value)
        self.result = result


class CellCollector(pytest.File):
    """All selected cells."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each cell."""
        try:
            cells = _selected_cells(self.config)
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error
        for cell in cells:
            yield CellItem.from_parent(self, name=cell_id(cell), cell=cell)


class CellItem(pytest.Item):
    """One cell."""

    def __init__(self, *, cell: Cell, **rest: Any) -> None:
        super().__init__(**rest)
        assert self.parent is not None
        # Nobody adds keywords to a cell, and thousands of empty sets are a megabyte.
        self.extra_keyword_matches = self.parent.extra_keyword_matches
        self.cell = cell
        self.found: CellResult | None = None
        """What the cell came to where it ran elsewhere."""
        self.result: CellResult | None = None

    def runtest(self) -> None:
        """Run the cell."""
        runner = self.config.pluginmanager.get_plugin("llama-harness-runner")
        assert isinstance(runner, CellRunner)
        self.result = runner.run(self.cell) if self.found is None else runner.judge(self.found)
        self.found = None
        if self.result.status in _BAD:
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


class CellRunner:
    """Owns the workbench of one pytest process, opened with the first cell."""

    def __init__(self, config: pytest.Config) -> None:
        self._retries: int = config.getoption("matrix_retries")
        self._unavailable: dict[str, str] = json.loads(config.getoption("matrix_unavailable"))
        self._catalogue = config.stash[_CATALOGUE]
        self._ledger = config.stash[_LEDGER]
        self._resources = ExitStack()
        self._workbench: Workbench | None = None

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
            bench = open_workbench(catalogue=self._catalogue, unavailable=self._unavailable)
            self._workbench = self._resources.enter_context(bench)
        return self._workbench

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send the result along with the report, across xdist's workers too."""
        report = yield
        if report.when == "call" and isinstance(item, CellItem) and item.result is not None:
            setattr(report, _RESULT, encode_result(item.result).decode())
            setattr(report, _STATUS, item.result.status.value)
            item.result = None
        return report

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Give back everything, and let the reaper look for what an interrupt left half started."""
        self._resources.__exit__(excinfo.type, excinfo.value, excinfo.tb)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Give back everything."""
        self._resources.close()


class Forgetter:
    """Lets go of reports that nobody is going to ask for; pytest keeps each to its end.

    Those of set-up and tear-down are of no use, those of good cells only count, unless the user
    has asked for durations or for a list of them. A worker shows none at all.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_worker = hasattr(config, "workerinput")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Look at a report when everybody else has."""
        yield
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        terminal.stats.get("", []).clear()
        option = self._config.option
        unasked = option.durations is None and option.reportchars == "N"
        if self._is_worker or (report.passed and unasked):
            for reports in terminal.stats.values():
                if reports and reports[-1] is report:
                    reports[-1] = _COUNTED


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


class ClusterLoop:
    """Runs the cells on a Dask cluster, and reports each as it ends."""

    def __init__(self, address: str) -> None:
        self._address = address

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Take the place of pytest's own loop."""
        if session.testsfailed or session.config.option.collectonly:
            return None
        from harness.matrix.dask_executor import dask_results

        config = session.config
        items = [item for item in session.items if isinstance(item, CellItem)]
        try:
            with dask_results(
                self._address,
                [item.cell for item in items],
                catalogue=config.stash[_CATALOGUE],
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


class CellReporter:
    """Collects the results, writes them as they come, and shows them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        path = config.getoption("matrix_jsonl")
        self._config = config
        try:
            self._writer = JsonLinesWriter(Path(path)) if path else None
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error
        self._kept = KeptResults()
        self._cut_short = False

    @property
    def results(self) -> list[CellResult]:
        """What the cells came to, in the order they ended, without the witnesses' evidence."""
        return self._kept.results

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Keep a result, and write it at once."""
        encoded = vars(report).pop(_RESULT, None)
        result = decode_result(encoded.encode()) if encoded else self._crashed(report)
        if result is not None:
            self._kept.add(result)
            if self._writer is not None:
                try:
                    self._writer.write(result)
                except HarnessError as error:
                    self._cut_short = True
                    pytest.exit(str(error), returncode=EXIT_CANNOT_TELL)
        yield

    def _crashed(self, report: pytest.TestReport) -> CellResult | None:
        """The result of a cell whose worker died; xdist reports it as of no phase."""
        if report.when in {"setup", "call", "teardown"}:
            return None
        name = report.nodeid.rpartition("::")[2]
        if any(result.id == name for result in self.results):
            return None
        cell = next(cell for cell in _selected_cells(self._config) if cell_id(cell) == name)
        message = "the worker process that ran it died; every other cell goes on in a new one"
        setattr(report, _STATUS, Verdict.ERROR.value)
        report.longrepr = message
        return error_result(cell, FailureKind.HARNESS, message)

    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Tell degraded, known and error apart from passed and failed."""
        status = getattr(report, _STATUS, None)
        if status is None:
            return None
        match Verdict(status):
            case Verdict.DEGRADED:
                return "degraded", "d", ("DEGRADED", {"yellow": True})
            case Verdict.KNOWN:
                return "known", "k", ("KNOWN", {"yellow": True})
            case Verdict.ERROR:
                return "error", "E", ("ERROR", {"red": True})
            case Verdict.FLAKY:
                return "flaky", "~", ("FLAKY", {"red": True})
            case Verdict.PASS | Verdict.FAIL:
                return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: Any, exitstatus: int
    ) -> Generator[None, None, None]:
        """Show the table last, its rows in the order of the selection, however workers dealt."""
        for report in chain.from_iterable(terminalreporter.stats.values()):
            if hasattr(report, _STATUS) and hasattr(report, "node"):
                # Above each failure it would name the worker, its Python and its platform.
                del report.node
        yield
        if self.results:
            self._summarise(terminalreporter, self._status(exitstatus))

    def _summarise(self, terminalreporter: Any, status: int) -> None:
        from harness.report.differential import print_differences
        from harness.report.table import print_tables

        cells = _selected_cells(self._config)
        place = {cell_id(cell): number for number, cell in enumerate(cells)}
        terminalreporter.section("llama-harness matrix")
        stream = terminalreporter._tw._file
        results = sorted(self.results, key=lambda result: place[result.id])
        print_tables(results, stream)
        print_differences(results, stream)
        for line in self._judgement.lines():
            terminalreporter.write_line(line)
        if self._config.getoption("matrix_ledger_update"):
            for line in self._proposal():
                terminalreporter.write_line(line)
        why = self._why(status)
        if why:
            terminalreporter.write_line(f"exit status {status}: {why}")

    def _why(self, status: int) -> str:
        """What an exit status is for, where pytest's last line would not say it."""
        if status == EXIT_FAIL and verdict_status(self.results) != EXIT_FAIL:
            return self._judgement.complaint
        if self._cut_short:
            return "the results cannot be written; only the cells that had run are shown"
        if status == EXIT_CANNOT_TELL:
            return "no cell fails, but of some the harness could not tell (error or flaky)"
        if status == EXIT_INTERRUPTED:
            return "interrupted; only the cells that had run are shown"
        return ""

    @cached_property
    def _judgement(self) -> Judgement:
        """Asked for when all cells have run."""
        stash = self._config.stash
        return judge_run(self.results, stash[_CATALOGUE], stash[_LEDGER])

    def _proposal(self) -> Iterator[str]:
        ledger = self._config.stash[_LEDGER]
        proposed = propose_entries(self.results, ledger)
        if not proposed:
            yield "no cell fails: there is nothing to propose for the ledger"
            return
        yield (
            f"proposed for {ledger.file}, which is not changed; to accept an entry, copy it there "
            "and give it a reason and a link:"
        )
        for entry in proposed:
            yield from ("", *as_toml(entry).splitlines())
        yield ""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """End with the exit code of the verdicts."""
        yield
        if self._writer is not None:
            self._writer.close()
        session.exitstatus = self._status(exitstatus)
        if self._cut_short:
            # pytest leaves the summary out; what was found must not be lost with the file.
            terminal = session.config.pluginmanager.get_plugin("terminalreporter")
            self._summarise(terminal, session.exitstatus)

    def _status(self, exitstatus: int) -> int:
        """The exit status that cells, relations and ledger call for, given pytest's."""
        status = _exit_code(self.results, exitstatus)
        return EXIT_FAIL if status == EXIT_OK and not self._judgement.holds else status


def _selected_cells(config: pytest.Config) -> tuple[Cell, ...]:
    return select_cells(selection_from(vars(config.option)), config.stash[_CATALOGUE])


def _exit_code(results: list[CellResult], exitstatus: int) -> int:
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        return EXIT_INTERRUPTED
    if exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return exitstatus
    status = verdict_status(results)
    if status == EXIT_OK and exitstatus == pytest.ExitCode.TESTS_FAILED:
        return EXIT_CANNOT_TELL
    return status
