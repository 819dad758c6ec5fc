"""Where words and variables stand in a file, and the edits that change them there."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from harness.formats.traced import Encode, Spot, Traced


class UnwritableError(Exception):
    """What is to be written cannot stand there; the message says why."""


class Edit(NamedTuple):
    """One stretch of the file, and what stands there afterwards."""

    start: int
    end: int
    text: str


class Row(Protocol):
    """What words stand in side by side: a command, a list."""

    def insert(
        self, words: Sequence[str], *, after: "Place | None" = None, before: "Place | None" = None
    ) -> Edit:
        """More words, beside one that stands there; beside none where the row is empty."""

    def remove(self, first: "Place", last: "Place") -> Edit:
        """One word or several neighbours fewer."""

    def adjoin(self, one: "Place", other: "Place") -> bool:
        """Whether nothing but what parts words stands between two of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a word is written.

    Attributes:
        start: Where it begins in the file, its quotes included.
        end: Where it ends.
        write: How a word is written there.
        row: What it stands in.
        whole: Where what goes with it begins and ends.
    """

    start: int
    end: int
    write: Encode
    row: Row
    whole: tuple[int, int] = (-1, -1)

    @property
    def bounds(self) -> tuple[int, int]:
        """Begin and end with what goes with it."""
        return self.whole if self.whole[0] >= 0 else (self.start, self.end)

    def becomes(self, word: str) -> Edit:
        """Another word in its place."""
        return Edit(self.start, self.end, self.write(word))


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command line, and where it stands; no place where it cannot be changed."""

    text: Traced
    place: Place | None = None

    def __str__(self) -> str:
        return self.text.text


@dataclass(frozen=True, slots=True)
class BlankRow:
    """Words parted by blanks.

    Attributes:
        file: The whole file.
        write: How a word is written where there is none beside it.
        head: Where the first word would stand; None where none can.
        pad: What comes before it there.
        continuation: What goes on with the next line: a backslash, a caret, a backtick.
    """

    file: str
    write: Encode
    head: int | None = None
    pad: str = " "
    continuation: str = "\\"

    def insert(
        self, words: Sequence[str], *, after: Place | None = None, before: Place | None = None
    ) -> Edit:
        """See Row."""
        if after:
            text = "".join(f" {after.write(word)}" for word in words)
            return Edit(after.bounds[1], after.bounds[1], text)
        if before:
            text = "".join(f"{before.write(word)} " for word in words)
            return Edit(before.bounds[0], before.bounds[0], text)
        if self.head is None:
            raise UnwritableError("nothing stands there that words could be put beside")
        return Edit(self.head, self.head, self.pad + " ".join(map(self.write, words)))

    def adjoin(self, one: Place, other: Place) -> bool:
        """See Row."""
        between = self.file[one.bounds[1] : other.bounds[0]] if one.end <= other.start else "x"
        return not between.replace(self.continuation, "").strip()

    def remove(self, first: Place, last: Place) -> Edit:
        """See Row: with the blanks before it, or the whole line where it stands alone on one."""
        file = self.file
        (start, _), (_, end) = first.bounds, last.bounds
        begin = start
        while start and file[start - 1] in " \t":
            start -= 1
        mark = re.escape(self.continuation)
        rest = re.compile(rf"[ \t]*({mark})?[ \t]*(\r?\n|$)").match(file, end)
        if start and file[start - 1] != "\n":
            return Edit(start, end, "")
        if rest is None:
            blanks = re.compile(r"[ \t]*").match(file, end)
            return Edit(begin, blanks.end() if blanks else end, "")
        before = re.compile(rf"[ \t]*{mark}[ \t]*\r?\n$").search(file, 0, start)
        if before and not rest[1]:  # the last of its command: the line before must end it
            return Edit(before.start(), end, "")
        return Edit(start, rest.end(), "")


