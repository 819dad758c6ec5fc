"""Where a command line would be refused, for every build number of the atlas, without a build.

Read as builds read it: variables first, then flag by flag, each with as many words as its option
takes. Only what is certain counts as refused; what a window leaves open stays open.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby
from typing import Final

from harness.flags.arguments import BEGINS_FLAG, OFF, ON
from harness.flags.atlas import Atlas, Facts, Moment, State, load_atlas
from harness.flags.capabilities import Capabilities, Option
from harness.flags.diagnosis import opposite, owner
from harness.flags.families import ONCE_TWO_VALUES
from harness.flags.lifetimes import moment_of
from harness.flags.renames import other_flags, other_variables
from harness.flags.rewrites import advice_for, rewritten_variable

_OWN_VARIABLE: Final = re.compile(r"LLAMA_ARG_\w+")
_INTEGER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
"""What builds read a number out of; ``8k`` is 8."""
_FRACTION: Final = re.compile(r"[ \t\n\v\f\r]*[+-]?([0-9]|\.[0-9]|inf|nan)", re.IGNORECASE)
"""The same where it may have a fraction."""
_STANDS_FOR: Final = re.compile(r"\$\w|\$\{|\{\w+\}|%\w+%")
"""What a shell, a template or an application puts something else in place of."""
_INTEGERS: Final = range(-(2**31), 2**31)
_ON_OFF: Final = "[on|off"
"""How the placeholder of an option begins whose values have synonyms; others take none."""
_FLASH_ATTN: Final = "FA"
"""The placeholder of --flash-attn before b6393 (#15792)."""
_SHORT: Final = frozenset({"1", "0", "enabled", "disabled"})
_WORDS_AFTER, _WORDS_SINCE = 7278, 7376
"""Of the builds that were looked at the last that refuses ``true`` and the first that takes it."""
_ALSO_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    "--reasoning-format": frozenset({"deepseek-legacy"}),
    "--numa": frozenset({""}),
    "--tools": frozenset({"all"}),
}
"""Values that no text lists."""
_ANY_VALUE: Final = frozenset({"--chat-template"})
"""Its values are names of templates; without --jinja others are refused, with it none is."""
_TOOLS_CHECKED: Final = 9093
"""From this build on for certain an unknown tool stops the start; b8929 overlooks it."""


class Status(StrEnum):
    """What the atlas says of a command line at a build."""

    OK = "ok"
    REFUSED = "refused"
    OPEN = "open"
    """Nobody looked at the build, or it depends on what is compiled in."""


