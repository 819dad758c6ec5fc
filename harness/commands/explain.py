"""``llama-harness explain``: the least of a command line that fails the same way."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.builds import load_catalogue
from harness.cells.least import Complaint, complaints_of, is_own, least_failing
from harness.cells.names import cell_id
from harness.cells.running import run_cell
from harness.cells.side_by_side import work_side_by_side
from harness.cells.workbench import Workbench, open_workbench
from harness.config.configuration import load_configuration
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, UsageError
from harness.flags.arguments import Argument
from harness.flags.diagnosis import diagnose_lack, diagnose_refusal, flags_of
from harness.gguf_models.fitting import fitting_model
from harness.matrix.axes import Selection, select_cells
from harness.matrix.configured import completed
from harness.matrix.options import SELECTION_OPTIONS, selection_from
from harness.model import (
    Cell,
    CellResult,
    DemandedBy,
    LoadRequest,
    Verdict,
)
from harness.settings.base import EFFECT
from harness.subjects import Subject, is_static
from harness.subjects.command_lines import CommandLine, line_of, words_of
from harness.subjects.given import read_given
from harness.terminal import note
from harness.verdicts.checks import STARTS

_STATIC_PROFILE: Final = "full"
"""The builds for one command line, as in ``check``."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A failure and the least that causes it.

    Attributes:
        cell: The cell's id; the build's, where nothing else tells the cells apart.
        build: The build's id.
        sentence: What is wrong, and the spelling that the build accepts where there is one.
        culprits: The arguments that are enough to fail in the same way.
        launches: How many command lines were tried, with the whole one.
    """

    cell: str
    build: str
    sentence: str
    culprits: tuple[Argument, ...]
    launches: int


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "explain",
        help="shrink a failing command line to the flags that make it fail",
        description="Runs the selected cells and says of each failing one which flags are enough "
        "to fail in the same way, what is wrong with them, and what the build accepts instead. "
        "A command line after --, or --subject argv:FILE, is judged by what it asks for itself.",
        epilog="Exit status: 0 nothing fails; 1 something does, and is explained; 3 the harness "
        "could not tell.",
    )
    for option in SELECTION_OPTIONS:
        parser.add_argument(f"--{option.name}", **option.arguments())
    parser.add_argument("--cell", metavar="ID", help="only the cell of that id")
    parser.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an environment variable of the command line",
    )
    parser.add_argument(
        "argv", nargs="*", metavar="ARGV", help="a file with command lines, or one after --"
    )
    parser.set_defaults(func=explain)


def explain(options: argparse.Namespace) -> int:
    """Explain every failing cell of the selection.

    Raises:
        HarnessError: The selection or the command line has no meaning.
    """
    catalogue, configuration = load_catalogue(), load_configuration()
    given = selection_from(vars(options))
    selection = completed(given, configuration, catalogue)
    named = given.profile or configuration.settings.profile
    static = replace(selection, profile=selection.profile if named else _STATIC_PROFILE)
    failing = untold = 0
    with open_workbench(catalogue=catalogue) as workbench:
        if options.argv or options.variable:
            names = []
            for one in read_given(options.argv, options.variable, "explain"):
                if one.line is None:
                    note(f"{one.name}: cannot be read: {one.unread}")
                    continue
                subject = one.subject()
                workbench.add_subject(subject)
                names.append(subject.name)
            cells = _static_cells(names, static, workbench)
        elif any(map(is_static, selection.subjects)):
            cells = _static_cells(selection.subjects, static, workbench)
        else:
            cells = select_cells(selection, catalogue)
        if options.cell:
            cells = tuple(cell for cell in cells if cell_id(cell) == options.cell)
            if not cells:
                raise UsageError(
                    f"no cell {options.cell!r} in this selection; `matrix --list` prints the ids"
                )
        printer = _Printer()
        for explanation in work_side_by_side(cells, workbench, explain_cell):
            if isinstance(explanation, CellResult):
                untold += explanation.status is Verdict.ERROR
                continue
            failing += 1
            printer.print(explanation)
    if failing:
        return EXIT_FAIL
    return EXIT_CANNOT_TELL if untold else EXIT_OK


def _static_cells(
    specs: Sequence[str], selection: Selection, workbench: Workbench
) -> tuple[Cell, ...]:
    """The cells of command lines that ask for the same whatever a load request says."""
    catalogue = workbench.catalogue
    builds = (
        catalogue.select(selection.builds)
        if selection.builds
        else catalogue.profile(selection.profile)
    )
    return tuple(
        Cell(
            build=build.id,
            subject=spec,
            environment=environment,
            request=LoadRequest(model=model, mode=None),
            demanded_by=DemandedBy.COMMAND_LINE,
        )
        for spec in specs
        for environment in selection.environments or ("cpu",)
        for model in selection.models or [_model_for(workbench.subject(spec))]
        for build in builds
    )


def _model_for(subject: Subject) -> str:
    return fitting_model(words_of(subject))


def explain_cell(cell: Cell, workbench: Workbench) -> Explanation | CellResult:
    """Why a cell fails; its result where it does not, or where nobody can tell."""
    result = run_cell(cell, workbench)
    found = complaints_of(result, cell)
    if not found:
        return result
    complaint = found[0]
    capabilities = workbench.capabilities(cell.build)
    subject = workbench.subject(cell.subject)
    line = line_of(subject, cell.build, cell.environment) or CommandLine(
        words=result.argv, env=result.env
    )
    least = least_failing(cell, result, line, complaint, workbench)
    if complaint.check == STARTS and result.failure is not None:
        number = workbench.catalogue.get(cell.build).upstream_number
        sentence = diagnose_refusal(
            line.words, result.failure, cell.build, capabilities, line.env, number=number
        )
    elif complaint.check == EFFECT:
        words = tuple(word for group in least.culprits for word in group.words)
        sentence = diagnose_lack(complaint.what, words, cell.build, capabilities)
    else:
        sentence = _contract_sentence(complaint, result, cell)
    return Explanation(
        cell=cell.build if is_own(cell) else cell_id(cell),
        build=cell.build,
        sentence=sentence,
        culprits=least.culprits,
        launches=least.launches,
    )


def _contract_sentence(complaint: Complaint, result: CellResult, cell: Cell) -> str:
    check = next(one for one in result.checks if one.name == complaint.check and not one.ok)
    return (
        f"{cell.build} with mode {cell.request.mode!r}: expected {check.expected}, "
        f"observed {check.observed}"
    )


class _Printer:
    """Prints explanations as they come; one that only names another build takes one line."""

    def __init__(self) -> None:
        self._last: object = None

    def print(self, explanation: Explanation) -> None:
        """Print one."""
        flags = flags_of(explanation.culprits) or "no flag at all"
        same = (explanation.sentence.replace(explanation.build, "BUILD"), flags)
        if same == self._last:
            sys.stdout.write(f"{explanation.cell}: the same\n")
        else:
            sys.stdout.write(
                f"{explanation.cell}\n  {explanation.sentence}\n"
                f"  enough to fail: {flags} ({_count(explanation.launches)} tried)\n"
            )
        self._last = same
        sys.stdout.flush()


def _count(launches: int) -> str:
    return f"{launches} command line{'' if launches == 1 else 's'}"
