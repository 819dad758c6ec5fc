"""Which words of a command are a llama-server's arguments, behind whatever starts it."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from harness.flags.families import MODEL, REMOTE_MODEL
from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.places import BlankRow, Edit, Place, Row, Word, assignment_at
from harness.formats.traced import Traced
from harness.formats.words import assignment, stands

_DEPTH: Final = 20
_OWN_WORDS: Final = 3
"""Of a program that is not known here, the server's at the latest among them; more are prose."""

_SERVER: Final = re.compile(r"llama-server(?:[-_.][\w.-]+)?")
_NO_PROGRAM: Final = re.compile(
    r"\.(service|sh|bash|log|conf|cfg|env|txt|ya?ml|json|py|js|pid|sock|socket|container|bat|cmd"
    r"|ps1|md|cpp|dockerfile|gguf|toml|ini|plist|timer|zip|gz)"
)
_PRINTED: Final = re.compile(r"(\$\([^()]*|`[^`]*)\bllama-server\b([^()]*\)|[^`]*`)")
"""A command whose output is the program: ``$(which llama-server)``."""

_VARIABLE: Final = re.compile(r"[$%]\{?(\w*(?:llama|server)\w*)[}%]?", re.IGNORECASE)
_WITHIN_TEXT: Final = re.compile(r"(^|[\s/\\])llama(-server|(\.exe)? serve)\S*\s+-")
_MODEL_FLAGS: Final = frozenset({*MODEL.flags, *REMOTE_MODEL.flags})
_OWN_FLAGS: Final = frozenset(
    {"-m", "-hf", "-hfr", "-mu", "--hf-repo", "--models-dir", "--models-preset"}
)
_CMDLET: Final = re.compile(r"(get|set|test|write|out|stop|remove|copy|move|new|add|read|wait)-\w+")
"""Commands of PowerShell that name the program and do not start it."""

_ASKS: Final = frozenset({"--version", "--help", "-h", "--usage", "--list-devices"})
"""With one of these a server tells something and ends."""

_SHELLS: Final = frozenset({"sh", "bash", "zsh", "dash", "ash", "ksh", "busybox"})
_ENGINES: Final = frozenset({"docker", "podman", "nerdctl", "docker-compose", "podman-compose"})


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """A program that starts another.

    Attributes:
        values: Its options that take a value.
        operands: How many words of its own come before the program.
        assigns: Whether it takes ``NAME=value`` for the program.
        clears: Whether it hands on no variables but those.
    """

    values: frozenset[str]
    operands: int = 0
    assigns: bool = False
    clears: bool = False


@dataclass(frozen=True, kw_only=True)
class Programs:
    """What is known of programs that stand in front of a server; see resources/programs.toml."""

    mentions: frozenset[str]
    takes_text: frozenset[str]
    run_switches: frozenset[str]
    wrappers: Mapping[str, Wrapper]


@cache
def known_programs() -> Programs:
    """The table of programs."""
    text = (files("harness.formats") / "resources" / "programs.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    wrappers = {
        name: Wrapper(**{**one, "values": frozenset(one.get("values", "").split())})
        for name, one in table["wrappers"].items()
    }
    return Programs(
        mentions=frozenset(table["mentions"].split()),
        takes_text=frozenset(table["takes_text"].split()),
        run_switches=frozenset(table["run_switches"].split()),
        wrappers=wrappers,
    )


@dataclass(frozen=True, kw_only=True)
class Around:
    """What a command stands in.

    Attributes:
        file: The whole file.
        shell: Reads the text that a command hands to a shell, with the variables it has there.
        beside: The text of a file beside this one.
    """

    file: str
    shell: Callable[[Traced, Mapping[str, Variable]], list[PlacedLine]]
    beside: Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class Started:
    """A command on its way to the program.

    Attributes:
        words: What is left of it.
        env: The variables that it is started with.
        around: What it stands in.
        add: Sets more variables; None where nothing can.
        depth: How many programs have started it.
    """

    words: Sequence[Word]
    env: Mapping[str, Variable]
    around: Around
    add: AddVariables | None = None
    depth: int = 0

    @property
    def plain(self) -> list[str]:
        """The words as text."""
        return [str(word) for word in self.words]


