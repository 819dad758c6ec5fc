"""The cells that a mutant must change: good ones that must stay good, bad ones that must stay bad.

What a cell shows is its verdict, the checks that fail and the witnesses that speak. A mutant is
killed by the first cell that shows anything else than it does without the mutant.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from harness.cells.names import cell_id
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.environments import detect_host
from harness.model import Cell, CellResult, HostProfile, LoadRequest, Verdict
from harness.subjects import Subject
from harness.subjects.reference import generator
from harness.subjects.reference.generator import ReferenceSubject
from tests.mutants.plans import PROBES, ChangedPlan

BUILDS: Final = ("b9246", "emulated-legacy-mtp", "b8929", "b11434", "b9093")
SOME_REQUESTS_ON: Final = ("emulated-legacy-mtp-one-type", "py0.3.16")
"""Builds that matter where they lack what the others have."""
ENVIRONMENTS: Final = ("cpu", "cuda-spoof")
OWN_FLAGS: Final = ("--spec-type", "ngram-simple")

CHAIN_SPELLING: Final = "chain-spelling"
WITNESS_COVERAGE: Final = "witness-coverage"
WITNESSES_AGREE: Final = "witnesses-agree"
SUBJECT_ANSWERS: Final = "subject-answers"

_MTP: Final = "tiny-mtp"
_LLAMA: Final = "tiny-llama"

REQUESTS: Final = (
    *(
        LoadRequest(model=_MTP, mode=mode, draft_n_max=length)
        for mode in ("mtp", "mtp+ngram", "auto")
        for length in (5, None)
    ),
    *(
        LoadRequest(model=_MTP, mode=mode, draft_n_max=5)
        for mode in (
            "ngram", "ngram-simple", "off", "none", "disable", "disabled", "draft-mtp", "ngram-mod",
            " mtp ", "MTP", "ngram-mod,draft-mtp", None,
        )
    ),
    *(LoadRequest(model=_LLAMA, mode=mode) for mode in ("draft", "auto", "mtp", "mtp+ngram")),
    LoadRequest(model=_LLAMA, mode="draft", draft_n_max=5),
    LoadRequest(model=_LLAMA, mode="off", draft_n_max=16),
    LoadRequest(model="tiny-mtp-1b", mode="auto"),
    LoadRequest(model=_MTP, mode="mtp", draft_n_max=5, extra_args=OWN_FLAGS),
    LoadRequest(model=_MTP, mode="mtp", draft_n_max=16),
)  # fmt: skip


SOME_MODES: Final = ("mtp", "ngram", "mtp+ngram", "auto")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a cell shows.

    Attributes:
        speaking: The witnesses that speak.
        complaint: Kind of the failure where the harness could not tell.
        types: What ``--spec-type`` is given.
    """

    verdict: Verdict
    failed: frozenset[str]
    speaking: frozenset[str]
    complaint: str = ""
    types: str = ""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """What killed a mutant.

    Attributes:
        check: The check's name.
        cell: The cell's id.
    """

    check: str
    cell: str


@dataclass(kw_only=True)
class Panel:
    """All cells, what they show without any mutant, and the launches they share."""

    bench: Workbench
    baseline: dict[str, Shown] = field(default_factory=dict)
    hosts: dict[tuple[tuple[str, str], ...], HostProfile] = field(default_factory=dict)

    def cells(self) -> tuple[Cell, ...]:
        """The good cells."""
        return tuple(
            Cell(build=build, subject="reference", environment=environment, request=request)
            for builds, requests in (
                (BUILDS, REQUESTS),
                (
                    SOME_REQUESTS_ON,
                    [one for one in REQUESTS if one.mode in SOME_MODES and not one.extra_args],
                ),
            )
            for build in builds
            for environment in ENVIRONMENTS
            for request in requests
        )

    def probes(self) -> tuple[Cell, ...]:
        """The bad cells: each plan is broken in one way that some check is there to catch."""
        return tuple(
            Cell(build=build, subject=f"probe:{name}", environment="cpu", request=probe.request)
            for name, probe in PROBES.items()
            for build in probe.builds
        )

    def record(self) -> None:
        """See what every cell shows now."""
        subject = ReferenceSubject()
        for cell in (*self.cells(), *self.probes()):
            self.baseline[self._key(cell)] = shown(self.run(cell, subject))

    def run(self, cell: Cell, subject: Subject) -> CellResult:
        """Run one cell with a subject of the caller's."""
        if cell.subject.startswith("probe:"):
            subject = ChangedPlan(subject, PROBES[cell.subject.removeprefix("probe:")].change)
        bench = replace(self.bench, _subjects={cell.subject: subject})
        with self._remembered_hosts():
            return run_cell(cell, bench)

    def kill(self, subject: Subject, *, first: Sequence[str] = ()) -> Kill | None:
        """The first cell that shows something else.

        Args:
            subject: What plans, in place of the reference.
            first: Parts of the ids of the cells to begin with.
        """
        for cell in self._ordered(first):
            before = self.baseline[self._key(cell)]
            after = shown(self.run(cell, subject))
            if before != after:
                return Kill(check=_difference(before, after), cell=cell_id(cell))
        return None

    def failing(self, subject: Subject, build: str) -> set[str]:
        """Every check that fails in the good cells of a build, without a GPU."""
        return {check for one in self.shows(build, subject).values() for check in one.failed}

    def shows(self, build: str, subject: Subject | None = None) -> dict[str, Shown]:
        """What the good cells of a build show now, without a GPU."""
        return {
            self._key(cell): shown(self.run(cell, subject or ReferenceSubject()))
            for cell in self.cells()
            if cell.build == build and cell.environment == "cpu"
        }

    def _ordered(self, first: Sequence[str]) -> list[Cell]:
        everything = (*self.cells(), *self.probes())
        return sorted(
            everything, key=lambda cell: not any(part in self._key(cell) for part in first)
        )

    def _key(self, cell: Cell) -> str:
        return f"{cell_id(cell)} {cell.request.model} {cell.request.mode!r}"

    @contextmanager
    def _remembered_hosts(self) -> Iterator[None]:
        # Asking nvidia-smi costs more than all the rest of a remembered cell.
        def remembered(env: Mapping[str, str]) -> HostProfile:
            key = tuple(sorted(env.items()))
            if key not in self.hosts:
                self.hosts[key] = detect_host(env)
            return self.hosts[key]

        with patched(generator, "detect_host", remembered):
            yield


def shown(result: CellResult) -> Shown:
    """What a result shows."""
    failure = result.failure
    return Shown(
        verdict=result.status,
        failed=frozenset(check.name for check in result.checks if not check.ok),
        speaking=frozenset(one.witness for one in result.witnesses if one.speaks),
        complaint=failure.kind.value if failure and result.status is Verdict.ERROR else "",
        types=",".join(
            value
            for flag, value in zip(result.argv, result.argv[1:], strict=False)
            if flag == "--spec-type"
        ),
    )


def _difference(before: Shown, after: Shown) -> str:
    changed = before.failed ^ after.failed
    if changed:
        return min(changed)
    if after.complaint == "subject":
        return SUBJECT_ANSWERS
    if after.verdict is Verdict.ERROR:
        return WITNESSES_AGREE
    if before.verdict is not after.verdict:
        return f"verdict-{before.verdict}"
    return WITNESS_COVERAGE if before.speaking != after.speaking else CHAIN_SPELLING


@contextmanager
def patched(owner: Any, name: str, value: object) -> Iterator[None]:
    """Replace an attribute for a while."""
    before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
