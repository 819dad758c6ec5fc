"""What becomes of a command line, part by part."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.upgrade.era import Part, Words


class Kind(StrEnum):
    """What is the matter with words of a command line on another build."""

    REFUSED = "refused"
    RENAMED = "renamed"
    ARITY = "arity-changed"
    VALUE = "value-changed"
    VARIABLE_DEAD = "variable-dead"
    VARIABLE_RENAMED = "variable-renamed"
    WITHOUT_EFFECT = "without-effect"
    DEPRECATED = "deprecated"
    DRIFT = "drift"
    API = "api-drift"
    MISTAKE = "mistake"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One part of a command line that is written otherwise.

    Attributes:
        kind: Why it is.
        place: The part's, among those of the command line; of what is added, the one before it.
        before: Its words; none for what is added. A variable stands as ``NAME=VALUE``.
        after: What stands there now, flag by flag with its values; nothing for what is dropped.
        why: In a few words.
        since: The first build of which that holds; None where no rule tells it.
        source: Where that is from.
        lost: Whether the new build does not do what the words said; a launch may show otherwise.
    """

    kind: Kind
    place: int
    before: Words
    after: tuple[Words, ...]
    why: str
    since: int | None = None
    source: str = ""
    lost: bool = False

    @property
    def words(self) -> Words:
        """What stands there now."""
        return tuple(word for words in self.after for word in words)

    def __str__(self) -> str:
        before, after = " ".join(self.before), " ".join(self.words)
        if not before:
            return f"add {after}: {self.why}"
        return f"{before} → {after}: {self.why}" if after else f"drop {before}: {self.why}"


def dropped(
    place: int, part: Part, why: str, *, lost: bool = False, kind: Kind | None = None
) -> Change:
    """A part for which nothing is written."""
    kind = kind or (Kind.VARIABLE_DEAD if part.variable else Kind.REFUSED)
    return Change(kind=kind, place=place, before=part.written, after=(), why=why, lost=lost)


def added(place: int, words: Sequence[Words], why: str, kind: Kind) -> Change:
    """Words that stand after a part, which were not there before."""
    return Change(kind=kind, place=place, before=(), after=tuple(words), why=why)


def replaced(place: int, part: Part, after: Sequence[Words], why: str, kind: Kind) -> Change:
    """What is written in place of a part."""
    kind = Kind.VARIABLE_RENAMED if part.variable and kind is Kind.RENAMED else kind
    return Change(kind=kind, place=place, before=part.written, after=tuple(after), why=why)


def in_order(changes: Sequence[Change]) -> list[Change]:
    """By place, what is added after what stands there."""
    return sorted(changes, key=lambda one: (one.place, not one.before))