def program_name(word: str) -> str:
    """A program's name without its path and ``.exe``."""
    name = PurePosixPath(word).name
    return PureWindowsPath(name).name.lower().removesuffix(".exe")


def arguments_at(words: Sequence[str], index: int) -> int | None:
    """Where the arguments begin if a llama-server program stands at an index; else None."""
    word, rest = words[index], words[index + 1 :]
    name, own = program_name(word), 0
    if word.startswith("-"):
        return None
    if name in {"llama", "llama-app"}:
        own = 2 if rest[:1] in (["serve"], ["server"]) else 0
    elif name == "tools.sh":
        own = 2 if rest[:1] in (["--server"], ["-s"]) else 0
    elif _SERVER.fullmatch(name):
        own = 0 if _NO_PROGRAM.fullmatch(PurePosixPath(name).suffix) else 1
    elif name == "server":  # what it was called until June 2024
        own = 1 if _has_model(rest) else 0
    elif _PRINTED.fullmatch(word):
        own = 1
    elif _VARIABLE.fullmatch(word):
        own = 1 if rest[:1] and rest[0].startswith("-") and _has_model(rest) else 0
    return index + own if own else None


def _has_model(words: Iterable[str]) -> bool:
    return any(word.partition("=")[0] in _MODEL_FLAGS for word in words)


def looks_like_arguments(words: Sequence[str], env: Iterable[str]) -> bool:
    """Whether words without a program read as a llama-server's arguments, and no other's."""
    own = any(name.startswith("LLAMA_ARG_") for name in env)
    if not words:
        return own
    loads = any(a == "--model" and b.endswith(".gguf") for a, b in pairwise(words))
    return words[0].startswith("-") and (own or loads or not _OWN_FLAGS.isdisjoint(words))


def servers_of(
    words: Sequence[Word],
    env: Mapping[str, Variable],
    around: Around,
    add: AddVariables | None = None,
    depth: int = 0,
) -> list[PlacedLine]:
    """The command lines of the llama-servers that a command starts; most start none.

    Args:
        words: The command.
        env: The variables it is started with.
        around: What it stands in.
        add: Sets more variables; the words before the command where there is none.
        depth: How many programs have started it.
    """
    variables, rest = dict(env), list(words)
    add = add or before_command(rest)
    while rest and (assigned := assignment(rest[0])):
        variables[assigned[0]] = variable_of(assigned[1], rest.pop(0))
    if not rest or depth > _DEPTH:
        return []
    started = Started(words=rest, env=variables, around=around, add=add, depth=depth)
    start = arguments_at(started.plain, 0)
    if start is None:
        return _behind(started)
    return (
        []
        if started.plain[start : start + 1] and started.plain[start] in _ASKS
        else [line_at(started, start)]
    )


def _behind(started: Started) -> list[PlacedLine]:
    """What a program starts that is no server itself."""
    plain, words = started.plain, started.words
    name, known = program_name(plain[0]), known_programs()
    if name in _ENGINES:
        from harness.formats.containers import run_by_engine

        return run_by_engine(replace(started, words=words[1:]))
    if name in _SHELLS and (script := _script(plain)):
        return started.around.shell(words[script].text, started.env)
    if name == "env" and plain[1:2] == ["-S"]:
        return started.around.shell(_spaced(words[2:]), started.env)
    if (
        name in known.mentions
        or _CMDLET.fullmatch(name)
        or plain[:2] in (["command", "-v"], ["command", "-V"])
    ):
        return []
    wrapper = known.wrappers.get(name)
    return _wrapped(wrapper, started) if wrapper else _somewhere(started)


def variable_of(value: Traced, word: Word) -> Variable:
    """A variable that one word sets."""
    known = None if stands(value.text) else value.text
    return Variable(value=known, place=assignment_at(word.place))


def line_at(started: Started, start: int) -> PlacedLine:
    """The command line whose arguments begin at an index, behind the program."""
    words = started.words
    return PlacedLine(
        words=tuple(words[start:]),
        env=started.env,
        row=row_behind(words[start - 1].place),
        add=started.add,
    )


def row_behind(place: Place | None) -> Row | None:
    """Where words stand that come directly behind one that is there."""
    if place is None:
        return None
    if isinstance(place.row, BlankRow):
        return replace(place.row, write=place.write, head=place.end, pad=" ")
    return _Behind(place)


