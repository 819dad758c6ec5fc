"""The atlas: every option of every build number, as data.

``fixtures/atlas/atlas.json`` holds it; ``docs/atlas.md`` says how it is made and what each field
means. What happened between two builds that were looked at stays a window in every answer.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from harness.errors import UsageError

NEGATING: Final = "LLAMA_ARG_NO_"
"""How a variable begins that says the opposite of the one without ``NO_``."""

_FILE: Final = Path("atlas", "atlas.json")
_ALIKE: Final = 0.6
_NEAR: Final = 3

Number = Annotated[int, msgspec.Meta(ge=1)]
Spelling = Annotated[str, msgspec.Meta(pattern=r"^--?[A-Za-z]")]
Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]+$")]
Arity = Annotated[int, msgspec.Meta(ge=0, le=2)]
Type = Literal["flag", "bool", "int", "str", "str2"]


class State(StrEnum):
    """What an option is at a build."""

    LIVE = "live"
    DEPRECATED = "deprecated"
    """It works, and its text or a warning says that it will not for long."""
    STUB = "stub"
    """``--help`` keeps it only to say that it has been removed; using it stops the start."""
    ABSENT = "absent"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """An option at one build.

    Attributes:
        spellings: The flags that ask for it, in upstream's order.
        negations: Those that ask for the opposite, where upstream lists them with it.
        arity: How many words follow.
        type: What the program reads.
        placeholder: As ``--help`` shows it; ``LIST`` stands for the values themselves.
        env: The variable that sets it.
        default: As a short value; None where it is not known.
        values: Those it takes, where they are enumerated.
        use: What upstream's text names in its place.
        condition: What has to be compiled in for it to be there.
    """

    state: State = State.LIVE
    spellings: tuple[str, ...] = ()
    negations: tuple[str, ...] = ()
    arity: int = 0
    type: Type = "flag"
    placeholder: str | None = None
    env: str | None = None
    default: str | None = None
    values: tuple[str, ...] = ()
    use: tuple[str, ...] = ()
    condition: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Every flag and variable that means it."""
        return (*self.spellings, *self.negations, *((self.env,) if self.env else ()))

    @property
    def works(self) -> bool:
        """Whether it can be used."""
        return self.state is not State.STUB

    def has(self, word: str) -> bool:
        """Whether a flag or variable means it; ``LLAMA_ARG_NO_X`` is listed nowhere."""
        if word in self.words:
            return True
        positive = word.replace(NEGATING, "LLAMA_ARG_", 1)
        return bool(self.negations) and positive != word and self.env == positive


FIELDS: Final = Facts.__struct_fields__


