"""``llama-harness check``: one command line on many builds."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from harness.builds import Build, load_catalogue
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, HarnessError, UsageError
from harness.flags.arguments import read_arguments
from harness.flags.capabilities import Capabilities
from harness.model import (
    Cell,
    CellResult,
    DemandedBy,
    DraftRange,
    LoadRequest,
    Verdict,
)
from harness.subjects.command_lines import (
    DRAFT_FLAGS,
    REMOTE_DRAFT_FLAGS,
    StaticSubject,
    server_arguments,
)
from harness.verdicts.checks import FLAGS_OFFERED, MIN_NOT_ABOVE_MAX, NO_FLAG_TWICE, NO_WARNING
from harness.verdicts.demands import EFFECT

SUBJECT: Final = "argv"
"""The name of a command line given by hand, as a subject."""

_REMARKS: Final = (FLAGS_OFFERED, NO_FLAG_TWICE, MIN_NOT_ABOVE_MAX, NO_WARNING)
_RUN: Final = 3
_MTP_MODEL, _PLAIN_MODEL = "tiny-mtp", "tiny-llama"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one build does with a command line.

    Attributes:
        status: PASS where it starts and does what the command line asks for, FAIL where it is
            refused or something asked for is without effect, ERROR where nobody can tell.
        does: The effective state, or why there is none.
        lacks: What is asked for and not so.
        remarks: What else is wrong with it: warnings, flags given twice.
    """

    build: str
    status: Verdict
    does: str
    lacks: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="try one command line on many builds",
        description="On which builds does a llama-server command line start, what does it do "
        "there, and what does it silently not do? Model, draft model and port become the "
        "harness's own.",
        epilog="Exit status: 0 fine on every build; 1 refused, or without the effect it asks "
        "for, on some; 3 the harness could not tell.",
    )
    parser.add_argument(
        "--build", action="append", default=[], metavar="GLOB", help="default: the full profile"
    )
    parser.add_argument("--env", default="cpu", metavar="E", help="environment (default: cpu)")
    parser.add_argument("--model", metavar="NAME", help="model to load (default: one that fits)")
    parser.add_argument(
        "--subject", metavar="S", help="take the command line of argv:FILE or recording:FILE"
    )
    parser.add_argument("argv", nargs="*", metavar="ARGV", help="the command line, after --")
    parser.set_defaults(func=check)


def check(options: argparse.Namespace) -> int:
    """Try the command line on each build and print what it does.

    Raises:
        HarnessError: The command line or a build's name has no meaning.
    """
    catalogue = load_catalogue()
    builds = catalogue.select(options.build) if options.build else catalogue.profile("full")
    findings: list[Finding] = []
    capabilities: dict[str, Capabilities] = {}
    flags: list[str] = []
    with open_workbench(catalogue=catalogue) as workbench:
        subject, words = subject_of(options, workbench)
        request = LoadRequest(model=options.model or fitting_model(words), mode=None)
        for build in builds:
            cell = Cell(
                build=build.id,
                subject=subject,
                environment=options.env,
                request=request,
                demanded_by=DemandedBy.COMMAND_LINE,
            )
            result = run_cell(cell, workbench)
            finding = finding_of(result)
            findings.append(finding)
            _print_finding(finding)
            if _is_known(workbench, build.id):
                capabilities[build.id] = workbench.capabilities(build.id)
                flags += _flags(result, capabilities[build.id])
    for line in flag_ranges(tuple(dict.fromkeys(flags)), builds, capabilities):
        sys.stdout.write(line + "\n")
    return exit_status(findings)


def subject_of(options: argparse.Namespace, workbench: Workbench) -> tuple[str, tuple[str, ...]]:
    """The subject that gives the command line, and the words to choose a model by.

    Raises:
        UsageError: Neither a command line nor a subject is given, or both.
    """
    if bool(options.subject) == bool(options.argv):
        raise UsageError("give either a command line after -- or --subject, and not both")
    if options.argv:
        line = server_arguments(options.argv, "check")
        workbench.add_subject(StaticSubject(SUBJECT, line))
        return SUBJECT, line.words
    subject = workbench.subject(options.subject)
    words = getattr(subject, "words", ())
    return subject.name, tuple(words)


