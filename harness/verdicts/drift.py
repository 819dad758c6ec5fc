"""Drift: settings that nobody demanded and that differ between builds."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from harness.settings.value import same, spoken

OF_THE_HARNESS: Final = frozenset(
    {"model", "host", "port", "verbosity", "context_trained"}
    | {"threads", "threads_batch", "threads_http"}
)
"""Settings that the harness chose, or this host's number of cores."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One change of one setting.

    Attributes:
        setting: Its name.
        before: Its value up to the build before.
        after: Its value from ``since`` on; None where nothing tells it.
        since: The first build that has it.
    """

    setting: str
    before: Any
    after: Any
    since: str

    def __str__(self) -> str:
        """``slots 1 → 4 since b8929``."""
        return f"{self.setting} {_told(self.before)} → {_told(self.after)} since {self.since}"


def _told(value: Any) -> str:
    return "not told" if value is None else spoken(value)


def drift(
    states: Sequence[tuple[str, Mapping[str, Any]]], demanded: Collection[str] = ()
) -> Iterator[Drift]:
    """Each change between builds that follow each other.

    Args:
        states: The effective state of each build that was seen, in the builds' order.
        demanded: Settings that were asked for.
    """
    names = dict.fromkeys(name for _, state in states for name in state)
    for name in names:
        if name in demanded or name in OF_THE_HARNESS:
            continue
        told = [(build, state[name]) for build, state in states if name in state]
        for (_, before), (build, after) in pairwise(told):
            if not same(before, after):
                yield Drift(setting=name, before=before, after=after, since=build)
