"""An argument list read the way a given build reads it: flags, their values, their options."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.flags.capabilities import Capabilities, Option

ON: Final = frozenset({"1", "true", "on", "enabled"})
OFF: Final = frozenset({"0", "false", "off", "disabled"})
"""Words by which switches and their variables are turned on and off."""

BEGINS_FLAG: Final = re.compile(r"-{1,2}[A-Za-z]")
"""How a flag begins, and no negative number."""
_TWO_VALUES: Final = re.compile(r"[A-Z_]+ [A-Z_]+")


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One flag of an argument list, or one variable of its environment.

    Attributes:
        flag: As it was written; the name of a variable.
        values: What follows it.
        option: The option it spells on the build; None where the build knows no such flag.
    """

    flag: str
    values: tuple[str, ...]
    option: Option | None

    @property
    def spelling(self) -> str:
        """The flag with a dash for each underscore of a long one, as builds read it."""
        return self.flag.replace("_", "-") if self.flag.startswith("--") else self.flag

    @property
    def all_spellings(self) -> tuple[str, ...]:
        """Its own, and every other flag of its option."""
        return (self.spelling, *(self.option.spellings if self.option else ()))

    @property
    def value(self) -> str:
        """The first value; empty where there is none."""
        return self.values[0] if self.values else ""

    @property
    def words(self) -> tuple[str, ...]:
        """The flag and its values, as they stand in the list."""
        return (self.flag, *self.values)


def read_arguments(argv: Sequence[str], capabilities: Capabilities) -> tuple[Argument, ...]:
    """Split ``argv`` into flags with their values.

    A known option takes as many values as its help text shows. What follows an unknown flag up
    to the next flag is taken for its value.
    """
    return tuple(_read(argv, capabilities))


def read_variables(env: Mapping[str, str], capabilities: Capabilities) -> tuple[Argument, ...]:
    """The variables that the build reads, each with the option that it sets."""
    found = ((name, value, capabilities.option_of_variable(name)) for name, value in env.items())
    return tuple(
        Argument(flag=name, values=(value,), option=option)
        for name, value, option in found
        if option is not None and not option.removed
    )


def _read(argv: Sequence[str], capabilities: Capabilities) -> Iterator[Argument]:
    position = 0
    while position < len(argv):
        flag = argv[position]
        option = capabilities.option(flag)
        if option is not None and not option.removed:
            count = value_count(option)
        else:
            count = _words_until_flag(argv, position + 1)
        end = position + 1 + count
        yield Argument(flag=flag, values=tuple(argv[position + 1 : end]), option=option)
        position = end


def value_count(option: Option) -> int:
    """How many values an option takes."""
    if option.placeholder is None:
        return 0
    return 2 if _TWO_VALUES.fullmatch(option.placeholder) else 1


def _words_until_flag(argv: Sequence[str], start: int) -> int:
    if not BEGINS_FLAG.match(argv[start - 1]):
        return 0
    count = 0
    for word in argv[start:]:
        if BEGINS_FLAG.match(word):
            break
        count += 1
    return count
