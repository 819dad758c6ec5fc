"""``argv:FILE`` and ``argv:FILE#NAME``: static command lines, in whatever file they are kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.config.paths import expanded
from harness.errors import FormatError
from harness.formats import CommandLine, CommandLines
from harness.formats import read_file as read_command_lines
from harness.subjects.command_lines import StaticSubject

__all__ = ["open", "read_command_lines"]


@contextmanager
def open(rest: str) -> Iterator[StaticSubject]:  # noqa: A001 - every subject module has it
    """Open the subject.

    Args:
        rest: ``FILE`` or ``FILE#NAME``.

    Raises:
        FormatError: The file cannot be read, is of no known format, or holds several command
            lines and no name was given.
    """
    where, _, name = rest.partition("#")
    if not where:
        raise FormatError(f"argv:{rest}: names no file")
    path = expanded(where)
    lines = read_command_lines(path)
    yield StaticSubject(f"argv:{rest}", _choose(lines, name, path))


def _choose(lines: CommandLines, name: str, path: Path) -> CommandLine:
    known = ", ".join(sorted(filter(None, lines))) or "one without a name"
    if name:
        if name not in {*lines, *lines.unread}:
            raise FormatError(f"argv:{path}: has no {name!r}; it has {known}")
        return lines[name]
    if len(lines) > 1:
        raise FormatError(f"argv:{path}: which one? Write argv:{path}#NAME with one of {known}")
    return next(iter(lines.values()))
