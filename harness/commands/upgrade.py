"""``llama-harness upgrade``: a command line of one build, written and proved for another."""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.builds import Build, load_catalogue
from harness.cells.workbench import Workbench, open_workbench
from harness.commands.check import fitting_model
from harness.config.paths import is_file
from harness.errors import UsageError, writing
from harness.subjects.command_lines import CommandLine
from harness.subjects.given import given_lines
from harness.terminal import say, say_json
from harness.upgrade.era import Era
from harness.upgrade.proof import Prover, Side
from harness.upgrade.showing import as_json, markdown_lines, text_lines
from harness.upgrade.upgrading import Upgrade, upgraded, worst

_NEWEST: Final = "newest"


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
    parser.add_argument("--from", dest="old", required=True, metavar="BUILD", help="the old build")
    parser.add_argument(
        "--to", dest="new", default=_NEWEST, metavar="BUILD", help="the new one (default: newest)"
    )
    parser.add_argument("--env", default="cpu", metavar="E", help="environment (default: cpu)")
    parser.add_argument("--model", metavar="NAME", help="model to load (default: one that fits)")
    parser.add_argument(
        "--variable", action="append", default=[], metavar="NAME=VALUE", help="a variable of it"
    )
    parser.add_argument(
        "--pin-defaults", action="store_true", help="pin what drifted to what it was"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--write", action="store_true", help="change the file")
    form.add_argument("--diff", action="store_true", help="print a unified diff of the file")
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a pull request's comment")
    parser.add_argument(
        "argv", nargs="*", metavar="ARGV", help="a file with command lines, or one after --"
    )
    parser.set_defaults(func=upgrade)


def upgrade(options: argparse.Namespace) -> int:
    """Upgrade every command line that is given.

    Raises:
        HarnessError: A build, the command line or its file has no meaning.
    """
    catalogue = load_catalogue()
    old = catalogue.get(options.old)
    real = [build for build in catalogue.builds if not build.emulated]
    new = real[-1] if options.new == _NEWEST else catalogue.get(options.new)
    lines = given_lines(options.argv, options.variable, "upgrade")
    file = Path(options.argv[0]) if len(options.argv) == 1 else None
    if (options.write or options.diff) and (file is None or not is_file(file)):
        raise UsageError("--write and --diff: give a file, not a command line after --")
    with open_workbench(catalogue=catalogue) as workbench:
        eras = (_era(old, options.env, workbench), _era(new, options.env, workbench))
        done = [_upgraded(name, line, eras, options, workbench) for name, line in lines.items()]
    if options.json:
        say_json([as_json(one) for one in done])
    elif file is not None and (options.write or options.diff):
        _rewrite_file(file, done, write=options.write)
    else:
        for one in done:
            for text in (markdown_lines if options.markdown else text_lines)(one):
                say(text)
    return worst(one.status for one in done)


def _era(build: Build, environment: str, workbench: Workbench) -> Era:
    return Era(
        id=build.id,
        number=build.number,
        fork=build.fork,
        capabilities=workbench.capabilities(build.id, environment),
    )


def _upgraded(
    name: str,
    line: CommandLine,
    eras: tuple[Era, Era],
    options: argparse.Namespace,
    workbench: Workbench,
) -> Upgrade:
    model = options.model or fitting_model(line.words)
    prover = Prover(workbench=workbench, environment=options.env, model=model)
    old, new = (Side(era=era, line=line) for era in eras)
    return upgraded(name, old, new, prover, pin=options.pin_defaults)


def _rewrite_file(file: Path, done: Sequence[Upgrade], *, write: bool) -> None:
    from harness.formats import rewritten as rewritten_text

    text = file.read_text(encoding="utf-8")
    after = text
    for one in done:
        after = rewritten_text(after, str(file), one.name, one.old.line, one.new.line)
    if write:
        if after != text:
            with writing(file):
                _replace(file, after)
        return
    lines = (text.splitlines(keepends=True), after.splitlines(keepends=True))
    for part in difflib.unified_diff(*lines, fromfile=str(file), tofile=str(file)):
        say(part, end="" if part.endswith("\n") else "\n")


def _replace(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8", newline="")
    beside.chmod(file.stat().st_mode)
    beside.replace(file)
