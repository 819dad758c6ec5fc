"""The results of a run: written as they come, shown at the end, told by the exit status."""

import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest

from harness.builds import Catalogue
from harness.cells.running import error_result
from harness.errors import (
    EXIT_CANNOT_TELL,
    EXIT_FAIL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    HarnessError,
)
from harness.matrix.judgement import Judgement, judge_run
from harness.matrix.progress import RunProgress
from harness.matrix.runner import DIFFERING, NOTES, RESULT
from harness.model import BAD, Cell, CellResult, FailureKind
from harness.report.jsonl import JsonLinesWriter
from harness.report.junit import write_junit
from harness.report.order import in_reading_order
from harness.report.outline import LOOKS, verdict_status
from harness.verdicts.ledger import Ledger
from harness.verdicts.proposals import as_toml, propose_entries

_NOT_BY_PYTEST: Final = "no"
"""The style of tracebacks by which pytest lists no failures; the command asks for it."""


class CellReporter:
    """Collects the results, writes them as they come, and shows them at the end.

    Raises:
        UsageError: A file that is asked for cannot be written.
    """

    def __init__(
        self, config: pytest.Config, cells: Mapping[str, Cell], catalogue: Catalogue, ledger: Ledger
    ) -> None:
        jsonl, junit = config.getoption("matrix_jsonl"), config.getoption("matrix_junit")
        self._proposes: bool = config.getoption("matrix_ledger_update")
        self._config = config
        self._cells = cells
        self._progress = RunProgress()
        self._catalogue = catalogue
        self._ledger = ledger
        self.results: list[CellResult] = []
        """What the cells came to, in the order they ended."""
        self._planned = Counter[str]()
        self._differing: list[str] = []
        self._junit = Path(junit) if junit else None
        self._write_junit()
        self._writer = JsonLinesWriter(Path(jsonl)) if jsonl else None
        self._cut_short = False
        self._ended_by: type[BaseException] | None = None
        self._ending = (EXIT_OK, "")
        """The exit status, and what it is for where pytest's last line would not say it."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn what will run."""
        self._will_run(item.name for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Learn it from a worker, each of which collects all."""
        self._will_run(name.rpartition("::")[2] for name in ids)

    def _will_run(self, names: Iterable[str]) -> None:
        if not self._progress.begun:  # a worker in place of one that died collects anew
            self._progress = RunProgress(self._cells[name] for name in names if name in self._cells)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Keep a result, and write it at once."""
        if report.when not in {"setup", "call", "teardown"}:
            self._crashed(report)
        notes = {**getattr(report, NOTES, {})}
        self._differing += notes.pop(DIFFERING, ())
        self._planned.update(notes)
        result = getattr(report, RESULT, None)
        if result is not None:
            self.results.append(result)
            self._progress.saw(result)
            if self._writer is not None:
                try:
                    self._writer.write(result)
                except HarnessError as error:
                    self._cut_short = True
                    pytest.exit(str(error), returncode=EXIT_CANNOT_TELL)
        yield
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        terminal.stats.pop("", None)  # setups and teardowns that went well, kept for nobody
        if terminal.verbosity >= 0 and (line := self._progress.due()):
            terminal.write(f"\n{line}\n")

    def _crashed(self, report: pytest.TestReport) -> None:
        """Give a cell whose worker died a result; xdist reports it as of no phase."""
        name = report.nodeid.rpartition("::")[2]
        if all(result.id != name for result in self.results):
            message = "the worker process that ran it died; every other cell goes on in a new one"
            report.longrepr = message
            result = error_result(self._cells[name], FailureKind.HARNESS, message)
            setattr(report, RESULT, result)

    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Tell degraded, known and error apart from passed and failed."""
        result: CellResult | None = getattr(report, RESULT, None)
        letter = LOOKS[result.status].letter if result else ""
        if result is None or not letter:
            return None
        word, colour = result.status.value, "red" if result.status in BAD else "yellow"
        return word, letter, (word.upper(), {colour: True})

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell a user's interrupt from the end that ``--maxfail`` or ``--sw`` makes of a run."""
        self._ended_by = excinfo.type

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """Complete the files, and end with the exit status of the verdicts."""
        if self._writer is not None:
            self._writer.close()
        try:
            self._ending = self._end(exitstatus)
            self._write_junit()
        except HarnessError as error:
            self._ending = (EXIT_CANNOT_TELL, str(error))
        yield
        session.exitstatus = self._ending[0]
        if self._cut_short:
            # pytest leaves the summary out; what was found must not be lost with the file.
            self._summarise(session.config.pluginmanager.get_plugin("terminalreporter"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Show the table last, its rows in the order of the selection, however workers dealt."""
        for report in chain.from_iterable(terminalreporter.stats.values()):
            if hasattr(report, RESULT) and hasattr(report, "node"):
                # Above each failure it would name the worker, its Python and its platform.
                del report.node
        yield
        if self._config.getoption("tbstyle") == _NOT_BY_PYTEST:
            self._show_bad(terminalreporter)
        if self.results:
            self._summarise(terminalreporter)

    def _show_bad(self, terminalreporter: Any) -> None:
        """What pytest would list cell by cell, each signature once; bugs of the harness in full."""
        from harness.report.alike import describe_bad

        bugs = [
            report
            for kind in ("error", "failed")
            for report in terminalreporter.stats.get(kind, ())
            if not hasattr(report, RESULT)
        ]
        for report in bugs:
            terminalreporter.section(getattr(report, "nodeid", ""))
            terminalreporter.write_line(report.longreprtext)
        lines = [*describe_bad(self._sorted())]
        if lines:
            terminalreporter.section("failures")
        for line in lines:
            terminalreporter.write_line(line)

    def _sorted(self) -> Sequence[CellResult]:
        """The results in the order of the selection."""
        place = {name: number for number, name in enumerate(self._cells)}
        return sorted(self.results, key=lambda result: place[result.id])

    def _write_junit(self) -> None:
        """Write the JUnit file, if one is asked for.

        At the start of a run there is nothing to put into it: then it replaces that of an earlier
        run, and a place that cannot be written is told before the first cell.
        """
        if self._junit is not None:
            builds = [build.id for build in self._catalogue.builds]
            write_junit(in_reading_order(self.results, builds), self._junit)

    def _end(self, exitstatus: int) -> tuple[int, str]:
        """What cells, relations and ledger call for, given pytest's exit status."""
        if self._cut_short:
            return (
                exitstatus,
                "the results cannot be written; only the cells that had run are shown",
            )
        if self._ended_by is KeyboardInterrupt:
            return EXIT_INTERRUPTED, "interrupted; only the cells that had run are shown"
        had_enough = self._ended_by is not None and issubclass(self._ended_by, KeyboardInterrupt)
        if not had_enough and exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            return exitstatus, ""
        status, why = self._end_of_all()
        if status == EXIT_OK and exitstatus == pytest.ExitCode.TESTS_FAILED:
            return EXIT_CANNOT_TELL, "no cell fails, but the harness itself did"
        return status, why

    def _end_of_all(self) -> tuple[int, str]:
        """The same where every cell ran."""
        status = verdict_status(result.status for result in self.results)
        if self._differing and self._remembered:
            differing, remembered = ", ".join(self._differing), len(self._remembered)
            why = (
                f"{differing} came out otherwise than remembered: all remembered verdicts are "
                f"forgotten, but {remembered} of this run were such; run it again"
            )
            return EXIT_CANNOT_TELL, why
        if status == EXIT_FAIL:
            return status, ""
        if status == EXIT_CANNOT_TELL:
            why = "no cell fails, but of some the harness could not tell (error or flaky)"
            return EXIT_CANNOT_TELL, why
        return (status, "") if self._judgement.holds else (EXIT_FAIL, self._judgement.complaint)

    @property
    def _remembered(self) -> Sequence[CellResult]:
        """The results that earlier runs found."""
        return [result for result in self.results if result.remembered]

    @cached_property
    def _judgement(self) -> Judgement:
        """Asked for when all cells have run."""
        return judge_run(self.results, self._catalogue, self._ledger)

    def _summarise(self, terminalreporter: Any) -> None:
        from harness.report.differential import print_differences
        from harness.report.table import print_tables

        terminalreporter.section("llama-harness matrix")
        results = self._sorted()
        print_tables(results, sys.stdout)
        print_differences(results, sys.stdout)
        status, why = self._ending
        for line in (
            *self._memory_lines(),
            *self._judgement.lines(),
            *(self._proposal() if self._proposes else ()),
            *([f"exit status {status}: {why}"] if why else []),
        ):
            terminalreporter.write_line(line)

    def _memory_lines(self) -> Iterator[str]:
        if self._planned:
            yield (
                f"plans: {self._planned['remembered']} remembered, {self._planned['made']} made; "
                "--fresh forgets"
            )
        for name in self._differing:
            yield f"{name} came out otherwise than remembered"

    def _proposal(self) -> Iterator[str]:
        proposed = propose_entries(self.results, self._ledger)
        if not proposed:
            yield "no cell fails: there is nothing to propose for the ledger"
            return
        yield (
            f"proposed for {self._ledger.file}, which is not changed; to accept an entry, copy it "
            "there and give it a reason and a link:"
        )
        for entry in proposed:
            yield from ("", *as_toml(entry).splitlines())
        yield ""