_FLOW: Final = re.compile(r"\s*,\s*")
_LINE_FEED_ALONE: Final = re.compile(r"(?<!\r)\n")
_BLOCK: Final = re.compile(r"\r?\n[ \t]*-[ \t]+")
_BARE: Final = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class ListRow:
    """Items of a list.

    Attributes:
        file: The whole file.
        write: How an item is written.
        separator: What parts two items where the list has none to look at.
        opened: Where the first item would stand.
        items: Where the items stand, in their order.
    """

    file: str
    write: Encode
    separator: str = ", "
    opened: int | None = None
    items: list[tuple[int, int]] = field(default_factory=list)

    @property
    def _is_block(self) -> bool:
        return "\n" in self.separator

    def _between(self) -> str:
        shape = _BLOCK if self._is_block else _FLOW if "," in self.separator else _BARE
        for (_, end), (start, _) in zip(self.items, self.items[1:], strict=False):
            if shape.fullmatch(self.file, end, start):
                return self.file[end:start]
        return self.separator

    def insert(
        self, words: Sequence[str], *, after: Place | None = None, before: Place | None = None
    ) -> Edit:
        """See Row."""
        between = self._between()
        written = [self.write(word) for word in words]
        if after:
            end = self.behind(after.end)
            return Edit(end, end, "".join(between + word for word in written))
        if before:
            text = "".join(word + between for word in written)
            return Edit(before.start, before.start, text)
        if self.opened is None:
            raise UnwritableError("nothing stands there that words could be put beside")
        head = "" if not self._is_block else self.separator
        return Edit(self.opened, self.opened, head + between.join(written))

    def behind(self, end: int) -> int:
        """Where the line of an item ends that has a comment behind it."""
        comment = re.compile(r"[ \t]+#[^\r\n]*").match(self.file, end) if self._is_block else None
        return comment.end() if comment else end

    def adjoin(self, one: Place, other: Place) -> bool:
        """See Row."""
        ends = [end for _, end in self.items]
        return one.end in ends[:-1] and self.items[ends.index(one.end) + 1][0] == other.start

    def remove(self, first: Place, last: Place) -> Edit:
        """See Row."""
        return self.cut((first.start, first.end), (last.start, last.end))

    def cut(self, first: tuple[int, int], last: tuple[int, int]) -> Edit:
        """Without the items from the first to the last."""
        start, end = self.items.index(first), self.items.index(last)
        line = self.file.rfind("\n", 0, first[0]) + 1
        if self._is_block and not self.file[line : first[0]].strip(" \t-"):
            after = self.file.find("\n", last[1])
            return Edit(line, after + 1 if after >= 0 else len(self.file), "")
        if end + 1 < len(self.items):
            return Edit(first[0], self.items[end + 1][0], "")
        if start:
            return Edit(self.items[start - 1][1], last[1], "")
        comma = re.compile(r"\s*,").match(self.file, last[1]) if "," in self.separator else None
        return Edit(first[0], comma.end() if comma else last[1], "")


class VariablePlace(Protocol):
    """Where a variable is set in a file."""

    def becomes(self, name: str, value: str) -> list[Edit]:
        """Another name or value in its place."""

    def removed(self) -> list[Edit]:
        """Without it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A variable set in one word, ``NAME=value``."""

    place: Place

    def becomes(self, name: str, value: str) -> list[Edit]:
        """See VariablePlace."""
        return [self.place.becomes(f"{name}={value}")]

    def removed(self) -> list[Edit]:
        """See VariablePlace."""
        return [self.place.row.remove(self.place, self.place)]


@dataclass(frozen=True, slots=True)
class OwnLine:
    """A variable set on a line that sets no other."""

    place: Place
    file: str

    def becomes(self, name: str, value: str) -> list[Edit]:
        """See VariablePlace."""
        return [self.place.becomes(f"{name}={value}")]

    def removed(self) -> list[Edit]:
        """See VariablePlace."""
        start = self.file.rfind("\n", 0, self.place.start) + 1
        end = self.file.find("\n", self.place.end)
        return [Edit(start, end + 1 if end >= 0 else len(self.file), "")]


@dataclass(frozen=True, slots=True)
class Option:
    """A variable set by an option and its value, ``-e NAME=value``."""

    option: Place
    value: Place

    def becomes(self, name: str, value: str) -> list[Edit]:
        """See VariablePlace."""
        return [self.value.becomes(f"{name}={value}")]

    def removed(self) -> list[Edit]:
        """See VariablePlace."""
        return [self.option.row.remove(self.option, self.value)]


def assignment_at(place: Place | None) -> Assignment | None:
    """A variable that is set in the word at a place."""
    return None if place is None else Assignment(place)


@dataclass(frozen=True, slots=True)
class Pair:
    """A variable whose name and value stand apart.

    Attributes:
        name: Where the name stands; None where it cannot be changed.
        value: Where the value stands.
        old: Name and value as they are.
        without: The edit that takes both away.
    """

    name: Place | None
    value: Place | None
    old: tuple[str, str]
    without: Callable[[], Edit]

    def becomes(self, name: str, value: str) -> list[Edit]:
        """See VariablePlace."""
        edits = []
        for place, new, old in zip((self.name, self.value), (name, value), self.old, strict=True):
            if new != old:
                if place is None:
                    raise UnwritableError(f"{old!r} is put together from several places")
                edits.append(place.becomes(new))
        return edits

    def removed(self) -> list[Edit]:
        """See VariablePlace."""
        return [self.without()]


def place_of(spot: Spot | None, quote: Encode, row: Row) -> Place | None:
    """The place of a word that is written at a spot, quoted in a way of its own."""
    if spot is None:
        return None
    write = lambda word: spot.encode(quote(word))  # noqa: E731
    return Place(spot.start, spot.end, write, row, spot.outer)


def applied(text: str, edits: Sequence[Edit]) -> str:
    """A text after some edits; new lines end as the text's own do.

    Raises:
        UnwritableError: Two of them change the same stretch.
    """
    ends_in_crlf = "\r\n" in text and not _LINE_FEED_ALONE.search(text)
    pieces, position = [], 0
    for start, end, new in sorted(set(edits)):
        if start < position and new and start != end:
            raise UnwritableError("two of the words stand for one and the same piece of the file")
        pieces += [
            text[position:start],
            _LINE_FEED_ALONE.sub("\r\n", new) if ends_in_crlf else new,
        ]
        position = max(position, end)
    return "".join([*pieces, text[position:]])
