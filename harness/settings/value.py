"""A setting with one plain value that every one of its witnesses tells in the same words."""

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any, Final

from harness.flags.arguments import OFF, ON, Argument
from harness.flags.families import Family
from harness.model import Basis, Check, Evidence
from harness.settings.base import EFFECT, DisagreementError, EffectiveState, Situation
from harness.settings.observation import Observation, Probed
from harness.settings.said import LinePattern, Said

_INTEGER: Final = re.compile(r"\s*[+-]?\d+")
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

ANYTHING: Final = "anything"
"""What is asked for where an argument leaves the choice to the build."""
NOTHING: Final = "nothing"
"""What an argument asks for that sets other things alone."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One witness of a plain value.

    Attributes:
        witness: Its name.
        read: What it tells; None where it has nothing to say.
        basis: Whether that was read or seen happening.
    """

    witness: str
    read: Callable[[Observation], Any]
    basis: Basis = Basis.SETTINGS


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A value that an argument asks for."""

    value: Any
    argument: Argument

    @property
    def is_cut_short(self) -> bool:
        """Whether builds read a number that the argument begins with, and drop the rest of it."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            return False
        pattern = _INTEGER if isinstance(self.value, int) else _NUMBER
        return pattern.fullmatch(self.argument.value.rstrip()) is None


def _shortest(value: Any) -> Any:
    """A number as short as it was before the server held it in single precision."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; numbers as near as single precision writes them."""
    if isinstance(one, float) or isinstance(other, float):
        try:
            return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-7)
        except (TypeError, OverflowError):
            return False
    return bool(one == other)


def _is_same(one: Any, other: Any, _: EffectiveState) -> bool:
    return same(one, other)


@dataclass(frozen=True, kw_only=True)
class ValueSetting:
    """See the module's docstring, and ``Setting``.

    Attributes:
        asks: What an argument of its families asks for: ``ANYTHING`` where it leaves the choice to
            the build, ``NOTHING`` where it sets other things, None where it cannot be told.
        readings: Its witnesses. Of those that speak, behaviour outranks what was only read.
        grants: Whether an effective value is what was asked for, in its effective state.
        by_value: Whether the value is the narrowest word at fault, and not the flag.
        follows: Families that set it without naming it.
        adds_up: Whether builds take all of its arguments together, each of which then asks for a
            list; else the last one wins.
    """

    name: str
    families: tuple[Family, ...]
    asks: Callable[[Argument], Any]
    readings: tuple[Reading, ...]
    grants: Callable[[Any, Any, EffectiveState], bool] = field(default=_is_same)
    by_value: bool = False
    follows: tuple[Family, ...] = ()
    adds_up: bool = False

    @property
    def shown_with(self) -> tuple[Family, ...]:
        """The families that make it worth showing."""
        return (*self.families, *self.follows)

    def asked(self, arguments: Sequence[Argument]) -> Wish | None:
        """What the arguments that set it ask for."""
        wishes = [
            Wish(value=value, argument=argument)
            for argument in arguments
            if any(family.is_set_by(argument) for family in self.families)
            and (value := self.asks(argument)) != NOTHING
        ]
        counting = wishes[0 if self.adds_up else -1 :]
        if not counting or any(wish.value is None for wish in counting):
            return None
        if not self.adds_up:
            return counting[0]
        values = chain.from_iterable(wish.value for wish in counting)
        return Wish(value=[*values], argument=counting[-1].argument)

    def expected(self, situation: Situation) -> None:
        """The contract says nothing of it."""

    def testify(self, observation: Observation) -> tuple[Evidence, ...]:
        """What each reading tells."""
        return tuple(
            [  # a list, which is made faster, and here that counts
                silence
                if (value := reading.read(observation)) is None
                else self._evidence(silence, value)
                for reading, silence in self._silences
            ]
        )

    def _evidence(self, silence: Evidence, value: Any) -> Evidence:
        tells = _tells_again if isinstance(value, str | int | float) else _tells
        return tells(silence.witness, silence.basis, self.name, value)

    @cached_property
    def _silences(self) -> tuple[tuple[Reading, Evidence], ...]:
        """Each reading with its evidence where it tells nothing, as most do."""
        return tuple(
            (
                reading,
                Evidence(
                    witness=reading.witness,
                    basis=reading.basis,
                    speaks=False,
                    setting=self.name,
                ),
            )
            for reading in self.readings
        )

    def agree(self, evidence: Sequence[Evidence]) -> Any:
        """What was seen happening, else what was read.

        Raises:
            DisagreementError: Two witnesses of the same rank contradict each other.
        """
        speaking = [one for one in evidence if one.speaks]
        behaviour = [one for one in speaking if one.basis is Basis.BEHAVIOUR]
        counting = behaviour or speaking
        if not counting:
            return None
        first = counting[0]
        for other in counting[1:]:
            if not same(first.value, other.value):
                raise DisagreementError(
                    f"{self.name} is {spoken(first.value)} by {first.witness}, "
                    f"{spoken(other.value)} by {other.witness}"
                )
        return _shortest(first.value)

    def compare(
        self,
        demand: Wish,
        state: EffectiveState,
        arguments: Sequence[Argument],  # noqa: ARG002 - the demand has its argument
    ) -> Sequence[Check]:
        """One check."""
        value = state[self.name]
        word = " ".join(demand.argument.words)
        if demand.is_cut_short:
            return (
                Check(
                    name=EFFECT,
                    expected=f"{self.name} {demand.argument.value}",
                    observed=f"{word} is read as {spoken(demand.value)}, and {self.name} is "
                    f"{spoken(value)}",
                    ok=False,
                    argument=demand.argument.value,
                ),
            )
        return (
            Check(
                name=EFFECT,
                expected=f"{self.name} {spoken(demand.value)}",
                observed=f"{word} asks for {self.name} {spoken(demand.value)}, and it is "
                f"{spoken(value)}",
                ok=demand.value == ANYTHING or self.grants(demand.value, value, state),
                argument=demand.argument.value if self.by_value else demand.argument.flag,
            ),
        )

    def supporters(self, value: Any, evidence: Sequence[Evidence]) -> Mapping[str, Sequence[str]]:
        """The witnesses that tell the value."""
        told = [one.witness for one in evidence if one.speaks and same(one.value, value)]
        return {self.name: tuple(told)}

    def show(self, value: Any) -> str:
        """``context 4096``."""
        return _shown(self.name, value)


