"""``llama-harness upgrade``: a command line of one build, written and proved for another."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness.builds import Build, Catalogue, load_catalogue
from harness.cells.workbench import Workbench, open_workbench
from harness.config.paths import is_file, working_directory
from harness.errors import UsageError
from harness.flags.atlas import load_atlas
from harness.formats.document import decoded
from harness.gguf_models.fitting import fitting_model
from harness.model import LoadRequest
from harness.subjects import check_file
from harness.subjects.command_lines import CommandLine, words_of
from harness.subjects.given import GivenLine, read_given
from harness.terminal import note, say, say_json
from harness.upgrade.bumps import bumps_since, files_concerned, pinned_build
from harness.upgrade.era import Era
from harness.upgrade.files import diff, rewritten_files, write_files
from harness.upgrade.proof import Prover, Side
from harness.upgrade.showing import as_json, markdown_lines, text_lines, unproved_lines
from harness.upgrade.upgrading import Upgrade, planned, upgraded, worst

_NEWEST: Final = "newest"
_MODES: Final = ("auto", "mtp", "ngram", "off")
"""What a subject is asked for."""
_SUBJECT_MODEL: Final = "tiny-mtp"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "upgrade",
        help="write a command line of one build for another, and prove it",
        description="What changes for a command line between two builds: what is refused, renamed "
        "or without effect, which defaults drift, which keys of the API come and go; and the "
        "command line for the new build, launched on it and compared with the old one on the old.",
        epilog="Exit status: 0 nothing to do; 1 changes are needed, and proved; 4 changes are "
        "needed that nothing can express; 3 the harness could not tell; 2 usage.",
    )
    parser.add_argument(
        "--from", dest="old", metavar="BUILD", help="the old build (default: what the file pins)"
    )
    parser.add_argument(
        "--to", dest="new", default=_NEWEST, metavar="BUILD", help="the new one (default: newest)"
    )
    parser.add_argument(
        "--base",
        metavar="REVISION",
        help="both builds from what changed since a git revision, of the files that it concerns",
    )
    parser.add_argument("--env", default="cpu", metavar="E", help="environment (default: cpu)")
    parser.add_argument("--model", metavar="NAME", help="model to load (default: one that fits)")
    parser.add_argument("--subject", metavar="S", help="compare what a subject writes for both")
    parser.add_argument(
        "--mode",
        action="append",
        default=[],
        metavar="MODE",
        help=f"what the subject is asked for (default: {', '.join(_MODES)})",
    )
    parser.add_argument(
        "--variable", action="append", default=[], metavar="NAME=VALUE", help="a variable of it"
    )
    parser.add_argument("--format", metavar="KIND", help="the file's kind (default: by content)")
    parser.add_argument(
        "--pin-defaults", action="store_true", help="pin what drifted to what it was"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--write", action="store_true", help="change the file")
    form.add_argument("--diff", action="store_true", help="print a unified diff of the file")
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a pull request's comment")
    parser.add_argument("--backup", action="store_true", help="keep the file as FILE.orig")
    parser.add_argument(
        "argv", nargs="*", metavar="ARGV", help="files with command lines, or one after --"
    )
    parser.set_defaults(func=upgrade)


def upgrade(options: argparse.Namespace) -> int:
    """Upgrade every command line that is given.

    Raises:
        HarnessError: A build, the command line or its file has no meaning.
    """
    _check(options)
    catalogue = load_catalogue()
    if options.base:
        return _of_bumps(options, catalogue)
    old, new = _ends(options, catalogue)
    with open_workbench(catalogue=catalogue) as workbench:
        eras = (_era(old, options, workbench), _era(new, options, workbench))
        done = [*_done(options, eras, workbench)]
    _show(done, options)
    return worst(one.status for one in done)


def _check(options: argparse.Namespace) -> None:
    files = [word for word in options.argv if is_file(Path(word))]
    if options.write or options.diff:
        if not options.base and (not files or len(files) != len(options.argv)):
            raise UsageError("--write and --diff: give a file, not a command line after --")
        if options.variable:
            raise UsageError("--variable: goes with a command line after --, not with a file")
    if options.backup and not options.write:
        raise UsageError("--backup: goes with --write")
    if options.mode and not options.subject:
        raise UsageError("--mode: goes with --subject")
    if options.subject:
        check_file(options.subject)
    given = [bool(options.argv or options.variable), bool(options.subject), bool(options.base)]
    if sum(given) != 1:
        what = "a command line after -- or by --variable, files, --subject or --base"
        raise UsageError(f"give {what}, one of them")


def _ends(options: argparse.Namespace, catalogue: Catalogue) -> tuple[Build, Build]:
    """The old build and the new one."""
    real = [build for build in catalogue.builds if build.upstream_number is not None]
    new = real[-1] if options.new == _NEWEST else catalogue.get(options.new)
    if options.old:
        return catalogue.get(options.old), new
    if options.subject:
        return next((one for one in reversed(real) if one.number < new.number), new), new
    texts = [decoded(Path(word).read_bytes()) for word in options.argv if is_file(Path(word))]
    numbers = {number for text in texts if (number := pinned_build(text)) is not None}
    if len(numbers) != 1:
        raise UsageError("--from: which build is the command line written for?")
    return _build(numbers.pop(), catalogue, elsewhere=False), new


def _of_bumps(options: argparse.Namespace, catalogue: Catalogue) -> int:
    """Upgrade the files that a change of a build concerns, each between the builds it pins."""
    bumps = bumps_since(options.base)
    done: list[Upgrade] = []
    for old, new in dict.fromkeys((bump.old, bump.new) for bump in bumps):
        mine = [bump for bump in bumps if (bump.old, bump.new) == (old, new)]
        builds = [_build(number, catalogue, elsewhere=True) for number in (old, new)]
        others = (build for build in builds if build not in catalogue.builds)
        known = replace(catalogue, builds=(*catalogue.builds, *others))
        options.argv = [str(_near(path)) for path in files_concerned(mine)]
        with open_workbench(catalogue=known) as workbench:
            eras = (_era(builds[0], options, workbench), _era(builds[1], options, workbench))
            found = [*_done(options, eras, workbench)]
        done += found
        if not options.json:
            _show(found, options)
    if options.json:
        _show(done, options)
    if not bumps:
        note(f"no build's number changed since {options.base}")
    return worst(one.status for one in done)


def _near(path: Path) -> Path:
    """A file as one names it from here."""
    here = working_directory()
    return path.relative_to(here) if here and path.is_relative_to(here) else path


def _build(number: int, catalogue: Catalogue, *, elsewhere: bool) -> Build:
    """The build of a number in the catalogue, else of whatever source has it.

    Args:
        number: llama.cpp's.
        catalogue: Of the builds that are known.
        elsewhere: Whether to look for one that is not.
    """
    known = (one for one in catalogue.builds if not (one.fork or one.emulated))
    found = next((one for one in known if one.number == number), None)
    if found is not None or not elsewhere:
        return found or catalogue.get(f"b{number}")
    from harness.builds.offers import numbered_offer

    return Build(id=f"b{number}", number=number, sources=numbered_offer(number))


def _era(build: Build, options: argparse.Namespace, workbench: Workbench) -> Era:
    number = build.number
    return Era(
        id=build.id,
        number=number,
        fork=build.fork,
        capabilities=workbench.capabilities(build.id, options.env),
        in_atlas=not build.fork and number in load_atlas(),
    )


def _done(
    options: argparse.Namespace, eras: tuple[Era, Era], workbench: Workbench
) -> Iterator[Upgrade]:
    if options.subject:
        model = options.model or _SUBJECT_MODEL
        prover = Prover(workbench=workbench, environment=options.env, model=model)
        for mode in options.mode or _MODES:
            request = LoadRequest(model=model, mode=mode)
            yield planned(options.subject, request, eras, prover)
        return
    for one in _given(options):
        if one.line is None:
            note(f"{one.name}: cannot be read: {one.unread}")
            continue
        if one.line.fault is not None:
            note(f"{one.name}: {one.line.fault.word}: {one.line.fault.why}")
            continue
        prover = Prover(
            workbench=workbench,
            environment=options.env,
            model=options.model or fitting_model(words_of(one.subject())),
            has_program=one.has_program,
        )
        old, new = (Side(era=era, line=_where_it_lies(one.line, one.name)) for era in eras)
        yield upgraded(one.name, old, new, prover, pin=options.pin_defaults)


def _where_it_lies(line: CommandLine, file: str) -> CommandLine:
    """The command line of a preset, which is to be written where it was found."""
    words = tuple(file if word in line.files else word for word in line.words)
    return replace(line, words=words, files={})


def _given(options: argparse.Namespace) -> Iterator[GivenLine]:
    files = [word for word in options.argv if is_file(Path(word))]
    alone = files and len(files) == len(options.argv)
    for words in [[file] for file in files] if alone else [options.argv]:
        yield from read_given(words, options.variable, "upgrade", options.format)


def _show(done: Sequence[Upgrade], options: argparse.Namespace) -> None:
    if options.json:
        say_json({"command_lines": [as_json(one) for one in done]})
    elif options.write or options.diff:
        for path in dict.fromkeys(Path(word) for word in options.argv):
            _show_file(path, done, options)
    else:
        for one in done:
            for text in (markdown_lines if options.markdown else text_lines)(one):
                say(text)


def _show_file(path: Path, done: Sequence[Upgrade], options: argparse.Namespace) -> None:
    mine = {
        one.name.removeprefix(str(path)).removeprefix("#"): one
        for one in done
        if one.name == str(path) or one.name.startswith(f"{path}#")
    }
    for name, one in [*mine.items()]:
        for line in unproved_lines(one):
            note(f"{one.name}: {line}")
        if not one.starts:
            del mine[name]
    changes = {name: one.stages for name, one in mine.items()}
    presets = {file: text for one in mine.values() for file, text in one.files.items()}
    files = rewritten_files(path, changes, presets, options.format)
    if options.write:
        write_files(files, backup=options.backup)
        return
    for line in diff(files):
        say(line, end="")