@dataclass(frozen=True, slots=True)
class _Behind:
    """The row that a program begins, where it has no arguments yet."""

    program: Place

    def insert(
        self, words: Sequence[str], *, after: Place | None = None, before: Place | None = None
    ) -> Edit:
        """See Row."""
        return self.program.row.insert(words, after=after or self.program, before=before)

    def remove(self, first: Place, last: Place) -> Edit:
        """See Row."""
        return self.program.row.remove(first, last)

    def adjoin(self, one: Place, other: Place) -> bool:
        """See Row."""
        return self.program.row.adjoin(one, other)


def before_command(words: Sequence[Word]) -> AddVariables | None:
    """Sets variables in front of a command, as a shell reads them."""
    place = words[0].place if words else None
    if place is None or not isinstance(place.row, BlankRow):
        return None
    return lambda pairs: [place.row.insert([f"{n}={v}" for n, v in pairs], before=place)]


def _script(words: Sequence[str]) -> int | None:
    """Which word is the text of ``sh -c TEXT``."""
    for index, word in enumerate(words[1:-1], start=1):
        if re.fullmatch(r"-[a-z]*c", word):
            return index + 1
        if not word.startswith(("-", "+")) and program_name(words[0]) != "busybox":
            return None
    return None


def _spaced(words: Iterable[Word]) -> Traced:
    return Traced.joined(piece for word in words for piece in (word.text, Traced.made(" ")))


def _own_words(wrapper: Wrapper, words: Sequence[Word]) -> tuple[int, list[Word]]:
    """How many words are the wrapper's own, and which of them set variables."""
    assigned, index, operands = list[Word](), 0, wrapper.operands
    while index < len(words):
        word = str(words[index])
        if word == "--" and not operands:
            return index + 1, assigned
        if word.startswith("-") and len(word) > 1:
            index += 2 if word in wrapper.values else 1
        elif wrapper.assigns and assignment(words[index]):
            assigned.append(words[index])
            index += 1
        elif operands:
            operands -= 1
            index += 1
        else:
            break
    return index, assigned


def _wrapped(wrapper: Wrapper, started: Started) -> list[PlacedLine]:
    words, around = started.words, started.around
    count, assigned = _own_words(wrapper, words[1:])
    options, rest = set(started.plain[1 : 1 + count]), words[1 + count :]
    clears = wrapper.clears and not any(re.match(r"-E|--preserve-env", one) for one in options)
    if program_name(str(words[0])) == "env" and options & {"-i", "--ignore-environment", "-"}:
        clears = True
    variables = {} if clears else dict(started.env)
    for word in assigned:
        if found := assignment(word):
            variables[found[0]] = variable_of(found[1], word)
    add = (before_command(rest) if wrapper.assigns else None) or started.add
    if len(rest) == 1 and " " in str(rest[0]).strip():  # ssh and eval take a whole text
        lines = around.shell(rest[0].text, variables)
    else:
        lines = servers_of(rest, variables, around, add, started.depth + 1)
    lost = [one for one in started.env if one not in variables and one.startswith("LLAMA_")]
    note = (f"{words[0]} does not hand on {', '.join(lost)}",) if lost else ()
    return [replace(line, assumed=(*note, *line.assumed)) for line in lines]


def _somewhere(started: Started) -> list[PlacedLine]:
    """Behind a program that is not known here: tmux, screen, a script that takes a command."""
    plain = started.plain
    takes_text = program_name(plain[0]) in known_programs().takes_text
    for index in range(1, len(plain) if takes_text else min(len(plain), _OWN_WORDS)):
        start = arguments_at(plain, index)
        if start is not None:
            follows = plain[start : start + 1]
            is_start = follows and follows[0].startswith("-") and follows[0] not in _ASKS
            return [line_at(started, start)] if is_start else []
        if takes_text and _WITHIN_TEXT.search(plain[index]):
            return started.around.shell(started.words[index].text, started.env)
    return []


def variables_of_file(text: str, *, raw: bool = False) -> dict[str, Variable]:
    """The variables that a file of ``NAME=value`` lines sets."""
    from harness.formats.dotenv import values

    return {
        name: Variable(value=None if stands(value) else value)
        for name, value in values(text, {}, raw=raw).items()
    }