def fitting_model(words: Sequence[str]) -> str:
    """A model that has what the command line wants: an MTP head, or a draft model."""
    wants_mtp = any("mtp" in word for word in words)
    wants_draft = not {*DRAFT_FLAGS, *REMOTE_DRAFT_FLAGS}.isdisjoint(words)
    return _MTP_MODEL if wants_mtp and not wants_draft else _PLAIN_MODEL


def finding_of(result: CellResult) -> Finding:
    """What a cell's result says of its command line."""
    bad = [check for check in result.checks if not check.ok]
    remarks = [f"{one.name}: {one.observed}" for one in bad if one.name in _REMARKS]
    remarks += [
        f"started with {one.used} in place of {one.given}: {one.why}" for one in result.replaced
    ]
    if result.effective is None:
        does = result.failure.message if result.failure else "the harness could not tell"
        # The refusal says it already.
        remarks = [remark for remark in remarks if not remark.startswith(FLAGS_OFFERED)]
    else:
        does = describe_state(result.drafts or {})
    return Finding(
        build=result.build,
        status=result.status,
        does=does,
        lacks=tuple(one.observed for one in bad if one.name == EFFECT),
        remarks=tuple(remarks),
    )


def describe_state(implementations: Mapping[str, DraftRange]) -> str:
    """An effective state in a few words."""
    if not implementations:
        return "starts, without speculation"
    parts = (
        name if length.n_max is None else f"{name} up to {length.n_max}"
        for name, length in sorted(implementations.items())
    )
    return f"starts, with {' and '.join(parts)}"


def flag_ranges(
    flags: Sequence[str], builds: Sequence[Build], capabilities: Mapping[str, Capabilities]
) -> list[str]:
    """For each flag that not all builds offer, where it lives."""
    lines = []
    for flag in flags:
        told = {
            build.id: _standing(flag, capabilities[build.id])
            for build in builds
            if build.id in capabilities
        }
        if set(told.values()) == {"offered"}:
            continue
        parts = [
            f"{standing} in {', '.join(_runs(told, standing))}"
            for standing in ("offered", "removed", "unknown")
            if standing in told.values()
        ]
        lines.append(f"{flag}: {'; '.join(parts)}")
    return lines


def _runs(told: Mapping[str, str], standing: str) -> Iterator[str]:
    """The builds of one standing; three or more that follow each other as their first and last."""
    for here, group in groupby(told, key=lambda build: told[build]):
        run = list(group)
        if here == standing:
            yield from run if len(run) < _RUN else [f"{run[0]} … {run[-1]}"]


def _standing(flag: str, capabilities: Capabilities) -> str:
    if capabilities.offers(flag):
        return "offered"
    return "removed" if capabilities.removed(flag) else "unknown"


def exit_status(findings: Sequence[Finding]) -> int:
    """0 where all is fine, 1 where something is not, 3 where only the harness failed."""
    if any(finding.status is Verdict.FAIL for finding in findings):
        return EXIT_FAIL
    if any(finding.status is Verdict.ERROR for finding in findings):
        return EXIT_CANNOT_TELL
    return EXIT_OK


def _flags(result: CellResult, capabilities: Capabilities) -> list[str]:
    return [one.flag for one in read_arguments(result.argv, capabilities) if one.flag[:1] == "-"]


def _is_known(workbench: Workbench, build: str) -> bool:
    try:
        workbench.capabilities(build)
    except HarnessError:
        return False
    return True


def _print_finding(finding: Finding) -> None:
    mark = {Verdict.PASS: "ok  ", Verdict.FAIL: "FAIL", Verdict.ERROR: "?   "}[finding.status]
    said = "; ".join((finding.does, *finding.lacks, *finding.remarks))
    sys.stdout.write(f"{mark}  {finding.build:<12} {said}\n")
    sys.stdout.flush()
