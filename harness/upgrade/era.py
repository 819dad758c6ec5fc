"""A build as a command line meets it, and how a command line reads there, part by part."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.flags.arguments import OFF, Argument, read_arguments
from harness.flags.capabilities import Capabilities, Option, is_negative
from harness.flags.rewrites import is_glued
from harness.flags.rules import rules
from harness.subjects.command_lines import CommandLine

UNKNOWN: Final = re.compile(r"[${}]")
"""In a value that only the place where it runs knows."""
_NEGATING: Final = "LLAMA_ARG_NO_"
_STRAY: Final = re.compile(r"(?!-[A-Za-z-])(?!.*\.gguf$)(?!\d+\.\d+\.\d+\.\d+$)")
"""A word that is no flag, and neither a model nor an address."""

Words = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Era:
    """One build.

    Attributes:
        number: Orders the builds.
        fork: The fork that it is of; empty for upstream.
        in_atlas: Whether the atlas tells of it.
    """

    id: str
    number: int
    capabilities: Capabilities
    fork: str = ""
    in_atlas: bool = False

    def since(self, number: int, forks: Sequence[str] = ()) -> bool:
        """Whether what upstream has since a build, and some forks have, is in this one."""
        return self.fork in forks if self.fork else self.number >= number

    def option(self, flag: str) -> Option | None:
        """The live option that a flag spells."""
        option = self.capabilities.option(flag)
        return None if option is None or option.removed else option

    def option_of_variable(self, name: str) -> Option | None:
        """The live option that a variable sets."""
        option = self.capabilities.option_of_variable(name)
        return None if option is None or option.removed else option

    def without(self, part: "Part") -> str:
        """Why it does not take a part."""
        if part.variable:
            return f"{self.id} does not read {part.variable}"
        flag = part.argument.flag
        removed = self.capabilities.removed(flag)
        return f"{self.id} {'has removed' if removed else 'does not know'} {flag}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """An argument of a command line, or one of its variables.

    Attributes:
        written: Its words as they stand; a variable as ``NAME=VALUE``.
        argument: What it says; of a variable the flag and value that say the same.
        variable: Its name; empty for an argument.
    """

    written: Words
    argument: Argument
    variable: str = ""

    @property
    def spellings(self) -> frozenset[str]:
        """Every flag that says the same on the build that it is read on."""
        option = self.argument.option
        return frozenset({self.argument.spelling, *(option.spellings if option else ())})

    @property
    def value(self) -> str:
        """Of a variable, as it stands."""
        return self.written[0].partition("=")[2]

    def says(self, *flags: str) -> bool:
        """Whether it is one of some flags, in any spelling."""
        return not self.spellings.isdisjoint(flags)


def read_parts(line: CommandLine, old: Era, new: Era) -> list[Part]:
    """The variables of a command line that a build reads, then its arguments.

    What only the other build knows is read as that one reads it. A word that is left over belongs
    to the flag before it: a switch of one build takes a value on another.
    """
    both = Capabilities((*old.capabilities.options, *new.capabilities.options))
    parts = [
        Part(written=(f"{name}={value}",), argument=said, variable=name)
        for name, value in line.env.items()
        if (said := said_by(name, value, old) or said_by(name, value, new)) is not None
    ]
    for read in _read(line.words, both):
        flag, values = read.flag, read.values
        before = parts[-1] if parts and not parts[-1].variable else None
        if before is not None and _belongs(read, before):
            flag, values = before.argument.flag, (*before.argument.values, flag)
            parts.pop()
        option = old.option(flag) or new.option(flag)
        own = next((i for i, word in enumerate(values) if not _STRAY.match(word)), len(values))
        others = values[own:] if option is None else ()
        argument = Argument(flag=flag, values=values[: len(values) - len(others)], option=option)
        parts.append(Part(written=argument.words, argument=argument))
        lone = (Argument(flag=word, values=(), option=None) for word in others)
        parts += (Part(written=one.words, argument=one) for one in lone)
    return parts


def _read(words: Sequence[str], capabilities: Capabilities) -> Iterator[Argument]:
    """The arguments; a flag that takes a value and has none takes no other flag for it."""
    rest = tuple(words)
    while rest:
        first = read_arguments(rest, capabilities)[0]
        following = first.value if first.value.startswith("--") else ""
        if following and capabilities.option(following) is not None:
            first = Argument(flag=first.flag, values=(), option=first.option)
        yield first
        rest = rest[len(first.words) :]


def _belongs(argument: Argument, before: Part) -> bool:
    """Whether a word that is left over is another value of the argument before it."""
    stray = argument.option is None and not argument.values and _STRAY.match(argument.flag)
    if not stray or not before.argument.flag.startswith("-"):
        return False
    several = any(before.says(*rule.flags) for rule in rules().joined)
    return not before.argument.values or several or is_glued(before.argument.value)


def said_by(name: str, value: str, era: Era) -> Argument | None:
    """The flag that says what a variable says."""
    option = era.option_of_variable(name)
    if option is None:
        return None
    if option.takes_value:
        return Argument(flag=option.spellings[0], values=(value,), option=option)
    negates = name.startswith(_NEGATING) or value.lower() in OFF
    flags = [flag for flag in option.spellings if is_negative(option, flag) == negates]
    if not flags:
        flags = [f"--no-{long.removeprefix('--')}" for long in option.spellings if long[:2] == "--"]
    return Argument(flag=flags[-1], values=(), option=option)


def as_variable(words: Words, era: Era) -> tuple[str, str] | None:
    """The variable by which a build is told what a flag says; None where it has none."""
    option = era.option(words[0])
    if option is None or not option.env or len(words) > 2:  # noqa: PLR2004 - a flag and its value
        return None
    if len(words) > 1:
        return option.env, words[1]
    if is_negative(option, words[0]) == option.env.startswith(_NEGATING):
        return option.env, "1"
    return (option.env, "0") if is_negative(option, words[0]) else None