class Change(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What of an option differs from build ``b`` on: the first one has all that is not empty.

    Attributes:
        after: Of a change that came with an archive, the archive before: it came after that one.
    """

    b: Number
    after: Number | None = None
    state: State | UnsetType = UNSET
    spellings: tuple[Spelling, ...] | UnsetType = UNSET
    negations: tuple[Spelling, ...] | UnsetType = UNSET
    arity: Arity | UnsetType = UNSET
    type: Type | UnsetType = UNSET
    placeholder: str | UnsetType | None = UNSET
    env: Variable | UnsetType | None = UNSET
    default: str | UnsetType | None = UNSET
    values: tuple[str, ...] | UnsetType = UNSET
    use: tuple[str, ...] | UnsetType = UNSET
    condition: str | UnsetType | None = UNSET

    def applied(self, facts: Facts | None) -> Facts | None:
        """The facts from this build on; None where the option is gone."""
        if self.state is State.ABSENT:
            return None
        told = {name: getattr(self, name) for name in FIELDS}
        given = {name: value for name, value in told.items() if value is not UNSET}
        return msgspec.structs.replace(facts or Facts(), **given)


class Event(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Something that happened to an option, with a name for what it means to a command line.

    Attributes:
        pr: The pull request, where no commit tells it; ``pr_sure`` is false for a likely one.
        reported: A build of the window at which another project saw it first.
        use, replacement: What to write instead: by upstream's text, and judged by hand.
        from_, to: Before and after, of an arity, a default, a placeholder, a type or a variable.
    """

    b: Number
    kind: Literal[
        "added", "returned", "gone", "merged", "stub", "deprecated", "live-again",
        "spelling-added", "negation-added", "spelling-removed", "now-negation",
        "arity", "placeholder", "type", "env-added", "env-removed", "env-renamed",
        "default", "values",
    ]  # fmt: skip
    after: Number | None = None
    pr: Number | None = None
    pr_sure: bool = True
    reported: Number | None = None
    state: State | None = None
    use: tuple[str, ...] = ()
    replacement: tuple[str, ...] = ()
    renamed_from: str | None = None
    renamed_to: str | None = None
    into: str | None = None
    as_: tuple[Spelling, ...] = msgspec.field(default=(), name="as")
    lost: tuple[Spelling, ...] = ()
    names: tuple[Spelling, ...] = ()
    moved: dict[str, str] = msgspec.field(default_factory=dict)
    from_: str | int | None = msgspec.field(default=None, name="from")
    to: str | int | None = None
    from_still_works: bool = False
    placeholder: tuple[str | None, str | None] | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def instead(self) -> tuple[str, ...]:
        """What takes its place, by whoever says so."""
        renamed = (self.renamed_to,) if self.renamed_to else ()
        return tuple(dict.fromkeys((*self.use, *renamed, *self.replacement)))


class Life(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One option over time."""

    history: Annotated[tuple[Change, ...], msgspec.Meta(min_length=1)]
    events: tuple[Event, ...]

    def stages(self) -> Iterator[tuple[Change, Facts | None]]:
        """Each change with the facts that hold from it on."""
        facts: Facts | None = None
        for change in self.history:
            facts = change.applied(facts)
            yield change, facts

    def at(self, build: int, *, late: bool) -> Facts | None:
        """The facts at a build; ``late``: as if what came in a window around it had come."""
        found: Facts | None = None
        for change, facts in self.stages():
            in_window = change.after is not None and change.after < build
            if change.b > build and not (late and in_window):
                break
            found = facts
        return found

    def spans(self, holds: Callable[[Facts], bool]) -> tuple["Span", ...]:
        """The stretches of builds where something holds of it."""
        found: list[Span] = []
        begun: Change | None = None
        for change, facts in self.stages():
            held = facts is not None and holds(facts)
            if held and begun is None:
                begun = change
            elif not held and begun is not None:
                found.append(Span.between(begun, change))
                begun = None
        if begun is not None:
            found.append(Span.between(begun, None))
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of builds.

    Attributes:
        first: The first build that is known to be of it.
        after: Where it may have begun before: the last one known not to be; else None.
        last: The last build known to be of it; None where the atlas ends before it does.
        end: The first one known not to be any more; None likewise.
    """

    first: int
    after: int | None
    last: int | None
    end: int | None

    @classmethod
    def between(cls, begin: Change, end: Change | None) -> "Span":
        """From one change to another, or to the atlas's end."""
        last = None if end is None else end.b - 1 if end.after is None else end.after
        return cls(first=begin.b, after=begin.after, last=last, end=None if end is None else end.b)

    def __contains__(self, build: int) -> bool:
        return self.first <= build and (self.last is None or build <= self.last)


class Commit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The commit that a build is of."""

    date: str
    hash: str
    pr: int | None


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of behaviour that no option table shows, judged by hand.

    Attributes:
        after: The last build that was seen without it, where its own is not known.
        pr: The pull request; None where it is not known.
    """

    b: Number
    flags: tuple[Spelling, ...]
    what: Annotated[str, msgspec.Meta(min_length=10)]
    after: Number | None = None
    pr: Number | None = None
    until: Number | None = None


class Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A stretch of builds in which a spelling is one option's."""

    first: int
    last: int | None
    option: str
    sign: Literal["+", "-"]
    state: State


class AtlasFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it stands."""

    schema: Literal[1]
    program: Literal["llama-server"]
    made: str
    first: Number
    exact_to: Number
    last: Number
    late_snapshots: dict[int, str]
    notes: tuple[Note, ...]
    commits: dict[int, Commit]
    spellings: dict[Spelling, tuple[Row, ...]]
    options: dict[Spelling, Life]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When something happened.

    Attributes:
        build: The first build that is known to have it.
        after: The last one known not to, where builds between are not known; else None.
        date: ISO date of the commit or the archive.
        pr: The pull request, of ggml-org/llama.cpp.
        sure: Whether that is certain.
    """

    build: int
    after: int | None = None
    date: str = ""
    pr: int | None = None
    sure: bool = True

    @property
    def builds(self) -> str:
        """``b8955``, or ``after b10867, by b10878``."""
        if self.after is None:
            return f"b{self.build}"
        return f"after b{self.after}, by b{self.build}"

    @property
    def link(self) -> str:
        """``#22397``; empty where the pull request is not known."""
        return "" if self.pr is None else f"#{self.pr}{'' if self.sure else ' (likely)'}"


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What a flag or variable is at one build.

    Attributes:
        early: The option that it means at the last build before that was looked at.
        late: The same at the next one. Between the two nobody knows which holds.
        option: The option's name in the atlas; None where there is none.
    """

    early: Facts | None
    late: Facts | None
    option: str | None

    @property
    def certain(self) -> bool:
        """Whether only one of them can be."""
        return self.early == self.late


@dataclass(frozen=True, kw_only=True)
class Happening:
    """An event of one option; ``certain``: it surely lies between the builds asked about."""

    option: str
    event: Event
    certain: bool = True


@dataclass(frozen=True)
class Atlas:
    """The atlas, for questions."""

    data: AtlasFile

    @property
    def first(self) -> int:
        """The first build number it knows."""
        return self.data.first

    @property
    def last(self) -> int:
        """The last one."""
        return self.data.last

    def __contains__(self, build: int) -> bool:
        return self.first <= build <= self.last

    def check(self, build: int) -> int:
        """The build number.

        Raises:
            UsageError: The atlas does not go there.
        """
        if build not in self:
            raise UsageError(f"b{build}: the atlas goes from b{self.first} to b{self.last}")
        return build

    def options_of(self, word: str) -> tuple[str, ...]:
        """The options that a flag or variable means at some build, in time order."""
        if word.startswith("-"):
            rows = self.data.spellings.get(dashed(word), ())
            return tuple(dict.fromkeys(row.option for row in rows))
        return self._by_variable.get(word, ())

    def option(self, word: str, build: int) -> Sighting:
        """What a flag or variable is at a build.

        Raises:
            UsageError: The atlas does not go there.
        """
        self.check(build)
        word = dashed(word)
        early, late = (self._found(word, build, late=late) for late in (False, True))
        facts = [None if found is None else found[1] for found in (early, late)]
        name = next((found[0] for found in (early, late) if found), None)
        return Sighting(early=facts[0], late=facts[1], option=name)

    def lookup(self, word: str, build: int, *, late: bool) -> tuple[str, Facts] | None:
        """The option that a flag or variable means at a build, and its name."""
        return self._found(dashed(word), build, late=late)

    def _found(self, word: str, build: int, *, late: bool) -> tuple[str, Facts] | None:
        found = [
            (name, facts)
            for name in self.options_of(word)
            if (facts := self.data.options[name].at(build, late=late)) and facts.has(word)
        ]
        # As builds do: one that works before a stub, a variable itself before what it negates.
        found.sort(key=lambda one: (not one[1].works, word not in one[1].words))
        return found[0] if found else None

    def table(self, build: int, *, late: bool = False) -> Mapping[str, Facts]:
        """Every option that there is at a build, by name.

        Raises:
            UsageError: The atlas does not go there.
        """
        self.check(build)
        found = {name: life.at(build, late=late) for name, life in self.data.options.items()}
        return {name: facts for name, facts in found.items() if facts is not None}

    def history(self, word: str) -> Mapping[str, Life]:
        """The whole life of each option that a flag or variable ever meant, by name."""
        return {name: self.data.options[name] for name in self.options_of(word)}

    def changes(self, older: int, newer: int) -> tuple[Happening, ...]:
        """Everything that happened to options after one build and by another, in time order.

        Raises:
            UsageError: The atlas does not go there.
        """
        self.check(older)
        self.check(newer)
        found = []
        for name, life in self.data.options.items():
            for event in life.events:
                begin = event.b - 1 if event.after is None else event.after
                if begin < newer and older < event.b:
                    certain = older <= begin and event.b <= newer
                    found.append(Happening(option=name, event=event, certain=certain))
        return tuple(sorted(found, key=lambda one: (one.event.b, one.option)))

    def notes(self, older: int, newer: int) -> tuple[Note, ...]:
        """What no option table shows, after one build and by another."""
        return tuple(note for note in self.data.notes if older < note.b <= newer)

    def moment(self, event: Event | Change | Note) -> Moment:
        """When an event was."""
        after = getattr(event, "after", None)
        commit = self.data.commits.get(event.b) if after is None else None
        date = commit.date if commit else self.data.late_snapshots.get(event.b, "")
        pr = getattr(event, "pr", None) or (commit.pr if commit else None)
        sure = getattr(event, "pr_sure", True)
        return Moment(build=event.b, after=after, date=date, pr=pr, sure=sure)

    def near(self, word: str) -> tuple[str, ...]:
        """The spellings and variables that are most like a word."""
        known = [*self.data.spellings, *self._by_variable]
        bare = {one.lstrip("-").lower(): one for one in reversed(known)}
        asked = word.lstrip("-").replace("_", "-" if word.startswith("-") else "_").lower()
        longer = sorted((one for one in bare if asked and one.startswith(asked)), key=len)
        close = difflib.get_close_matches(asked, bare, n=_NEAR, cutoff=_ALIKE)
        return tuple(dict.fromkeys(bare[one] for one in (*longer, *close)))[:_NEAR]

    @cached_property
    def _by_variable(self) -> Mapping[str, tuple[str, ...]]:
        """The options that each variable ever sets; with negations, their variable too."""
        found: dict[str, dict[str, None]] = {}
        for name, life in self.data.options.items():
            for change, facts in life.stages():
                if facts is None or not facts.env or change.env is change.negations is UNSET:
                    continue
                found.setdefault(facts.env, {})[name] = None
                if facts.negations:
                    negating = facts.env.replace("LLAMA_ARG_", NEGATING, 1)
                    found.setdefault(negating, {})[name] = None
        return {variable: tuple(names) for variable, names in found.items()}


def dashed(word: str) -> str:
    """A flag as builds read it: a dash for each underscore of a long one."""
    return word.replace("_", "-") if word.startswith("--") else word


def pinned_file() -> Path:
    """The data, in a checkout or installed."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_fixtures" / _FILE
    return installed if installed.is_file() else package.parent / "fixtures" / _FILE


def read_atlas(content: bytes) -> Atlas:
    """Read the data.

    Raises:
        msgspec.ValidationError: It is not of the schema; the message names the field.
    """
    return Atlas(msgspec.json.decode(content, type=AtlasFile))


@cache
def load_atlas() -> Atlas:
    """The atlas that travels with the package, read once."""
    return read_atlas(pinned_file().read_bytes())