def _tells(witness: str, basis: Basis, name: str, value: Any) -> Evidence:
    shown = _shown(name, value)
    return Evidence(witness=witness, basis=basis, setting=name, value=value, detail=shown)


_tells_again = lru_cache(maxsize=2048, typed=True)(_tells)
"""The same of plain values, which one launch after the other has."""


def _shown(name: str, value: Any) -> str:
    return f"{name} {spoken(value)}"


def spoken(value: Any) -> str:
    """A value in a report."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ";".join(map(spoken, value)) or "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def integer(argument: Argument) -> int | None:
    """The whole number that a value begins with, which is all that builds read of it."""
    found = _INTEGER.match(argument.value)
    return int(found[0]) if found and len(found[0]) < sys.int_info.default_max_str_digits else None


def number(argument: Argument) -> float | None:
    """The number that a value begins with, which is all that builds read of it."""
    found = _NUMBER.match(argument.value)
    return float(found[0]) if found else None


def word(argument: Argument) -> str | None:
    """The value as it stands."""
    return argument.value or None


def positive(argument: Argument) -> int | str | None:
    """The whole number; zero and below leave the choice to the build."""
    count = integer(argument)
    return ANYTHING if count is not None and count <= 0 else count


def nothing(argument: Argument) -> None:
    """What an argument asks for where nothing tells whether it is so."""


def switch(*families: Family) -> Callable[[Argument], bool | None]:
    """Whether an argument of these families turns something on."""

    def asks(argument: Argument) -> bool | None:
        if _sets_nothing(argument):
            return None
        if any(family.is_negated_by(argument) for family in families):
            return False
        value = argument.value.lower()
        if value in OFF:
            return False
        return True if not value or value in ON else None

    return asks


def _sets_nothing(argument: Argument) -> bool:
    """Whether it is the variable of a switch, which only ever turns on, and says no."""
    option = argument.option
    return (
        option is not None
        and option.env == argument.flag
        and not option.takes_value
        and not any(one.startswith("--no-") for one in option.spellings[1:])
        and argument.value.lower() in {"", *OFF}
    )


def tried_log(pattern: str, of: Callable[[str], Any] = str) -> Reading:
    """A witness: the group of a pattern in the log of what was tried, as it was said last."""
    of_line = LinePattern(pattern)

    def read(observation: Observation) -> Any:
        lines = observation.probed.lines if observation.probed else ()
        return _group(Said.of(lines).last(of_line), of)

    return Reading(witness="run-log", read=read)


def probed(read: Callable[[Probed], Any], witness: str = "request") -> Reading:
    """A witness: what the server was seen doing when it was tried."""
    return Reading(
        witness=witness,
        read=lambda seen: read(seen.probed) if seen.probed else None,
        basis=Basis.BEHAVIOUR,
    )


def logged(pattern: str, of: Callable[[str], Any] = str, *, main: bool = True) -> Reading:
    """A witness: the group of a pattern in the start-up log, as it was said last.

    Args:
        pattern: What to look for; of several groups one is met.
        of: Makes the value of the group.
        main: Whether only the lines of the model itself count, not those of a draft model.
    """
    of_line = LinePattern(pattern)

    def read(observation: Observation) -> Any:
        said = observation.main if main else observation.startup
        return _group(said.last(of_line), of)

    return Reading(witness="startup-log", read=read)


def _group(match: re.Match[str] | None, of: Callable[[str], Any]) -> Any:
    """What is made of a group; None where it has another form."""
    try:
        return None if match is None else of(match[match.lastindex or 0])
    except ValueError:
        return None


def of_context(name: str, of: Callable[[str], Any]) -> Reading:
    """A witness: what the start-up log says of the model's context."""
    return logged(rf"llama_(?:context|init_from_model): {name} +=\s+(\S+)", of)


def at(value: Any, *path: str) -> Any:
    """What lies at a path in nested objects; None where nothing does."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def from_properties(*path: str, kind: type) -> Reading:
    """A witness: a value of some kind in the answer of ``/props``."""

    def read(observation: Observation) -> Any:
        told = at(observation.properties, *path)
        return told if isinstance(told, kind) else None

    return Reading(witness="props", read=read)


def answers(path: str) -> Reading:
    """A witness: whether the server serves a path."""
    return probed(lambda tried: tried.answers.get(path))
