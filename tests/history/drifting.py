"""What changed in a bare command line over the history, and what the atlas says of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from harness.flags.atlas import Atlas, Moment
from harness.report.atlas_lines import event_text
from harness.settings.state import SETTINGS
from harness.settings.value import same
from harness.verdicts.drift import Drift, drift

FOLLOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "context_per_slot": ("context", "slots", "kv_unified"),
    "dry_penalty_last_n": ("context",),
    "aliases": ("model_id",),
    "mmap": ("direct_io",),
}
"""Settings that may change because another one does, by those that they follow."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One change of one setting between two builds that follow each other.

    Attributes:
        older: The last build before that tells the setting.
        why: What the atlas says happened in between; nothing: a surprise.
    """

    older: str
    change: Drift
    why: tuple[str, ...]


def rows(states: Sequence[tuple[str, Mapping[str, Any]]], atlas: Atlas) -> Iterator[Row]:
    """Each change, in the order in which settings are shown.

    Args:
        states: The effective settings of each build that starts, oldest first; ids are ``bN``.
        atlas: Where the reasons are from.
    """
    tellers: dict[str, list[str]] = {}
    for build, state in states:
        for name in state:
            tellers.setdefault(name, []).append(build)
    before = {
        (name, newer): older for name, told in tellers.items() for older, newer in pairwise(told)
    }
    settings = dict(states)
    for one in drift(states):
        older = before[one.setting, one.since]
        numbers = int(older[1:]), int(one.since[1:])
        why = [*_by_the_atlas(one.setting, *numbers, atlas)]
        for other in FOLLOWS.get(one.setting, ()):
            was, became = (settings[build].get(other) for build in (older, one.since))
            if not same(was, became):
                causes = _by_the_atlas(other, *numbers, atlas) if was is None else ()
                why += [f"follows {other}", *causes]
        yield Row(older=older, change=one, why=tuple(why))


def _by_the_atlas(setting: str, older: int, newer: int, atlas: Atlas) -> Iterator[str]:
    """Notes, new defaults and new options that have to do with a setting."""
    flags = [flag for family in SETTINGS[setting].families for flag in family.flags]
    options = {name for flag in flags for name in atlas.options_of(flag)}
    for note in atlas.notes(older, newer):
        if options.intersection(name for flag in note.flags for name in atlas.options_of(flag)):
            yield f"{_when(atlas.moment(note))}: {note.what}"
    for happening in atlas.changes(older, newer):
        event = happening.event
        if happening.option in options and event.kind in {"default", "added"}:
            yield f"{_when(atlas.moment(event))}: `{happening.option}` {event_text(event)}"


def _when(moment: Moment) -> str:
    return ", ".join(filter(None, (moment.builds, moment.link)))


def table(found: Sequence[Row]) -> Iterator[str]:
    """The rows as Markdown."""
    yield "| setting | | between | why |"
    yield "|---|---|---|---|"
    for one in found:
        name, _, values = str(one.change).partition(" ")
        values = values.partition(" since ")[0]
        why = "<br>".join(one.why) or "**not explained**"
        yield f"| {name} | {values} | {one.older} … {one.change.since} | {why} |"
