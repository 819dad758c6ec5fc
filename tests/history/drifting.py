"""What changed in a bare command line over the history, and what the atlas says of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from harness.flags.atlas import Atlas
from harness.report.atlas_lines import event_text
from harness.settings.state import SETTINGS
from harness.settings.value import spoken
from harness.verdicts.drift import Drift, drift

FOLLOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "context_per_slot": ("context", "slots", "kv_unified"),
    "dry_penalty_last_n": ("context",),
    "aliases": ("model_id",),
}
"""Settings without a flag of their own for this, by those that they follow."""

BY_HAND: Final[Mapping[tuple[str, str], str]] = {
    ("reasoning_format", "deepseek"): "after b6666, by b6792 in the sources; `--help` says auto",
    ("model_id", "tiny-llama.gguf"): "after b7217, by b7278 in the sources: the file's name",
    ("model_id", "PATH"): "the file's path again",
}
"""What no option table and no note of the atlas tells, by setting and value that it comes to."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One change of one setting between two builds that follow each other.

    Attributes:
        older: The last build before that tells the setting.
        why: What the atlas says happened in between, or what is known otherwise; none: a surprise.
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
    found = [*drift(states)]
    changed = {(one.setting, one.since) for one in found}
    for one in found:
        older = before[one.setting, one.since]
        why = [*_by_the_atlas(one, int(older[1:]), int(one.since[1:]), atlas)]
        why += [
            f"follows {other}"
            for other in FOLLOWS.get(one.setting, ())
            if (other, one.since) in changed
        ]
        known = BY_HAND.get((one.setting, spoken(one.after)))
        yield Row(older=older, change=one, why=(*why, *filter(None, (known,))))


def _by_the_atlas(one: Drift, older: int, newer: int, atlas: Atlas) -> Iterator[str]:
    """Notes, new defaults and new options that have to do with a setting."""
    flags = [flag for family in SETTINGS[one.setting].families for flag in family.flags]
    options = {name for flag in flags for name in atlas.options_of(flag)}
    for note in atlas.notes(older, newer):
        if options.intersection(name for flag in note.flags for name in atlas.options_of(flag)):
            moment = atlas.moment(note)
            yield f"{moment.builds}, {moment.link}: {note.what}"
    for happening in atlas.changes(older, newer):
        event = happening.event
        if happening.option in options and event.kind in {"default", "added"}:
            moment = atlas.moment(event)
            told = ", ".join(filter(None, (moment.builds, moment.link)))
            yield f"{told}: `{happening.option}` {event_text(event)}"


def table(found: Sequence[Row]) -> Iterator[str]:
    """The rows as Markdown."""
    yield "| setting | | between | why |"
    yield "|---|---|---|---|"
    for one in found:
        name, _, values = str(one.change).partition(" ")
        values = values.partition(" since ")[0]
        why = "<br>".join(one.why) or "**not explained**"
        yield f"| {name} | {values} | {one.older} … {one.change.since} | {why} |"
