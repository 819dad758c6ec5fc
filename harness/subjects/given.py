"""Command lines as a user gives them to a command: after ``--``, or in a file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.config.paths import exists, is_file
from harness.errors import UsageError
from harness.formats import FORMATS, read_file
from harness.subjects.command_lines import CommandLine, StaticSubject, server_arguments
from harness.subjects.plans import is_server_program

SUBJECT = "argv"
"""The name of a command line given by hand, as a subject."""


@dataclass(frozen=True, kw_only=True)
class GivenLine:
    """One command line that was given.

    Attributes:
        name: Of the file and of the command line in it; empty for one after ``--``.
        line: The command line; None where it cannot be read.
        has_program: Whether the program stood before it.
        unread: Why it cannot be read.
    """

    name: str
    line: CommandLine | None
    has_program: bool
    unread: str = ""

    def subject(self) -> StaticSubject:
        """The command line as a subject."""
        assert self.line is not None
        name = f"{SUBJECT}:{self.name}" if self.name else SUBJECT
        return StaticSubject(name, self.line, has_program=self.has_program)


def read_given(
    words: Sequence[str], variables: Iterable[str], command: str, kind: str | None = None
) -> tuple[GivenLine, ...]:
    """The command lines, in their order.

    Args:
        words: What stands after the command's options: a file alone, or a command line.
        variables: ``NAME=VALUE``, laid over those that the command line sets.
        command: Its name, for errors.
        kind: The name of the file's format; told by its content where None.

    Raises:
        UsageError: A variable or a format has no meaning.
        FormatError: There is no command line in it.
    """
    added = dict(map(_variable, variables))
    if kind is not None and kind not in FORMATS:
        raise UsageError(f"--format {kind!r}: there are {', '.join(FORMATS)}")
    if _is_file_alone(words):
        found = [*_of_file(Path(words[0]), kind)]
    else:
        # A server may be told everything by variables.
        assigned = [f"{name}={value}" for name, value in added.items()]
        if words and is_server_program(words[-1]):
            line = CommandLine(words=(), env={})  # a bare start
        else:
            line = server_arguments([*assigned, *words], command)
        found = [GivenLine(name="", line=line, has_program=any(map(is_server_program, words)))]
    return tuple(
        replace(one, line=replace(one.line, env={**one.line.env, **added})) if one.line else one
        for one in found
    )


def given_lines(
    words: Sequence[str], variables: Iterable[str], command: str
) -> Mapping[str, CommandLine]:
    """Those that can be read, by name; see ``read_given``."""
    given = read_given(words, variables, command)
    return {one.name: one.line for one in given if one.line is not None}


def _is_file_alone(words: Sequence[str]) -> bool:
    if len(words) != 1 or words[0].startswith("-") or is_server_program(words[0]):
        return False
    if is_file(Path(words[0])):
        return True
    kind, _, rest = words[0].partition(":")
    if kind == SUBJECT and rest:
        file = rest.partition("#")[0]
        raise UsageError(f"{words[0]}: here a file stands by itself, for all that it has: {file}")
    if kind == "recording" and rest:
        raise UsageError(f"{words[0]}: is for --subject of matrix, explain, upgrade and bisect")
    looks_so = not exists(Path(words[0])) and Path(words[0]).suffix and " " not in words[0]
    if looks_so:
        raise UsageError(f"{words[0]}: there is no such file, and a command line stands after --")
    return False


def _of_file(path: Path, kind: str | None) -> Iterator[GivenLine]:
    lines = read_file(path, kind)
    for name, line in lines.items():
        yield GivenLine(name=_named(path, name), line=line, has_program=True)
    for name, why in lines.unread.items():
        yield GivenLine(name=_named(path, name), line=None, has_program=True, unread=why)


def _named(path: Path, name: str) -> str:
    return f"{path}#{name}" if name else str(path)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--variable {text!r}: write NAME=VALUE")
    return name, value
