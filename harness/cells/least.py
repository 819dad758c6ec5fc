"""The least of a command line that fails the same way, found by trying parts of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from harness.cells.ddmin import minimise
from harness.cells.names import cell_id
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.flags.arguments import Argument, read_arguments
from harness.flags.families import HOST
from harness.model import (
    Cell,
    CellResult,
    DemandedBy,
    LaunchPlan,
    LaunchTarget,
    LoadRequest,
    Provenance,
    Verdict,
)
from harness.server.failure import WORTH_ANOTHER_TRY
from harness.settings.base import EFFECT
from harness.subjects.command_lines import MODEL_FLAGS, PORT_FLAGS, CommandLine
from harness.verdicts.checks import STARTS

_KEPT: Final = MODEL_FLAGS | PORT_FLAGS | frozenset(HOST.flags)
"""What every launch needs; never blamed, never left out."""


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """What makes two failures the same.

    Attributes:
        check: The check that failed, or ``effect`` for something asked for without effect.
        what: The kind of failure, or what is lacking.
        argument: The flag or variable to blame, where one is known.
    """

    check: str
    what: str = ""
    argument: str | None = None


@dataclass(frozen=True, kw_only=True)
class Least:
    """What is enough to fail.

    Attributes:
        culprits: The arguments and variables.
        launches: How many command lines were tried, with the whole one.
    """

    culprits: tuple[Argument, ...]
    launches: int


def least_failing(
    cell: Cell, result: CellResult, line: CommandLine, complaint: Complaint, workbench: Workbench
) -> Least:
    """The fewest arguments and variables of a command line that fail as all of it does.

    Args:
        cell: Of the whole command line.
        result: Of that cell.
        line: The command line as it was written.
        complaint: What it fails at.
        workbench: Launches the parts.
    """
    own = is_own(cell)
    variables = [
        Argument(flag=name, values=(value,), option=None) for name, value in line.env.items()
    ]
    words = read_arguments(line.words, workbench.capabilities(cell.build))
    groups = (*variables, *_groups(words))
    kept = [group for group in groups if group.flag in _KEPT]
    suspects = [group for group in groups if group.flag not in _KEPT]
    lost = result.failure is not None and result.failure.kind in WORTH_ANOTHER_TRY
    # No server refuses a flag or variable that it was not given.
    needs_one = (
        complaint.check == STARTS
        and not lost
        and any(complaint.argument in {one.flag, one.spelling} for one in suspects)
    )
    launches = 1

    def fails(selected: Sequence[Argument]) -> bool:
        nonlocal launches
        if needs_one and not selected:
            return False
        launches += 1
        chosen = (*kept, *selected)
        subject = FixedSubject(
            f"{cell.subject} for {cell_id(cell)}, {launches} tried",
            words=tuple(w for one in chosen if one.flag not in line.env for w in one.words),
            env={one.flag: one.value for one in chosen if one.flag in line.env},
            files=line.files,
            like=result,
            provenance=Provenance.FRAGMENT if own else Provenance.HERE,
        )
        workbench.add_subject(subject)
        found = complaints_of(run_cell(replace(cell, subject=subject.name), workbench), cell)
        # A start that lost the reason of its end may be any other that fails.
        return complaint in found or (lost and any(one.check == STARTS for one in found))

    blamed = [
        place
        for place, one in enumerate(suspects)
        if complaint.argument in {one.flag, one.spelling, *one.values}
    ]
    culprits = minimise(suspects, fails, guess=blamed)
    if not culprits:
        # What no launch can be without is at fault itself.
        culprits = tuple(one for one in kept if complaint.argument in {one.flag, one.spelling})
    return Least(culprits=culprits, launches=launches)


def is_own(cell: Cell) -> bool:
    """Whether a cell is judged by what its command line asks for itself."""
    return cell.demanded_by is DemandedBy.COMMAND_LINE


def _groups(arguments: Sequence[Argument]) -> tuple[Argument, ...]:
    """The arguments, each stray word with the flag that it was meant for."""
    groups: list[Argument] = []
    for argument in arguments:
        if groups and not argument.flag.startswith("-"):
            groups[-1] = replace(groups[-1], values=(*groups[-1].values, *argument.words))
        else:
            groups.append(argument)
    return tuple(groups)


class FixedSubject:
    """Plans one command line, whatever is asked; its port follows the cell's."""

    def __init__(
        self,
        name: str,
        *,
        words: tuple[str, ...],
        env: Mapping[str, str],
        files: Mapping[str, str],
        like: CellResult,
        provenance: Provenance,
    ) -> None:
        self.name = name
        self._words = words
        self._env = env
        self._files = files
        self._like = like
        self._provenance = provenance

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:  # noqa: ARG002
        """The command line."""
        argv = list(self._words)
        for index, (flag, value) in enumerate(pairwise(self._words)):
            if flag in PORT_FLAGS and value.isdecimal():
                argv[index + 1] = str(target.port)
        return LaunchPlan(
            argv=tuple(argv),
            env=self._env,
            resolved_mode=self._like.resolved_mode,
            reason=self._like.reason,
            provenance=self._provenance,
            files=self._files,
        )


def complaints_of(result: CellResult, cell: Cell) -> tuple[Complaint, ...]:
    """What a cell fails at: a failed start before failed checks."""
    if result.status is not Verdict.FAIL:
        return ()
    decisive = {EFFECT} if is_own(cell) else {check.name for check in result.checks} - {STARTS}
    found = [
        Complaint(
            check=check.name,
            what=check.observed if check.name == EFFECT else "",
            argument=check.argument,
        )
        for check in result.checks
        if not check.ok and check.name in decisive
    ]
    if result.failure is not None:
        kind, argument = result.failure.kind.value, result.failure.argument
        found.insert(0, Complaint(check=STARTS, what=kind, argument=argument))
    return tuple(found)
