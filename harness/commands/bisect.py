"""``llama-harness bisect``: since which build, or which version of a subject?"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from harness.bisect.journal import CellQuestion, CommandQuestion, Journal, Point, Question
from harness.bisect.progress import Reporter
from harness.bisect.summary import Summary, as_document, describe
from harness.builds import Build, Store, load_catalogue
from harness.cells.qualification import open_store
from harness.errors import EXIT_INTERRUPTED, UnknownBuildError, UsageError, writing
from harness.model import MODE_UNSET, LoadRequest
from harness.subjects import check_file
from harness.terminal import Progress, complain, note, open_progress, say, say_json
from harness.verdicts.checks import CHECK_NAMES

DEFAULT_TIMEOUT_S: Final = 600.0
_STRIDES: Final = 16
"""``--all-boundaries`` alone finds every run that is at least this part of the range."""

_EPILOG: Final = """\
Exit status: 0 the change is found, between two neighbours; 1 found, but builds between the two
give no answer, or the history is not monotone; 2 wrong usage; 3 no answer (an end is not as
claimed or cannot be tested, or the command asked to stop); 130 interrupted.
"""
_COMMAND_EPILOG: Final = """\
COMMAND answers as for `git bisect run`: 0 good, 125 cannot be tested, 128 and above stop, all else
bad. It finds the build's id in LLAMA_HARNESS_BUILD, the program in LLAMA_SERVER and the subject in
LLAMA_HARNESS_SUBJECT.
"""

if TYPE_CHECKING:
    from harness.builds.sources.index import PackageIndexes


class _WithoutForm(argparse.Action):
    """An option of ``run`` where a form is due."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Say what is missing."""
        parser.error("say what to do: llama-harness bisect run --good B --bad B")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its forms."""
    parser = subparsers.add_parser(
        "bisect",
        help="find the build, or the version of a subject, since which a cell fails",
        description="Find between which two builds a cell starts to fail, or is mended.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--good", "--bad", action=_WithoutForm, default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    forms = parser.add_subparsers(metavar="{run,resume,replay}", required=True)
    form = forms.add_parser(
        "run",
        help="begin a bisection",
        description="Bisect over every build that the catalogue or a package offers between "
        "--good and --bad.",
        epilog=f"{_EPILOG}\n{_COMMAND_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_range(form.add_argument_group("range"))
    _add_cell(form.add_argument_group("cell"))
    _add_search(form.add_argument_group("search"))
    _add_output(form, looks_ahead=True)
    form.add_argument(
        "command", nargs="*", metavar="-- COMMAND", help="decides instead of a cell; see below"
    )
    form.set_defaults(func=run)
    for name, function, what in (
        ("resume", resume, "go on with a journal after an interrupt, a crash or an abort"),
        ("replay", replay, "show a journal again, running nothing"),
    ):
        form = forms.add_parser(
            name, help=what, description=f"{what.capitalize()}.", epilog=_EPILOG
        )
        form.add_argument("journal", type=Path, metavar="JOURNAL")
        _add_output(form, looks_ahead=function is resume)
        form.set_defaults(func=function)


def _add_output(form: argparse.ArgumentParser, *, looks_ahead: bool) -> None:
    if looks_ahead:
        form.add_argument(
            "--no-lookahead", action="store_true", help="acquire nothing before it is needed"
        )
    output = form.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the answer as JSON")
    output.add_argument("--report", type=Path, metavar="FILE", help="write the Markdown report")
    output.add_argument("-q", "--quiet", action="store_true", help="print the answer only")


def _add_range(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--good", required=True, metavar="B", help="a build that is good, older or newer"
    )
    group.add_argument("--bad", required=True, metavar="B", help="a build that is bad")
    group.add_argument(
        "--over-subject",
        metavar="NAME",
        help="bisect over the versions of a package (unsloth), or over SPEC,SPEC,… in order; "
        "with --build, --good and --bad then name subjects",
    )
    group.add_argument("--build", metavar="B", help="the one build of --over-subject")
    group.add_argument(
        "--good-subject", metavar="S", help="with --over-subject and no --build: both axes"
    )
    group.add_argument("--bad-subject", metavar="S", help="likewise")
    group.add_argument(
        "--catalogue-only",
        action="store_true",
        help="only builds of the catalogue; ask no package index for more",
    )


def _add_cell(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--subject", metavar="S", help="flag generator (default: reference)")
    group.add_argument("--env", metavar="E", help="environment (default: cpu)")
    group.add_argument("--mode", metavar="M", help="speculative mode, or unset (default: auto)")
    group.add_argument("--draft-max", metavar="N", help="draft length, or default (the default)")
    group.add_argument("--model", metavar="NAME", help="model (default: tiny-mtp)")
    group.add_argument(
        "--extra-arg", action="append", metavar="WORD", help="write --extra-arg=--flag"
    )
    group.add_argument(
        "--check", metavar="NAME", help="the failing check to bisect (default: the first)"
    )


def _add_search(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--confidence",
        type=float,
        metavar="C",
        help="repeat runs of a flaky failure until each answer is right with probability C",
    )
    group.add_argument(
        "--all-boundaries",
        type=int,
        nargs="?",
        const=0,
        metavar="STRIDE",
        help="find every change that lasts for STRIDE builds or more (default: a sixteenth of "
        "the range; 1 tests every build)",
    )
    group.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="seconds for one run of COMMAND (default: %(default)g)",
    )
    group.add_argument("--journal", type=Path, metavar="FILE", help="where to keep the journal")
    group.add_argument(
        "--no-atlas",
        action="store_true",
        help="begin in the middle, not where the atlas knows of a change",
    )


def run(options: argparse.Namespace) -> int:
    """Begin a bisection; returns the exit status.

    Raises:
        HarnessError: The usage is wrong, or there is no answer.
    """
    _refuse_contradictions(options)
    store = open_store()
    question = ask(options, store)
    return _go_on(Journal.create(options.journal or _new_journal(store), question), store, options)


def resume(options: argparse.Namespace) -> int:
    """Go on with a journal; returns the exit status.

    Raises:
        HarnessError: It cannot be used, or there is no answer.
    """
    return _go_on(Journal.open(options.journal), open_store(), options)


def _go_on(journal: Journal, store: Store, options: argparse.Namespace) -> int:
    from harness.bisect.run import go_on

    with open_progress(quiet=options.quiet) as progress:
        progress.note(f"bisecting {describe(journal.question)}")
        progress.note(f"journal {journal.path}")
        try:
            summary = go_on(
                journal,
                store=store,
                reporter=Reporter(progress.note, journal.question.axes),
                progress=progress,
                lookahead=not options.no_lookahead,
            )
        except KeyboardInterrupt:
            complain(f"interrupted; go on with: llama-harness bisect resume {journal.path}")
            return EXIT_INTERRUPTED
    return _print(summary, options)


def replay(options: argparse.Namespace) -> int:
    """Show a journal again; returns the exit status.

    Raises:
        HarnessError: It cannot be used, or ends before the answer.
    """
    from harness.bisect.run import replay as show

    journal = Journal.open(options.journal)
    tell = Progress().note if options.quiet else note
    tell(f"bisected {describe(journal.question)}")
    reporter = Reporter(tell, journal.question.axes)
    return _print(show(journal, store=open_store(), reporter=reporter), options)


def _print(summary: Summary, options: argparse.Namespace) -> int:
    from harness.bisect.markdown import write_markdown

    markdown = write_markdown(summary)
    if options.report:
        with writing(f"--report {options.report}"):
            options.report.write_text(markdown, encoding="utf-8", newline="\n")
    if options.json:
        say_json(as_document(summary))
    else:
        say(markdown, end="")
    return summary.exit_code


def ask(options: argparse.Namespace, store: Store) -> Question:
    """The question that the options put, with every point of its axes.

    Raises:
        HarnessError: The options have no meaning together, or the points cannot be listed.
    """
    from harness.bisect.points import subject_range

    if options.subject:
        check_file(options.subject)
    builds, definitions = _one_build(options) if options.build else _builds(options)
    subjects: tuple[Point, ...] = (Point(id=options.subject or "reference"),)
    if options.over_subject:
        ends = (options.good_subject, options.bad_subject)
        if options.build:
            ends = (options.good, options.bad)
        subjects = subject_range(options.over_subject, *ends, _index)
    return Question(
        axes=("build",)
        if not options.over_subject
        else ("subject",)
        if options.build
        else ("build", "subject"),
        builds=builds,
        subjects=subjects,
        predicate=_predicate(options),
        definitions=definitions,
        stored=tuple(build.id for build in definitions if store.find(build) is not None),
        stride=_stride(options.all_boundaries, max(len(builds), len(subjects))),
        confidence=options.confidence,
        atlas=not options.no_atlas,
    )


def _builds(options: argparse.Namespace) -> tuple[tuple[Point, ...], tuple[Build, ...]]:
    from harness.bisect.points import build_range

    return build_range(options.good, options.bad, load_catalogue(), _published(options))


def _one_build(options: argparse.Namespace) -> tuple[tuple[Point, ...], tuple[Build, ...]]:
    try:
        build, date = load_catalogue().get(options.build), ""
    except UnknownBuildError:
        found = [each for each in _published(options) if each[0].id == options.build]
        if not found:
            raise
        build, date = found[0]
    return (Point(id=build.id, date=build.date or date),), (build,)


def _published(options: argparse.Namespace) -> tuple[tuple[Build, str], ...]:
    from harness.bisect.points import published_builds

    return () if options.catalogue_only else published_builds(_index())


def _index() -> "PackageIndexes":
    from harness.builds.sources.index import PackageIndexes

    return PackageIndexes()


def _predicate(options: argparse.Namespace) -> CellQuestion | CommandQuestion:
    if options.command:
        return CommandQuestion(command=tuple(options.command), timeout_s=options.timeout)
    if options.check and options.check not in CHECK_NAMES:
        raise UsageError(
            f"--check {options.check}: there is no such check; there are {', '.join(CHECK_NAMES)}"
        )
    mode = options.mode or "auto"
    return CellQuestion(
        environment=options.env or "cpu",
        request=LoadRequest(
            model=options.model or "tiny-mtp",
            mode=None if mode == MODE_UNSET else mode,
            draft_n_max=_draft_length(options.draft_max),
            extra_args=tuple(options.extra_arg or ()),
        ),
        check=options.check,
    )


def _draft_length(text: str | None) -> int | None:
    if text in {None, "default"}:
        return None
    try:
        return int(str(text))
    except ValueError:
        raise UsageError(f"--draft-max {text}: neither a number of tokens nor `default`") from None


def _stride(asked: int | None, points: int) -> int | None:
    if asked is None:
        return None
    return asked or max(1, points // _STRIDES)


def _new_journal(store: Store) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    return store.root / "bisect" / f"{moment}.jsonl"


_CELL_OPTIONS: Final = ("env", "mode", "draft_max", "model", "extra_arg", "check")


def _refuse_contradictions(options: argparse.Namespace) -> None:
    """Refuse options that have no meaning together.

    Raises:
        UsageError: With the first such pair.
    """
    _refuse_range(options)
    if options.command:
        given = [name for name in _CELL_OPTIONS if getattr(options, name)]
        if given:
            raise UsageError(
                f"{_spelled(given[0])} describes a cell, but a COMMAND decides: give one of them"
            )
    if options.confidence is not None and not 0.5 < options.confidence < 1:  # noqa: PLR2004
        raise UsageError(f"--confidence {options.confidence:g}: give a number between 0.5 and 1")
    if options.all_boundaries is not None and options.all_boundaries < 0:
        raise UsageError(f"--all-boundaries {options.all_boundaries}: a stride is at least 1")
    if not options.timeout > 0:
        raise UsageError(f"--timeout {options.timeout:g}: give a number of seconds above 0")


def _refuse_range(options: argparse.Namespace) -> None:
    if not options.over_subject:
        for name in ("build", "good_subject", "bad_subject"):
            if getattr(options, name):
                raise UsageError(f"{_spelled(name)} goes with --over-subject only")
        return
    if options.subject:
        raise UsageError("--subject names one subject, --over-subject many: give one of them")
    ends = bool(options.good_subject), bool(options.bad_subject)
    if options.build and any(ends):
        raise UsageError("with --build there is one axis: name its ends with --good and --bad")
    if not options.build and not all(ends):
        raise UsageError(
            "--over-subject needs --build (one axis), or --good-subject and --bad-subject (both)"
        )


def _spelled(name: str) -> str:
    return f"--{name.replace('_', '-')}"
