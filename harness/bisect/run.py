"""A bisection on the real store: what stands between the command line and the pure parts."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from harness.bisect.bisector import Bisector, Hinter
from harness.bisect.command import run_command
from harness.bisect.hints import around, hint_for
from harness.bisect.journal import CellQuestion, Journal, Notebook, Question, Step
from harness.bisect.lookahead import GRACE_S, Lookahead, ThreadJob, Wanted
from harness.bisect.progress import Reporter
from harness.bisect.summary import Summary, summarise
from harness.bisect.tester import LiveTester, Predicate, recorded
from harness.bisect.trial import Outcome, Signature, Trial, judge
from harness.builds import Catalogue, Store
from harness.builds.catalogue import is_compiled
from harness.cells.running import run_cell
from harness.cells.workbench import open_workbench
from harness.errors import HarnessError, SubjectError
from harness.flags.capabilities import CapabilitiesDiff, diff, probe
from harness.model import Cell
from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.subjects import open_subject
from harness.terminal import Progress

if TYPE_CHECKING:
    from pathlib import Path


def go_on(
    journal: Journal,
    *,
    store: Store,
    reporter: Reporter,
    progress: Progress,
    lookahead: bool = True,
) -> Summary:
    """Bisect to the end, from wherever the journal stands.

    Args:
        journal: Taken for writing here.
        store: Where builds are and go.
        reporter: Is told what goes on.
        progress: Shows acquisitions.
        lookahead: Whether to acquire ahead.

    Raises:
        HarnessError: There is no answer; the message says why.
    """
    catalogue = Catalogue(builds=journal.question.definitions)
    with (
        _open_predicate(journal.question, catalogue, store) as predicate,
        journal,
        _lookahead(catalogue, store, progress, enabled=lookahead) as ahead,
    ):
        tester = LiveTester(
            predicate=predicate,
            lookahead=ahead,
            stored=lambda wanted: _is_stored(wanted, catalogue, store),
            reporter=reporter,
        )
        hint = _hinter(journal.question, reporter) if journal.question.atlas else None
        finding = Bisector(journal, tester, reporter, hint).run()
        return summarise(finding, journal, _compare(catalogue, store))


def replay(journal: Journal, *, store: Store, reporter: Reporter) -> Summary:
    """Show a journal again, testing and acquiring nothing.

    Raises:
        BisectionError: The journal is not finished.
    """
    notebook = Notebook(journal.question)
    finding = Bisector(notebook, recorded(journal.steps), reporter).run()
    catalogue = Catalogue(builds=journal.question.definitions)
    return summarise(finding, notebook, _compare(catalogue, store))


def _hinter(question: Question, reporter: Reporter) -> Hinter:
    def hint(step: Step) -> tuple[str, ...]:
        found = hint_for(step, question.builds)
        builds = around(found, question.builds) if found else ()
        if found:
            reporter.hinted(found.why, builds)
        return builds

    return hint


@contextmanager
def _open_predicate(question: Question, catalogue: Catalogue, store: Store) -> Iterator[Predicate]:
    """Make ready what the question needs; what was started under it ends with it."""
    asked = question.predicate
    if isinstance(asked, CellQuestion):
        with (
            open_workbench(catalogue=catalogue, store=store, share_launches=False) as workbench,
            _owned_by(workbench.owner),
        ):

            def of_cell(trial: Trial, anchor: Signature | None) -> Outcome:
                cell = Cell(
                    build=trial.build,
                    subject=trial.subject,
                    environment=asked.environment,
                    request=asked.request,
                )
                return judge(run_cell(cell, workbench), anchor, asked.check)

            yield of_cell
        return

    def of_command(trial: Trial, _: Signature | None) -> Outcome:
        build = store.acquire(catalogue.get(trial.build))
        return run_command(asked, trial, build, os.environ)

    with Reaper() as reaper, _owned_by(reaper.token):
        yield of_command


@contextmanager
def _owned_by(token: str) -> Iterator[None]:
    """Let the reaper know compilers and commands too: they inherit this process's variables."""
    before = os.environ.get(OWNER_VARIABLE)
    os.environ[OWNER_VARIABLE] = token
    try:
        yield
    finally:
        if before is None:
            del os.environ[OWNER_VARIABLE]
        else:
            os.environ[OWNER_VARIABLE] = before