class Why(StrEnum):
    """What is wrong with a word."""

    UNKNOWN = "unknown"
    REMOVED = "removed"
    NO_VALUE = "no value"
    BAD_VALUE = "bad value"
    COMPILED_IN = "only where compiled in"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A word of a command line that a build does not take.

    Attributes:
        word: The flag, the variable, or a word that is no option's.
        value: The value that is wrong with it.
    """

    word: str
    why: Why
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the atlas says of a command line at one build.

    Attributes:
        faults: What is refused; where the status is open, what may be.
        unread: Variables that look like an option's and that no option reads.
    """

    status: Status
    faults: tuple[Fault, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All that something is to be said of."""
        return tuple(dict.fromkeys((*(one.word for one in self.faults), *self.unread)))


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Since when something is refused, or until when.

    Attributes:
        since: When the word began to be refused; None where it is from the first build on.
        until: When that ended; None where it is to the last build.
    """

    since: Moment | None = None
    until: Moment | None = None


@dataclass(frozen=True, kw_only=True)
class Range:
    """Builds of one standing.

    Attributes:
        first, last: The first and the last of them.
        causes: For each word of the standing, since when and until when it is so.
        instead: What to write there instead of what is refused.
        variables: What to write there instead of each variable that is not read.
    """

    first: int
    last: int
    standing: Standing
    causes: Mapping[str, Cause] = field(default_factory=dict)
    instead: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """A command line over all builds of the atlas, oldest first."""

    ranges: tuple[Range, ...]

    def at(self, build: int) -> Range | None:
        """The range of a build; None outside the atlas."""
        return next((one for one in self.ranges if one.first <= build <= one.last), None)


def standing(
    argv: Sequence[str], env: Mapping[str, str], build: int, atlas: Atlas | None = None
) -> Standing:
    """What the atlas says of a command line at a build.

    Raises:
        UsageError: The atlas does not go there.
    """
    atlas = atlas or load_atlas()
    atlas.check(build)
    early, late = (_Reader(atlas, build, late=late).faults(argv, env) for late in (False, True))
    hard = [[one for one in faults if one.why is not Why.COMPILED_IN] for faults in (early, late)]
    unread = tuple(name for name in env if _is_unread(name, build, atlas))
    if all(hard):
        both = [one for one in hard[0] if one in hard[1]]
        found = tuple(dict.fromkeys(both or (*hard[0], *hard[1])))
        return Standing(status=Status.REFUSED, faults=found, unread=unread)
    found = tuple(dict.fromkeys((*early, *late)))
    return Standing(status=Status.OPEN if found else Status.OK, faults=found, unread=unread)


def outlook(argv: Sequence[str], env: Mapping[str, str], atlas: Atlas | None = None) -> Outlook:
    """What the atlas says of a command line at every build."""
    atlas = atlas or load_atlas()
    points = _points(argv, env, atlas)
    ends = (*(point - 1 for point in points[1:]), atlas.last)
    found = [_range(argv, env, *bounds, atlas) for bounds in zip(points, ends, strict=True)]
    ranges = [
        replace(run[0], last=run[-1].last)
        for _, group in groupby(found, key=lambda one: (one.standing, one.instead, one.variables))
        if (run := list(group))
    ]
    names = _names((*argv, *env), atlas)
    return Outlook(ranges=tuple(_with_causes(ranges, names, atlas)))


def _range(
    argv: Sequence[str], env: Mapping[str, str], first: int, last: int, atlas: Atlas
) -> Range:
    stands = standing(argv, env, first, atlas)
    refused = stands.faults if stands.status is Status.REFUSED else ()
    if not refused and not stands.unread:
        return Range(first=first, last=last, standing=stands)
    capabilities = capabilities_at(first, atlas)
    variables = {
        name: instead
        for name in stands.unread
        if (instead := rewritten_variable(name, env, capabilities))
    }
    return Range(
        first=first,
        last=last,
        standing=stands,
        instead=tuple(
            text
            for text in dict.fromkeys(_instead(argv, env, refused, capabilities))
            # By another flag a value that no build takes is none either.
            if not any(
                one.why is Why.BAD_VALUE and one.value in argv
                for one in standing(text.split(), {}, first, atlas).faults
            )
        ),
        variables=variables,
    )


def capabilities_at(build: int, atlas: Atlas | None = None, *, late: bool = False) -> Capabilities:
    """What the atlas says that a build accepts, without descriptions."""
    atlas = atlas or load_atlas()
    return Capabilities(
        tuple(
            Option(
                spellings=(*facts.spellings, *facts.negations),
                placeholder=",".join(facts.values)
                if facts.placeholder == "LIST"
                else facts.placeholder,
                env=facts.env,
                removed=facts.state is State.STUB,
                default=facts.default,
                choices=facts.values,
            )
            for facts in atlas.table(build, late=late).values()
        )
    )


class _Reader:
    """Reads a command line as one build does."""

    def __init__(self, atlas: Atlas, build: int, *, late: bool) -> None:
        self._atlas = atlas
        self._build = build
        self._late = late

    def faults(self, argv: Sequence[str], env: Mapping[str, str]) -> tuple[Fault, ...]:
        """All that the build would stumble over; it says only the first."""
        return (*self._of_variables(env), *self._of_words(argv))

    def _option(self, word: str) -> tuple[str, Facts] | None:
        return self._atlas.lookup(word, self._build, late=self._late)

    def _of_variables(self, env: Mapping[str, str]) -> Iterator[Fault]:
        for variable, value in env.items():
            found = self._option(variable)
            if found is None:
                continue
            name, facts = found
            if not facts.works:
                yield Fault(word=variable, why=Why.REMOVED)
            elif not self._takes(name, facts, value) and facts.env == variable:
                yield Fault(word=variable, why=Why.BAD_VALUE, value=value)

    def _of_words(self, argv: Sequence[str]) -> Iterator[Fault]:
        position = 0
        before = ""
        while position < len(argv):
            word = argv[position]
            position += 1
            found = self._option(word) if word.startswith("-") else None
            if not word.startswith("-") and before in ONCE_TWO_VALUES:
                yield Fault(word=before, why=Why.BAD_VALUE, value=word)
                continue
            before = word
            if found is None or not found[1].works:
                yield Fault(word=word, why=Why.REMOVED if found else Why.UNKNOWN)
                if BEGINS_FLAG.match(word):
                    while position < len(argv) and not BEGINS_FLAG.match(argv[position]):
                        position += 1
                continue
            name, facts = found
            values = argv[position : position + facts.arity]
            position += facts.arity
            if facts.condition is not None:
                yield Fault(word=word, why=Why.COMPILED_IN, value=facts.condition)
            if len(values) < facts.arity:
                yield Fault(word=word, why=Why.NO_VALUE)
            elif facts.arity == 1 and not self._takes(name, facts, values[0]):
                yield Fault(word=word, why=Why.BAD_VALUE, value=values[0])
            elif facts.arity > 1 and (bad := _no_numbers(facts.placeholder or "", values)):
                yield Fault(word=word, why=Why.BAD_VALUE, value=bad[0])

    def _takes(self, name: str, facts: Facts, value: str) -> bool:
        """Whether an option takes a value; True where nothing is known against it."""
        typed = facts.type in {"bool", "int"}
        if _STANDS_FOR.search(value) or name in _ANY_VALUE or not (typed or facts.values):
            return True
        if typed:
            return _is_integer(value) if facts.type == "int" else value in ON | OFF
        taken = {*facts.values, *_ALSO_TAKEN.get(name, ())}
        if facts.placeholder == _FLASH_ATTN:
            taken |= {"enabled", "disabled"}
        elif (facts.placeholder or "").startswith(_ON_OFF):
            read = self._build > _WORDS_AFTER if self._late else self._build >= _WORDS_SINCE
            taken |= ON | OFF if read else _SHORT
            taken |= {"-1"} if "auto" in taken else set()
        counts = facts.placeholder == "N" or taken <= {"0", "1"}
        if counts and _is_integer(value):
            return True
        if name == "--tools":
            return self._build < _TOOLS_CHECKED or taken.issuperset(value.split(","))
        words = value.split(",") if facts.placeholder == "LIST" else [value]
        return taken.issuperset(words)


def _is_integer(value: str) -> bool:
    found = _INTEGER.match(value)
    return found is not None and int(found[1]) in _INTEGERS


def _no_numbers(placeholder: str, values: Sequence[str]) -> list[str]:
    """Those of the values of an option that takes several which would have to be numbers."""
    names = zip(placeholder.split(), values, strict=False)
    return [
        value
        for name, value in names
        if not _STANDS_FOR.search(value)
        and (
            (name == "SCALE" and not _FRACTION.match(value))
            or (name in {"START", "END"} and not _is_integer(value))
        )
    ]


def _is_unread(variable: str, build: int, atlas: Atlas) -> bool:
    """Whether no option reads a variable there, and one does elsewhere or it looks as if."""
    if not atlas.options_of(variable) and not _OWN_VARIABLE.fullmatch(variable):
        return False
    return all(atlas.lookup(variable, build, late=late) is None for late in (False, True))


def _points(argv: Sequence[str], env: Mapping[str, str], atlas: Atlas) -> tuple[int, ...]:
    """The builds from which on the answer may be another one."""
    words = [*(word for word in argv if word.startswith("-")), *env]
    related = (
        *words,
        *(one for word in words if word.startswith("-") for one in other_flags(word, atlas)),
        *(
            one
            for word in words
            if not word.startswith("-")
            for one in other_variables(word, atlas)
        ),
    )
    names = {name for word in related for name in atlas.options_of(word)}
    changes = [change for name in names for change in atlas.data.options[name].history]
    found = {atlas.first, *(change.b for change in changes)}
    found |= {change.after + 1 for change in changes if change.after is not None}
    if "--tools" in names:
        found.add(_TOOLS_CHECKED)
    if not {"true", "false"}.isdisjoint((*argv, *env.values())):
        found |= {_WORDS_AFTER + 1, _WORDS_SINCE}
    return tuple(sorted(found))


def _instead(
    argv: Sequence[str],
    env: Mapping[str, str],
    refused: Sequence[Fault],
    capabilities: Capabilities,
) -> Iterator[str]:
    """What to write on a build for what it refuses."""
    words = [word for one in refused if one.word not in env for word in (one.word, one.value)]
    if words:
        yield from advice_for(argv, words, capabilities)
        yield from _switches(argv, refused, capabilities)
    for one in refused:
        if one.word in env and one.why is Why.REMOVED:
            became = rewritten_variable(one.word, env, capabilities)
            yield from filter(None, (became,))
        elif one.word in env:
            yield f"leave {one.word} unset"


def _switches(
    argv: Sequence[str], refused: Sequence[Fault], capabilities: Capabilities
) -> Iterator[str]:
    """What to write for a switch that was given a value."""
    itself = {fault.word for fault in refused}
    for fault in refused:
        before = owner(argv, fault.word, capabilities)
        if before is None or before.option is None or before.flag in itself:
            continue
        if not before.option.takes_value:
            if fault.word.lower() in ON:
                yield before.flag
            if fault.word.lower() in OFF:
                yield opposite(before, capabilities) or f"leave {before.flag} out"


def _names(words: Iterable[str], atlas: Atlas) -> tuple[str, ...]:
    """The options that some words mean at any build."""
    return tuple(dict.fromkeys(name for word in words for name in atlas.options_of(word)))


def _with_causes(ranges: Sequence[Range], names: Sequence[str], atlas: Atlas) -> Iterator[Range]:
    for at, one in enumerate(ranges):
        causes = {word: _cause(word, ranges, at, names, atlas) for word in one.standing.words}
        yield replace(one, causes=causes)


def _cause(
    word: str, ranges: Sequence[Range], at: int, names: Sequence[str], atlas: Atlas
) -> Cause:
    """Since when and until when a word is refused around a range."""

    def faulty(position: int) -> bool:
        return 0 <= position < len(ranges) and word in ranges[position].standing.words

    first = last = at
    while faulty(first - 1):
        first -= 1
    while faulty(last + 1):
        last += 1
    # A word that is no option's is left over because of some other option's change.
    options = [atlas.data.options[name] for name in atlas.options_of(word) or names]
    ends = last + 1 < len(ranges)
    return Cause(
        since=moment_of(options, ranges[first].first, atlas) if first else None,
        until=moment_of(options, ranges[last + 1].first, atlas) if ends else None,
    )
