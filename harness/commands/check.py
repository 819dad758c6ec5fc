"""``llama-harness check``: one command line on many builds."""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from harness.builds import Build, Store, load_catalogue
from harness.cells.least import complaints_of, least_failing
from harness.cells.presets import keys_of
from harness.cells.side_by_side import run_side_by_side
from harness.cells.workbench import Workbench, open_workbench
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, HarnessError, UsageError
from harness.flags.arguments import read_arguments
from harness.flags.standing import outlook
from harness.formats import FORMATS
from harness.gguf_models.fitting import fitting_model
from harness.model import Cell, CellResult, DemandedBy, LoadRequest, Verdict
from harness.report.command_line import (
    CheckedLine,
    as_json,
    atlas_lines,
    drift_lines,
    finding_lines,
    flag_ranges,
    markdown_lines,
    settings_table,
)
from harness.settings.state import SPECULATION, asked
from harness.subjects import Subject, open_subject
from harness.subjects.command_lines import CommandLine, line_of, words_of
from harness.subjects.given import read_given
from harness.terminal import note, say, say_columns, say_json
from harness.verdicts.drift import OF_THE_HARNESS
from harness.verdicts.findings import (
    OF_SPECULATION,
    Finding,
    exit_code,
    finding_of,
    remarks,
)
from harness.verdicts.standing import Disagreement, disagreement, verdict_of

if TYPE_CHECKING:
    from harness.flags.capabilities import Capabilities

_FORMATS: Final = ("text", "table", "markdown", "json")
_EXITS: Final = {
    Verdict.PASS: EXIT_OK,
    Verdict.FAIL: EXIT_FAIL,
    Verdict.ERROR: EXIT_CANNOT_TELL,
}
_COLUMN: Final = 18
"""Characters of a column of the table."""


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One command line to be checked: its name, the subject that gives it, and its own text."""

    name: str
    subject: Subject
    line: CommandLine


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="try one command line on many builds",
        description="On which builds does a llama-server command line start, what is effective "
        "there, what does it silently not do, and what changed without having been asked for? "
        "First, by the atlas and without a launch: which of all build numbers refuse it? "
        "Model, draft model and port become the harness's own.",
        epilog="Exit status: 0 fine on every build; 1 refused, or without the effect it asks "
        "for, on some; 3 the harness could not tell, with --strict also where nothing tells "
        "whether something asked for is so. With --atlas-only, by the atlas.",
    )
    parser.add_argument(
        "--build",
        action="append",
        default=[],
        metavar="GLOB",
        help="default: those of the full profile that are stored",
    )
    parser.add_argument(
        "--get", action="store_true", help="get the builds of the profile that are not stored"
    )
    parser.add_argument(
        "--atlas-only",
        action="store_true",
        help="launch nothing: only what the atlas says of every build number",
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
        action="append",
        default=[],
        metavar="NAME",
        help="of the answer: text, table, markdown or json (default: a table where the terminal is "
        "wide enough for one, else text); or of the file, told by its content otherwise: "
        f"{', '.join(FORMATS)}",
    )
    parser.add_argument(
        "--json", action="append_const", const="json", dest="format", help="--format json"
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
    form, kind = _formats(options.format, len(builds))
    if options.atlas_only:
        return _check_by_atlas(options, builds, form, kind)
    checked: list[CheckedLine] = []
    with open_workbench(catalogue=catalogue) as workbench:
        lines = _lines(options, kind, workbench.subject)
        for line in lines if not options.subject else ():
            workbench.add_subject(line.subject)
        if not (options.build or options.get):
            builds, missing = _stored(builds, workbench.store)
        else:
            missing = ()
        for line in lines:
            one = _check_line(line, builds, options, workbench, as_text=form == "text")
            checked.append(replace(one, missing=missing))
            _print(one, form, named=len(lines) > 1)
    if form == "json":
        say_json(as_json(checked))
    elif missing:
        say(f"not launched, because not stored: {', '.join(missing)}; --get gets them")
    found = [finding for one in checked for finding in one.findings]
    wrong = any(one.disagreements for one in checked)
    verdict = exit_code(found, strict=options.strict)
    if verdict is Verdict.PASS and (wrong or not found):
        return EXIT_CANNOT_TELL
    return _EXITS[verdict]


def _stored(builds: Sequence[Build], store: Store) -> tuple[tuple[Build, ...], tuple[str, ...]]:
    """The builds that are in the store, and the ids of the others."""
    stored = tuple(build for build in builds if store.find(build) is not None)
    return stored, tuple(build.id for build in builds if build not in stored)


def _check_by_atlas(
    options: argparse.Namespace, builds: Sequence[Build], form: str, kind: str | None
) -> int:
    """Print what the atlas says; the exit status is that of the builds named, or the profile's."""
    with ExitStack() as opened:
        lines = _lines(options, kind, lambda spec: opened.enter_context(open_subject(spec)))
    if not all(line.line.words or line.line.env for line in lines):
        raise UsageError("--atlas-only: the subject has no command line of its own")
    checked = [_by_atlas(line) for line in lines]
    if form == "json":
        say_json(as_json(checked))
    else:
        for one in checked:
            _write([*filter(None, (one.name,)), *atlas_lines(one)])
    found = {
        verdict_of(one.outlook, build.upstream_number)
        for one in checked
        for build in builds
        if one.outlook
    }
    order = (Verdict.FAIL, Verdict.ERROR)
    return _EXITS[next((one for one in order if one in found), Verdict.PASS)]


