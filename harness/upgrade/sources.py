"""What the atlas says of the way between two builds: since when, by which pull request."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.flags import families
from harness.flags.arguments import Argument
from harness.flags.atlas import Atlas, Event, Facts, Moment, load_atlas
from harness.flags.families import Family
from harness.flags.lifetimes import live_spans, moment_of
from harness.flags.rules import rules
from harness.settings.state import SETTINGS
from harness.upgrade.era import Era, Words

_PINNED: Final = frozenset(
    {"--context-shift", "--port", "--cache-ram", "--fit", "--timeout", "--slot-prompt-similarity",
     "--ctx-checkpoints", "--checkpoint-min-step", "--reasoning-preserve", "--jinja",
     "--cache-idle-slots"}
)  # fmt: skip
"""Options whose defaults are worth keeping, and can be told in a word."""
_RENUMBERED: Final = frozenset({"--verbosity"})
"""Its default is the same by other numbers."""
_OF_A_DRAFT: Final = ("--spec-draft", "--draft")
_OF_IMAGES: Final = ("--mmproj", "--image", "--video")
_OF_A_ROUTER: Final = ("--models",)
_DERIVED: Final = {"context_per_slot": "slots"}
"""Settings that follow from another one."""


@dataclass(frozen=True, kw_only=True)
class DefaultChange:
    """A default that is not what it was.

    Attributes:
        flags: What sets it, on either build.
        before: On the old build.
        after: On the new one.
    """

    option: str
    flags: tuple[str, ...]
    before: str
    after: str
    moment: Moment | None

    def pin(self, new: Era) -> Words | None:
        """The words that keep what it was."""
        live = [flag for flag in self.flags if new.option(flag) is not None]
        option = new.option(live[0]) if live else None
        if option is None or self.option not in _PINNED:
            return None
        if option.takes_value:
            return live[0], self.before
        off = self.before == "off"
        return next(((flag,) for flag in live if flag.startswith("--no-") == off), None)


def moment_between(word: str, old: Era, new: Era) -> Moment | None:
    """When a flag or variable began or ended to work between two builds."""
    if not (old.in_atlas and new.in_atlas):
        return None
    atlas = load_atlas()
    first, last = sorted((old.number, new.number))
    lives = tuple(atlas.history(word).values())
    for span in reversed(live_spans(word, atlas)):
        for build in (span.end, span.first):
            if build is not None and first < build <= last:
                return moment_of(lives, build, atlas)
    return None


def moment_of_setting(setting: str, old: Era, new: Era) -> Moment | None:
    """When a default that a setting shows changed between two builds."""
    if not (old.in_atlas and new.in_atlas):
        return None
    atlas = load_atlas()
    flags = {flag for family in _families(setting) for flag in (*family.flags, *family.negations)}
    first, last = sorted((old.number, new.number))
    options = {option for flag in flags for option in atlas.options_of(flag)}
    # What was seen to change, before what only a text says.
    notes = [note for note in atlas.notes(first, last) if not flags.isdisjoint(note.flags)]
    if notes:
        return atlas.moment(notes[0])
    for happening in reversed(atlas.changes(first, last)):
        if happening.option in options and _tells(happening.event):
            return atlas.moment(happening.event)
    return None


def _families(setting: str) -> Sequence[Family]:
    name = _DERIVED.get(setting.partition(" ")[0], setting)
    if " " in name:
        return (families.DRAFT_MAX,) if name.startswith("draft") else (families.NGRAM_MOD_MAX,)
    return SETTINGS[name].families if name in SETTINGS else ()


def default_changes(old: Era, new: Era, arguments: Iterable[Argument]) -> Iterator[DefaultChange]:
    """The defaults that differ between two builds, but for what some arguments set.

    Args:
        old: The build that things were so on.
        new: The other one.
        arguments: Of the command line; what none of them needs is left out as well.
    """
    if not (old.in_atlas and new.in_atlas):
        return
    atlas = load_atlas()
    given = [*arguments]
    before, after = (atlas.table(era.number) for era in (old, new))
    for option, now in after.items():
        was = before.get(option) or before.get(_turned(option))
        if not now.works or not _matters(option, given) or _is_set(now, was, given):
            continue
        change = _change(option, was, now, atlas, (old, new))
        if change is not None:
            yield change


def _change(
    option: str, was: Facts | None, now: Facts, atlas: Atlas, eras: tuple[Era, Era]
) -> DefaultChange | None:
    old, new = eras
    absent = next((one for one in rules().absent if option in one.flags), None)
    before = _default(was) if was else absent.value if absent else ""
    after = _default(now)
    if not before or not after or before == after or option in _RENUMBERED:
        return None
    first, last = sorted((old.number, new.number))
    moments = (
        atlas.moment(happening.event)
        for happening in reversed(atlas.changes(first, last))
        if happening.option in {option, _turned(option)} and _tells(happening.event)
    )
    flags = dict.fromkeys((option, *now.spellings, *now.negations, *(was.words if was else ())))
    return DefaultChange(
        option=option,
        flags=tuple(flag for flag in flags if flag.startswith("-")),
        before=before,
        after=after,
        moment=next(moments, None),
    )


def _turned(option: str) -> str:
    """The option of its own that a negation was before b7376."""
    return f"--no-{option.removeprefix('--')}"


def _default(facts: Facts) -> str:
    """A default as of the positive flag, where a negation is the only spelling."""
    value = facts.default or ""
    only = all(one.startswith("--no-") for one in facts.spellings if one.startswith("--"))
    turned = {"on": "off", "off": "on"}
    return turned.get(value, value) if only and not facts.arity else value


def _tells(event: Event) -> bool:
    return event.kind in {"default", "added"}


def _matters(option: str, arguments: Sequence[Argument]) -> bool:
    """Whether a command line has anything to do with what an option is about."""
    drafts = any(
        family.is_set_by(one) for one in arguments for family in families.SPECULATION_SWITCHES
    )
    needs = {
        _OF_A_DRAFT: drafts,
        _OF_IMAGES: any(one.flag in {"--mmproj", "-mm"} for one in arguments),
        _OF_A_ROUTER: any(families.PRESETS.is_set_by(one) for one in arguments),
    }
    return all(needed for prefixes, needed in needs.items() if option.startswith(prefixes))


def _is_set(now: Facts, was: Facts | None, arguments: Sequence[Argument]) -> bool:
    words = {*now.words, *(was.words if was else ())}
    return any(
        not words.isdisjoint((one.spelling, *(one.option.spellings if one.option else ())))
        for one in arguments
    )