def _is_stored(wanted: Wanted, catalogue: Catalogue, store: Store) -> bool:
    """Whether a point costs nothing to acquire."""
    if wanted.axis == "build":
        return store.find(catalogue.get(wanted.id)) is not None
    kind, versioned, version = wanted.id.partition("==")
    if not versioned or kind != "unsloth":
        return True
    from harness.subjects.unsloth_install import backend_of_version

    def refuse(arguments: Sequence[str]) -> None:
        raise SubjectError(f"not fetched yet: pip {arguments[0]}")

    try:
        backend_of_version(version, pip=refuse)
    except SubjectError:
        return False
    return True


@contextmanager
def _lookahead(
    catalogue: Catalogue, store: Store, progress: Progress, *, enabled: bool
) -> Iterator[Lookahead]:
    work = _Acquisitions(catalogue, store, progress)
    try:
        with Lookahead(
            work.start, exclusive=work.exclusive, fetch=work.fetch, enabled=enabled
        ) as ahead:
            yield ahead
    finally:
        work.remove_archives()


class _Acquisitions:
    """Begins what the look-ahead wants."""

    def __init__(self, catalogue: Catalogue, store: Store, progress: Progress) -> None:
        self._catalogue = catalogue
        self._store = store
        self._progress = progress
        self._fetches: dict[Wanted, ThreadJob] = {}
        self._archives: dict[Wanted, Path] = {}

    def exclusive(self, wanted: Wanted) -> bool:
        """Whether it is compiled."""
        build = wanted.axis == "build"
        return build and is_compiled(self._catalogue.get(wanted.id).sources[0])

    def start(self, wanted: Wanted) -> ThreadJob:
        """Begin to acquire it."""
        grace_s = GRACE_S if self.exclusive(wanted) else 0.0
        return ThreadJob(lambda cancelled: self._acquire(wanted, cancelled), grace_s=grace_s)

    def fetch(self, wanted: Wanted) -> ThreadJob:
        """Begin to download what it will be compiled from."""
        self._fetches[wanted] = ThreadJob(lambda cancelled: self._fetch(wanted, cancelled))
        return self._fetches[wanted]

    def remove_archives(self) -> None:
        """Remove what was downloaded for points that were not tested."""
        for wanted, archive in self._archives.items():
            with self._store.try_lock(wanted.id) as locked:
                if locked:  # else another process compiles from it
                    archive.unlink(missing_ok=True)

    def _acquire(self, wanted: Wanted, cancelled: threading.Event) -> None:
        if wanted.axis == "subject":
            with open_subject(wanted.id):
                return
        if begun := self._fetches.get(wanted):
            with suppress(HarnessError):  # it is fetched again, and the reason told
                begun.wait(cancelled)
        build = self._catalogue.get(wanted.id)
        self._store.acquire(build, progress=self._progress, cancelled=cancelled)

    def _fetch(self, wanted: Wanted, cancelled: threading.Event) -> None:
        build = self._catalogue.get(wanted.id)
        archive = self._store.fetch(build, progress=self._progress, cancelled=cancelled)
        if archive is not None:
            self._archives[wanted] = archive


def _compare(catalogue: Catalogue, store: Store) -> Callable[[str, str], CapabilitiesDiff | None]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}

    def compare(older: str, newer: str) -> CapabilitiesDiff | None:
        found = [store.find(catalogue.get(each)) for each in (older, newer)]
        try:
            before, after = (
                probe(each.binary, {**inherited, **each.env}) for each in found if each is not None
            )
        except (HarnessError, ValueError):
            # The answer stands without it: a build may have left the store, or not have --help.
            return None
        return diff(before, after)

    return compare
