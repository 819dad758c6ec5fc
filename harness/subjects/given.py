"""Command lines as a user gives them to a command: after ``--``, or in a file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.config.paths import is_file
from harness.errors import UsageError
from harness.subjects.argv_file import read_command_lines
from harness.subjects.command_lines import CommandLine, server_arguments


def given_lines(
    words: Sequence[str], variables: Iterable[str], command: str
) -> Mapping[str, CommandLine]:
    """The command lines by name; the name is empty for one after ``--``.

    Args:
        words: What stands after the command's options: a file alone, or a command line.
        variables: ``NAME=VALUE``, laid over those that the command line sets.
        command: Its name, for errors.

    Raises:
        UsageError: A variable is not of that form.
        SubjectError: There is no command line in it.
    """
    added = dict(map(_variable, variables))
    if len(words) == 1 and not words[0].startswith("-") and is_file(Path(words[0])):
        found = read_command_lines(Path(words[0]))
        named = {f"{words[0]}#{name}" if name else words[0]: line for name, line in found.items()}
    else:
        assigned = [f"{name}={value}" for name, value in added.items()]
        named = {"": server_arguments([*assigned, *words], command)}
    return {name: replace(line, env={**line.env, **added}) for name, line in named.items()}


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--variable {text!r}: write NAME=VALUE")
    return name, value
