"""``llama-harness check``: one command line on many builds."""

import argparse
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.builds import Build, load_catalogue
from harness.cells.side_by_side import run_side_by_side
from harness.cells.workbench import Workbench, open_workbench
from harness.config.paths import is_file
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, HarnessError, UsageError
from harness.flags.arguments import read_arguments
from harness.model import Cell, DemandedBy, LoadRequest, Verdict
from harness.report.command_line import (
    CheckedLine,
    as_json,
    drift_lines,
    finding_lines,
    flag_ranges,
    markdown_lines,
    settings_table,
)
from harness.subjects.argv_file import read_command_lines
from harness.subjects.command_lines import (
    DRAFT_FLAGS,
    REMOTE_DRAFT_FLAGS,
    CommandLine,
    StaticSubject,
    server_arguments,
)
from harness.terminal import complain, say, say_columns, say_json
from harness.verdicts.drift import OF_THE_HARNESS
from harness.verdicts.findings import Finding, exit_code, finding_of, remarks

if TYPE_CHECKING:
    from harness.flags.capabilities import Capabilities

SUBJECT: Final = "argv"
"""The name of a command line given by hand, as a subject."""

_FORMATS: Final = ("auto", "text", "table", "markdown", "json")
_EXITS: Final = {
    Verdict.PASS: EXIT_OK,
    Verdict.FAIL: EXIT_FAIL,
    Verdict.ERROR: EXIT_CANNOT_TELL,
}
_MTP_MODEL, _PLAIN_MODEL = "tiny-mtp", "tiny-llama"
_COLUMN: Final = 18
"""Characters of a column of the table."""


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One command line to be checked: its name, the subject that gives it, and its own text."""

    name: str
    subject: str
    line: CommandLine


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="try one command line on many builds",
        description="On which builds does a llama-server command line start, what is effective "
        "there, what does it silently not do, and what changed without having been asked for? "
        "Model, draft model and port become the harness's own.",
        epilog="Exit status: 0 fine on every build; 1 refused, or without the effect it asks "
        "for, on some; 3 the harness could not tell, with --strict also where nothing tells "
        "whether something asked for is so.",
    )
    parser.add_argument(
        "--build", action="append", default=[], metavar="GLOB", help="default: the full profile"
    )
    parser.add_argument("--env", default="cpu", metavar="E", help="environment (default: cpu)")
    parser.add_argument("--model", metavar="NAME", help="model to load (default: one that fits)")
    parser.add_argument(
        "--subject", metavar="S", help="take the command line of argv:FILE or recording:FILE"
    )
    parser.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an environment variable of the command line",
    )
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default="auto",
        help="auto is a table where the terminal is wide enough for one, else text",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="--format json"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 3 where nothing tells whether something asked for is so",
    )
    parser.add_argument(
        "argv", nargs="*", metavar="ARGV", help="a file with command lines, or one after --"
    )
    parser.set_defaults(func=check)


def check(options: argparse.Namespace) -> int:
    """Try the command lines on each build and print what they do.

    Raises:
        HarnessError: The command line or a build's name has no meaning.
    """
    catalogue = load_catalogue()
    builds = catalogue.select(options.build) if options.build else catalogue.profile("full")
    form = _format(options.format, len(builds))
    checked: list[CheckedLine] = []
    with open_workbench(catalogue=catalogue) as workbench:
        lines = _lines(options, workbench)
        for line in lines:
            one = _check_line(line, builds, options, workbench, as_text=form == "text")
            checked.append(one)
            _print(one, form, named=len(lines) > 1)
    if form == "json":
        say_json(as_json(checked))
    found = [finding for one in checked for finding in one.findings]
    return _EXITS[exit_code(found, strict=options.strict)]


def _format(asked: str, builds: int) -> str:
    if asked != "auto":
        return asked
    wide = shutil.get_terminal_size().columns >= _COLUMN * (builds + 1)
    return "table" if wide and builds > 1 and sys.stdout.isatty() else "text"


def _lines(options: argparse.Namespace, workbench: Workbench) -> list[_Line]:
    """The command lines: given after ``--``, in a file, or a subject's.

    Raises:
        UsageError: Neither a command line nor a subject is given, or both.
        SubjectError: A file holds no command line.
    """
    if bool(options.subject) == bool(options.argv):
        raise UsageError("give either a command line after -- or --subject, and not both")
    variables = dict(map(_variable, options.variable))
    if options.subject:
        if variables:
            raise UsageError("--variable: goes with a command line after --, not with --subject")
        subject = workbench.subject(options.subject)
        line = CommandLine(words=tuple(getattr(subject, "words", ())))
        return [_Line(name="", subject=subject.name, line=line)]
    file = Path(options.argv[0])
    if len(options.argv) == 1 and not options.argv[0].startswith("-") and is_file(file):
        found = read_command_lines(file)
        for reason in found.unread.values():
            complain(reason)
        named = {f"{file}#{name}" if name else str(file): line for name, line in found.items()}
    else:
        named = {"": server_arguments(options.argv, "check")}
    lines = []
    for name, line in named.items():
        whole = replace(line, env={**line.env, **variables})
        subject = StaticSubject(f"{SUBJECT}:{name}" if name else SUBJECT, whole)
        workbench.add_subject(subject)
        lines.append(_Line(name=name, subject=subject.name, line=whole))
    return lines


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--variable {text!r}: write NAME=VALUE")
    return name, value


def _check_line(
    line: _Line,
    builds: Sequence[Build],
    options: argparse.Namespace,
    workbench: Workbench,
    *,
    as_text: bool,
) -> CheckedLine:
    """Try one command line on every build; as text, each is printed as soon as it is known."""
    request = LoadRequest(model=options.model or fitting_model(line.line.words), mode=None)
    cells = [
        Cell(
            build=build.id,
            subject=line.subject,
            environment=options.env,
            request=request,
            demanded_by=DemandedBy.COMMAND_LINE,
        )
        for build in builds
    ]
    if as_text and line.name:
        say(line.name)
    findings: list[Finding] = []
    demanded: set[str] = set()
    flags: list[str] = []
    capabilities: dict[str, Capabilities] = {}
    for result in run_side_by_side(cells, workbench):
        with suppress(HarnessError):
            capabilities[result.build] = workbench.capabilities(result.build, options.env)
        known = capabilities.get(result.build)
        finding = finding_of(result, known)
        findings.append(finding)
        demanded |= {one.setting for one in result.witnesses} - OF_THE_HARNESS
        if known:
            words = read_arguments(result.argv, known)
            flags += [one.flag for one in words if one.flag.startswith("-")]
        if as_text:
            _write(finding_lines(finding, demanded))
    checked = CheckedLine(
        name=line.name,
        argv=line.line.words,
        env=line.line.env,
        findings=tuple(findings),
        demanded=frozenset(demanded),
    )
    if as_text:
        _write(flag_ranges(tuple(dict.fromkeys(flags)), builds, capabilities))
        _write(drift_lines(checked))
    return checked


def _write(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


def _print(checked: CheckedLine, form: str, *, named: bool) -> None:
    """One command line's answer, where it is printed as a whole."""
    if form == "markdown":
        _write(markdown_lines(checked))
    elif form == "table":
        if named:
            _write([checked.name])
        say_columns([*settings_table(checked)])
        for finding in checked.findings:
            if finding.lacks or not finding.starts:
                said = (finding.message, *remarks(finding))
                _write(f"{finding.build}: {line}" for line in said)
        _write(drift_lines(checked))


def fitting_model(words: Sequence[str]) -> str:
    """A model that has what the command line wants: an MTP head, or a draft model."""
    wants_mtp = any("mtp" in word for word in words)
    wants_draft = not {*DRAFT_FLAGS, *REMOTE_DRAFT_FLAGS}.isdisjoint(words)
    return _MTP_MODEL if wants_mtp and not wants_draft else _PLAIN_MODEL
