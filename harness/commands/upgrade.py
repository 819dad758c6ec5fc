"""``llama-harness upgrade``: a command line of one build, written and proved for another."""

import argparse
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.builds import Build, load_catalogue
from harness.cells.workbench import Workbench, open_workbench
from harness.commands.check import fitting_model
from harness.config.paths import is_file
from harness.errors import (
    EXIT_CANNOT_TELL,
    EXIT_FAIL,
    EXIT_NOTHING_SAYS_IT,
    EXIT_OK,
    UsageError,
    writing,
)
from harness.model import CellResult, Verdict
from harness.subjects.command_lines import CommandLine
from harness.subjects.given import given_lines
from harness.terminal import say, say_json
from harness.upgrade.pins import pinned
from harness.upgrade.proof import Proof, Side, prove
from harness.upgrade.rewriting import Change, Rewriting, Target, rewrite, words_of
from harness.verdicts.findings import Finding, finding_of

_NEWEST: Final = "newest"


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """One command line between two builds.

    Attributes:
        name: Of the command line, where a file has several.
        before: As it was written.
        rewriting: As it is to be written.
        proof: What both launches showed.
        pins: What drifted and is pinned, with the words that do it.
        old: What the old build does with the old line.
        new: What the new build does with the new line.
    """

    name: str
    before: CommandLine
    rewriting: Rewriting
    proof: Proof
    pins: tuple[str, ...]
    old: Finding
    new: Finding

    @property
    def changed(self) -> bool:
        """Whether the command line is written otherwise."""
        return self.rewriting.line != self.before

    @property
    def lost(self) -> tuple[Change, ...]:
        """What was dropped, and is not so without having been asked for either."""
        return tuple(one for one in self.rewriting.dropped if not self.proof.keeps(one.before[0]))

    @property
    def status(self) -> int:
        """The exit status that it alone would have."""
        told = (self.proof.old.effective, self.proof.new.effective)
        if Verdict.ERROR in {self.proof.old.status, self.proof.new.status} or told[0] is None:
            return EXIT_CANNOT_TELL
        if told[1] is None or self.lost or self.proof.differing:
            return EXIT_NOTHING_SAYS_IT
        return EXIT_FAIL if self.changed else EXIT_OK


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
        done = [_upgraded(name, line, old, new, options, workbench) for name, line in lines.items()]
    if options.json:
        say_json([_as_json(one, old, new) for one in done])
    elif file is not None and (options.write or options.diff):
        _rewrite_file(file, done, write=options.write)
    else:
        for one in done:
            for text in (_markdown if options.markdown else _text)(one, old, new):
                say(text)
    return _worst([one.status for one in done])


def _worst(statuses: Sequence[int]) -> int:
    order = (EXIT_NOTHING_SAYS_IT, EXIT_CANNOT_TELL, EXIT_FAIL)
    return next((status for status in order if status in statuses), EXIT_OK)


def _upgraded(
    name: str,
    line: CommandLine,
    old: Build,
    new: Build,
    options: argparse.Namespace,
    workbench: Workbench,
) -> Upgrade:
    before = workbench.capabilities(old.id, options.env)
    target = Target(
        id=new.id, number=new.number, capabilities=workbench.capabilities(new.id, options.env)
    )
    model = options.model or fitting_model(line.words)
    rewriting = rewrite(line, before, target)

    def proved(candidate: CommandLine) -> Proof:
        return prove(
            Side(build=old.id, line=line),
            Side(build=new.id, line=candidate),
            options.env,
            model,
            workbench,
        )

    proof = proved(rewriting.line)
    pins: tuple[str, ...] = ()
    if options.pin_defaults:
        found = pinned(proof.drifted, target.capabilities)
        pins = tuple(word for _, words in found for word in words)
    if pins:
        whole = replace(rewriting.line, words=(*rewriting.line.words, *pins))
        rewriting = replace(rewriting, line=whole)
        proof = proved(whole)
    return Upgrade(
        name=name,
        before=line,
        rewriting=rewriting,
        proof=proof,
        pins=pins,
        old=_finding(proof.old, line, workbench, options.env),
        new=_finding(proof.new, rewriting.line, workbench, options.env),
    )


def _finding(
    result: CellResult, line: CommandLine, workbench: Workbench, environment: str
) -> Finding:
    return finding_of(
        result, workbench.capabilities(result.build, environment), line.words, line.env, {}
    )


def _rewrite_file(file: Path, done: Sequence[Upgrade], *, write: bool) -> None:
    from harness.formats import rewritten as rewritten_text

    text = file.read_text(encoding="utf-8")
    after = text
    for one in done:
        after = rewritten_text(after, str(file), one.name, one.before, one.rewriting.line)
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


def _shown(line: CommandLine) -> str:
    import shlex

    variables = [f"{name}={value}" for name, value in line.env.items()]
    return shlex.join([*variables, *line.words])


def _facts(one: Upgrade) -> Iterator[tuple[str, Sequence[str]]]:
    """What there is to say, by heading."""
    yield "refused or renamed", [*words_of(one.rewriting.changes)]
    yield "lost", [" ".join(change.before) for change in one.lost]
    yield "without effect on the new build", [remark.why for remark in one.new.silent]
    yield "not as it was asked for", [str(change) for change in one.proof.differing]
    yield "drift", [str(change) for change in one.proof.drifted]
    yield "the API", one.proof.interface


def _text(one: Upgrade, old: Build, new: Build) -> Iterator[str]:
    if one.name:
        yield one.name
    yield f"{old.id}: {one.old.message}"
    yield f"{new.id}: {one.new.message}"
    for heading, said in _facts(one):
        if said:
            yield f"{heading}:"
        yield from (f"  {text}" for text in said)
    if one.changed:
        yield "write:"
        yield f"  {_shown(one.rewriting.line)}"
    else:
        yield "nothing to write otherwise"


def _markdown(one: Upgrade, old: Build, new: Build) -> Iterator[str]:
    yield f"### {one.name or 'llama-server'}: {old.id} → {new.id}"
    yield ""
    for heading, said in _facts(one):
        if said:
            yield f"**{heading[0].upper()}{heading[1:]}**"
            yield ""
            yield from (f"- {' '.join(text.split())}" for text in said)
            yield ""
    if one.changed:
        yield "```diff"
        yield f"-{_shown(one.before)}"
        yield f"+{_shown(one.rewriting.line)}"
        yield "```"
    else:
        yield "Nothing is to be written otherwise."


def _as_json(one: Upgrade, old: Build, new: Build) -> Mapping[str, Any]:
    return {
        "name": one.name,
        "from": old.id,
        "to": new.id,
        "status": one.status,
        "argv": one.rewriting.line.words,
        "env": one.rewriting.line.env,
        "changes": [
            {"kind": c.kind.value, "before": c.before, "after": c.after, "why": c.why}
            for c in one.rewriting.changes
        ],
        "lost": [change.before for change in one.lost],
        "pins": one.pins,
        "silent": [{"word": remark.word, "why": remark.why} for remark in one.new.silent],
        "differing": [_drift_json(change) for change in one.proof.differing],
        "drift": [_drift_json(change) for change in one.proof.drifted],
        "interface": one.proof.interface,
    }


def _drift_json(change: Any) -> Mapping[str, Any]:
    return {"setting": change.setting, "before": change.before, "after": change.after}
