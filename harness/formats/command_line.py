"""The command line of a llama-server as its file has it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import FormatError
from harness.formats.places import Edit, Row, VariablePlace, Word


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a file starts no server, however good the command line.

    Attributes:
        word: What in the file is to blame, as it is written there.
        why: What becomes of it.
        words: What the server is handed in place of the arguments that were meant.
    """

    word: str
    why: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """A command line as its file has it.

    Attributes:
        words: Arguments after the program, without ``serve`` or ``--server`` and without what
            a wrapper takes for itself. A variable whose value is not in the file stands in them
            as it stands there: ``$PORT``, ``${PORT}``.
        env: Variables that the file sets.
        env_unknown: Variables that it sets to what is not in the file.
        assumed: What was taken for granted where the file alone cannot tell: a condition, a
            file that is not there.
        fault: Why the file starts no server at all; None where it does.
        files: Text of files that it names, by the name it gives them; others are read where they
            lie.
    """

    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    env_unknown: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    fault: Fault | None = None
    files: Mapping[str, str] = field(default_factory=dict)


class CommandLines(Mapping[str, CommandLine]):
    """The command lines of a file by name; the name is empty where there is one without a name.

    Attributes:
        unread: Why each of those that cannot be read cannot be, by name.
    """

    def __init__(self, lines: Mapping[str, CommandLine], unread: Mapping[str, str]) -> None:
        self._lines = dict(lines)
        self.unread = dict(unread)

    def __getitem__(self, name: str) -> CommandLine:
        if name in self.unread:
            raise FormatError(self.unread[name])
        return self._lines[name]

    def __contains__(self, name: object) -> bool:
        return name in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable that a file sets.

    Attributes:
        value: None where it is not in the file.
        place: Where it is set; None where that cannot be changed.
    """

    value: str | None
    place: VariablePlace | None = None


AddVariables = Callable[[Sequence[tuple[str, str]]], list[Edit]]
"""The edits that set more variables."""


@dataclass(frozen=True, kw_only=True)
class PlacedLine:
    """A command line, and where the file has it.

    Attributes:
        words: The arguments.
        env: The variables.
        row: Where the first argument would stand; None where none can.
        add: Sets more variables; None where the file has no place for them.
        assumed: See CommandLine.
        fault: See CommandLine.
        files: See CommandLine.
    """

    words: tuple[Word, ...]
    env: Mapping[str, Variable] = field(default_factory=dict)
    row: Row | None = None
    add: AddVariables | None = None
    assumed: tuple[str, ...] = ()
    fault: Fault | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> CommandLine:
        """The command line alone."""
        known = {name: one.value for name, one in self.env.items() if one.value is not None}
        return CommandLine(
            words=tuple(map(str, self.words)),
            env=known,
            env_unknown=tuple(name for name in self.env if name not in known),
            assumed=tuple(dict.fromkeys(self.assumed)),
            fault=self.fault,
            files=self.files,
        )
