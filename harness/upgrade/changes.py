"""What becomes of a command line, part by part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.upgrade.era import Part, Words


class Kind(StrEnum):
    """What became of a part of a command line."""

    RENAMED = "renamed"
    ARITY = "arity-changed"
    VALUE = "value-changed"
    MENDED = "mended"
    DROPPED = "dropped"
    ADDED = "added"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One part of a command line that is written otherwise.

    Attributes:
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
            what = f"add {after}"
        else:
            what = f"{before} → {after}" if after else f"drop {before}"
        return f"{what}: {self.why}{self.cited}"

    @property
    def cited(self) -> str:
        """`` (b8955, #22397)``."""
        since = "" if self.since is None else f"b{self.since}"
        told = ", ".join(filter(None, (since, self.source)))
        return f" ({told})" if told else ""


def dropped(place: int, part: Part, why: str, *, lost: bool = False) -> Change:
    """A part for which nothing is written."""
    return Change(kind=Kind.DROPPED, place=place, before=part.written, after=(), why=why, lost=lost)


def in_order(changes: Sequence[Change]) -> Iterator[Change]:
    """By place, what is added after what stands there."""
    return iter(sorted(changes, key=lambda one: (one.place, one.kind is Kind.ADDED)))
