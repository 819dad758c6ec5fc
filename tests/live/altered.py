"""A subject that is the reference subject but for one change to its command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.model import Cell, CellResult, Check, LaunchPlan, LaunchTarget, LoadRequest
from harness.subjects.reference import ReferenceSubject

Argv = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Altered:
    name: str
    alter: Callable[[Argv], Argv] = lambda argv: argv
    instead: LoadRequest | None = None
    """What the reference subject is asked for in place of what was requested."""
    env: Mapping[str, str] = field(default_factory=dict)
    reference: ReferenceSubject = field(default_factory=ReferenceSubject)

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        plan = self.reference.plan(self.instead or request, target)
        return replace(plan, argv=self.alter(plan.argv), env=self.env)


def run(workbench: Workbench, build: str, request: LoadRequest, subject: Altered) -> CellResult:
    workbench.add_subject(subject)
    cell = Cell(build=build, subject=subject.name, environment="cpu", request=request)
    return run_cell(cell, workbench)


def adding(*words: str) -> Callable[[Argv], Argv]:
    return lambda argv: (*argv, *words)


def setting(flag: str, value: str) -> Callable[[Argv], Argv]:
    def alter(argv: Argv) -> Argv:
        place = argv.index(flag) + 1
        return (*argv[:place], value, *argv[place + 1 :])

    return alter


def without(*flags: str) -> Callable[[Argv], Argv]:
    """Takes flags away, each with its one value."""

    def alter(argv: Argv) -> Argv:
        for flag in flags:
            place = argv.index(flag)
            argv = (*argv[:place], *argv[place + 2 :])
        return argv

    return alter


def bad_checks(result: CellResult) -> dict[str, Check]:
    """The checks that failed, by name."""
    return {check.name: check for check in result.checks if not check.ok}