def _by_atlas(line: _Line) -> CheckedLine:
    """A command line before anything is launched."""
    words, env = line.line.words, line.line.env
    return CheckedLine(
        name=line.name,
        argv=words,
        env=env,
        outlook=outlook(words, env) if words or env else None,
        findings=(),
        demanded=frozenset(),
    )


def _formats(asked: Sequence[str], builds: int) -> tuple[str, str | None]:
    """The form of the answer, and the format of the file where one is named.

    Raises:
        UsageError: A name is that of neither.
    """
    unknown = [name for name in asked if name not in {*_FORMATS, *FORMATS}]
    if unknown:
        known = ", ".join((*_FORMATS, *FORMATS))
        raise UsageError(f"--format {unknown[0]!r}: there are {known}")
    forms = [name for name in asked if name in _FORMATS]
    kinds = [name for name in asked if name in FORMATS]
    wide = shutil.get_terminal_size().columns >= _COLUMN * (builds + 1)
    usual = "table" if wide and builds > 1 and sys.stdout.isatty() else "text"
    return forms[-1] if forms else usual, kinds[-1] if kinds else None


def _lines(
    options: argparse.Namespace, kind: str | None, open_: Callable[[str], Subject]
) -> list[_Line]:
    """The command lines: given after ``--``, in a file, or a subject's.

    Raises:
        UsageError: Neither a command line nor a subject is given, or both.
        SubjectError: A file holds no command line.
    """
    if options.subject and options.variable:
        raise UsageError("--variable: goes with a command line after --, not with --subject")
    if bool(options.subject) == bool(options.argv or options.variable):
        raise UsageError(
            "give either a command line after --, or by --variable, or --subject, and not both"
        )
    if options.subject:
        subject = open_(options.subject)
        line = getattr(subject, "line", CommandLine(words=()))
        return [_Line(name="", subject=subject, line=line)]
    lines = []
    for one in read_given(options.argv, options.variable, "check", kind):
        if one.line is None:
            note(f"{one.name}: cannot be read: {one.unread}")
        else:
            lines.append(_Line(name=one.name, subject=one.subject(), line=one.line))
    return lines


def _check_line(
    line: _Line,
    builds: Sequence[Build],
    options: argparse.Namespace,
    workbench: Workbench,
    *,
    as_text: bool,
) -> CheckedLine:
    """Try one command line on every build; as text, each is printed as soon as it is known."""
    request = LoadRequest(model=options.model or fitting_model(words_of(line.subject)), mode=None)
    cells = [
        Cell(
            build=build.id,
            subject=line.subject.name,
            environment=options.env,
            request=request,
            demanded_by=DemandedBy.COMMAND_LINE,
        )
        for build in builds
    ]
    before = _by_atlas(line)
    if as_text:
        _write([*filter(None, (line.name,)), *atlas_lines(before)])
    numbers = {build.id: build.upstream_number for build in builds}
    disagreements: list[Disagreement] = []
    findings: list[Finding] = []
    demanded: set[str] = set()
    flags: list[str] = []
    capabilities: dict[str, Capabilities] = {}
    for result in run_side_by_side(cells, workbench):
        with suppress(HarnessError):
            capabilities[result.build] = workbench.capabilities(result.build, options.env)
        known = capabilities.get(result.build)
        number = numbers[result.build]
        own = line_of(line.subject, result.build, options.env) or line.line
        keys = keys_of(own.words, own.files)
        finding = finding_of(result, known, own.words, own.env, keys, number=number)
        disagreements += filter(None, (disagreement(result, number),))
        fault = own.fault
        if fault is not None and finding.starts is False:
            message = f"{finding.message}: {fault.why}"
            finding = replace(finding, blame=fault.word, message=message)
        if result.status is Verdict.FAIL and result.failure is not None and finding.blame is None:
            finding = _with_culprits(finding, result, own, cells, workbench)
        findings.append(finding)
        demanded |= {one.setting for one in result.witnesses} - OF_THE_HARNESS
        if known:
            words = read_arguments(result.argv, known)
            demanded |= OF_SPECULATION if SPECULATION in asked(words) else set()
            flags += [one.flag for one in words if one.flag.startswith("-")]
        if as_text:
            _write(finding_lines(finding, demanded))
    checked = replace(
        before,
        findings=tuple(findings),
        demanded=frozenset(demanded),
        disagreements=tuple(disagreements),
    )
    if as_text:
        _write(map(str, disagreements))
        _write(flag_ranges(tuple(dict.fromkeys(flags)), builds, capabilities))
        _write(drift_lines(checked))
    return checked


def _with_culprits(
    finding: Finding,
    result: CellResult,
    line: CommandLine,
    cells: Sequence[Cell],
    workbench: Workbench,
) -> Finding:
    """The finding with what is enough to fail, where the build's own words blame nothing."""
    cell = next(one for one in cells if one.build == result.build)
    complaints = complaints_of(result, cell)
    if not complaints:
        return finding
    culprits = least_failing(cell, result, line, complaints[0], workbench).culprits
    if not culprits:
        return finding
    told = " and ".join(" ".join(one.words) for one in culprits)
    message = f"{finding.message}; {told} {'is' if len(culprits) == 1 else 'are'} enough for that"
    return replace(finding, blame=culprits[-1].flag, message=message)


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
        _write(atlas_lines(checked))
        say_columns([*settings_table(checked)])
        for finding in checked.findings:
            if finding.lacks or not finding.starts:
                said = (finding.message, *remarks(finding))
                _write(f"{finding.build}: {line}" for line in said)
        _write(map(str, checked.disagreements))
        _write(drift_lines(checked))
