"""The rules of ``resources/rewrites.toml``, which says what each kind of them holds."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec

ALONE: Final = ""
"""A flag without a value."""
NOTHING: Final = "~"
"""Nothing needs to be said."""
ANY: Final = "*"
"""Any other value."""
CONTEXT: Final = "{context}"
"""The number of tokens that a slot has."""


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all kinds of rules share.

    Attributes:
        since: The first build that has the new form.
        source: Where that is from: a pull request as ``#N``, else in words.
    """

    since: int
    source: str


class Renamed(_Rule, frozen=True, kw_only=True):
    """The same wish by other flags.

    Attributes:
        new: Those since then, the usual one first.
        old: Those before.
        types: The types of speculation that it holds for; the empty name where there is none. Not
            given for what is not of one type.
    """

    new: tuple[str, ...]
    old: tuple[str, ...]
    types: tuple[str, ...] = ()


class Values(_Rule, frozen=True, kw_only=True):
    """What became of the values of an option.

    Attributes:
        newer: What a value is since then.
        older: What it was before.
        lost: Values of which the older form says less.
        gone: The first build without the old form.
        arity: Whether the flag stood alone before; a build's help then tells its form.
        first: Whether only the first of a list could be said before.
        why: Why a value is written otherwise on a build.
    """

    flags: tuple[str, ...]
    newer: Mapping[str, str] = msgspec.field(default_factory=dict)
    older: Mapping[str, str] = msgspec.field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    gone: int | None = None
    forks: tuple[str, ...] = ()
    arity: bool = False
    separator: str = ""
    first: bool = False
    why: str = ""


class Joined(_Rule, frozen=True, kw_only=True):
    """Two values that are one since then, with a separator between them."""

    flags: tuple[str, ...]
    separator: str


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a fork says in other words than upstream; the first of them where there are several."""

    fork: str
    new: str
    old: tuple[str, ...]


class Gone(_Rule, frozen=True, kw_only=True):
    """What nothing stands for since then.

    Attributes:
        harmless: Whether nothing is lost with it.
        same_as: The option whose value holds in place of its own.
    """

    flags: tuple[str, ...]
    why: str
    harmless: bool = False
    same_as: str = ""


class Absent(_Rule, frozen=True, kw_only=True):
    """The value of an option that builds before it had without being told."""

    flags: tuple[str, ...]
    value: str


class Mode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way of loading a model, and the switches that it stands for."""

    mode: str
    mmap: bool = False
    mlock: bool = False
    direct_io: bool = False


class Loading(_Rule, frozen=True, kw_only=True):
    """The option that says how a model is loaded, in place of switches.

    Attributes:
        gone: The first build without the switches.
        gone_source: Where that is from.
        auto: The mode that ``auto`` usually comes to.
    """

    gone: int
    gone_source: str
    flag: str
    auto: str
    modes: tuple[Mode, ...]


class Fact(_Rule, frozen=True, kw_only=True):
    """Something that holds since a build."""

    what: str


class Speculation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tells what a command line means by speculation."""

    lengths_apart: Fact
    takes_list: Fact
    adds_up: Fact
    shorter_drafts: Fact
    draft_model_alone_ends: Fact


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them."""

    renamed: tuple[Renamed, ...]
    values: tuple[Values, ...]
    joined: tuple[Joined, ...]
    words: tuple[Words, ...]
    loading: Loading
    gone: tuple[Gone, ...]
    absent: tuple[Absent, ...]
    speculation: Speculation


@cache
def rules() -> Rules:
    """The rules, read once."""
    file = resources.files("harness.flags") / "resources" / "rewrites.toml"
    return msgspec.toml.decode(file.read_bytes(), type=Rules)
