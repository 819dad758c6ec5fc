"""The life of a flag over builds: when it is offered, removed, or unknown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from harness.flags.capabilities import Capabilities

SPECULATIVE_FLAGS: Final = (
    "--draft-max",
    "--draft-min",
    "--spec-draft-n-max",
    "--spec-draft-n-min",
    "--spec-type",
    "--spec-default",
    "--spec-ngram-size-n",
    "--spec-ngram-mod-n-match",
    "--spec-ngram-mod-n-min",
    "--spec-ngram-mod-n-max",
    "--model-draft",
)
"""Shown whether or not a run used them: they are what the renames were about."""


class FlagState(StrEnum):
    """What a build makes of a flag."""

    OFFERED = "offered"
    REMOVED = "removed"
    """Only a stub is left, which says that it has been removed."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class FlagLife:
    """One flag, and what each build makes of it, in the builds' order."""

    flag: str
    states: tuple[FlagState, ...]

    @property
    def changes(self) -> bool:
        """Whether any two builds differ."""
        return len(set(self.states)) > 1


def flag_lives(capabilities: Mapping[str, Capabilities], used: Iterable[str]) -> Sequence[FlagLife]:
    """The lives of the speculative flags, and of all others used that changed."""
    lives = [
        FlagLife(flag=flag, states=tuple(_state(flag, build) for build in capabilities.values()))
        for flag in dict.fromkeys((*SPECULATIVE_FLAGS, *used))
    ]
    return [life for life in lives if life.flag in SPECULATIVE_FLAGS or life.changes]


def _state(flag: str, build: Capabilities) -> FlagState:
    if build.offers(flag):
        return FlagState.OFFERED
    return FlagState.REMOVED if build.removed(flag) else FlagState.UNKNOWN
