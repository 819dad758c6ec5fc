"""Text that knows where in the file each of its characters is written."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self, overload

LONGEST: Final = 2 * 1024 * 1024
"""Characters that a text may grow to by the variables in it."""


class GrownError(ValueError):
    """Variables that are put into each other make a text that grows without end."""

    def __init__(self) -> None:
        super().__init__("its variables or loops grow without end")


Encode = Callable[[str], str]
"""Writes text so that its surroundings read it as it was: within quotes, within JSON, …"""


@dataclass(frozen=True, slots=True)
class Spot:
    """A stretch of the file.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        encode: How text is written there.
        outer: Where what it stands in begins and ends, where that goes with it: the reference of
            a default. Its own begin and end elsewhere.
    """

    start: int
    end: int
    encode: Encode
    outer: tuple[int, int] = (-1, -1)

    @property
    def whole(self) -> tuple[int, int]:
        """Begin and end with what goes with it."""
        return self.outer if self.outer[0] >= 0 else (self.start, self.end)


def as_it_is(text: str) -> str:
    """Text that needs no writing in another way."""
    return text


@dataclass(frozen=True, slots=True)
class _Straight(Sequence[Spot | None]):
    """Spots of characters that stand one after another, as a file's own do."""

    start: int
    length: int
    encode: Encode

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Spot: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Spot | None]: ...
    def __getitem__(self, index: int | slice) -> Spot | Sequence[Spot | None]:
        if isinstance(index, slice):
            start, stop, _ = index.indices(self.length)
            return _Straight(self.start + start, max(0, stop - start), self.encode)
        index = range(self.length)[index]
        return Spot(self.start + index, self.start + index + 1, self.encode)


@dataclass(frozen=True, slots=True)
class Traced:
    """Text as it is read, and the spot of each character; None for one that is in no file."""

    text: str
    spots: Sequence[Spot | None]

    @classmethod
    def file(cls, text: str) -> Self:
        """A whole file."""
        return cls(text, _Straight(0, len(text), as_it_is))

    @classmethod
    def made(cls, text: str) -> Self:
        """Text that does not stand in the file."""
        return cls(text, (None,) * len(text))

    @classmethod
    def at(cls, text: str, spot: Spot | None) -> Self:
        """Text that one stretch of the file stands for as a whole, as a reference does."""
        return cls(text, (spot,) * len(text))

    @classmethod
    def joined(cls, pieces: Iterable["Traced"]) -> Self:
        """One after another."""
        pieces = tuple(pieces)
        if len(pieces) == 1:
            return cls(pieces[0].text, pieces[0].spots)
        if sum(map(len, pieces)) > LONGEST:
            raise GrownError
        spots = tuple(spot for piece in pieces for spot in piece.spots)
        return cls("".join(piece.text for piece in pieces), spots)

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, index: slice) -> "Traced":
        return Traced(self.text[index], self.spots[index])

    def within(self, encode: Encode) -> "Traced":
        """The same, where text must also be written in a way of its own, as in quotes."""
        if isinstance(self.spots, _Straight):
            outer = self.spots.encode
            both = encode if outer is as_it_is else _chain(encode, outer)
            return Traced(self.text, _Straight(self.spots.start, self.spots.length, both))
        return Traced(
            self.text,
            tuple(
                spot and replace(spot, encode=_chain(encode, spot.encode)) for spot in self.spots
            ),
        )

    def span(self, start: int = 0, end: int | None = None) -> Spot | None:
        """The stretch of the file that a part of the text is written in; None where it is not.

        Between two characters it is the place where more could be written.
        """
        end = len(self) if end is None else end
        if start == end:
            return self._between(start)
        if isinstance(self.spots, _Straight):
            first = self.spots.start
            return Spot(first + start, first + end, self.spots.encode)
        spots = self.spots[start:end]
        first_spot, last = spots[0], spots[-1]
        if first_spot is None or last is None or not all(map(_adjoin, spots, spots[1:])):
            return None
        outer = (first_spot.whole[0], last.whole[1])
        if first_spot.outer == last.outer:
            return Spot(first_spot.start, last.end, first_spot.encode, first_spot.outer)
        return Spot(*outer, first_spot.encode if first_spot.outer[0] < 0 else last.encode)

    def standing_in(self, spot: Spot | None) -> "Traced":
        """The same, where a stretch of the file around it goes with it."""
        if spot is None:
            return self
        outer = (spot.start, spot.end)
        spots = (self.spots[i] for i in range(len(self)))
        return Traced(self.text, tuple(one and replace(one, outer=outer) for one in spots))

    def begin(self, at: int = 0) -> int | None:
        """Where in the file a character stands; None where it is in no file."""
        spot = self.span(at, at)
        return None if spot is None else spot.start

    def _between(self, index: int) -> Spot | None:
        if index and (before := self.spots[index - 1]):
            return Spot(before.end, before.end, before.encode)
        if index < len(self) and (after := self.spots[index]):
            return Spot(after.start, after.start, after.encode)
        if not len(self) and isinstance(self.spots, _Straight):
            return Spot(self.spots.start, self.spots.start, self.spots.encode)
        return None

    def lines(self) -> Iterator["Traced"]:
        """Line by line, without what ends them."""
        start = 0
        for line in self.text.splitlines(keepends=True):
            yield self[start : start + len(line.rstrip("\r\n"))]
            start += len(line)


def unbroken(lines: Iterable[Traced], mark: str) -> Iterator[Traced]:
    """Lines, where one that ends with a mark goes on with the next."""
    pieces = list[Traced]()
    for line in lines:
        text = line.text.rstrip()
        marks = len(text) - len(text.rstrip(mark))
        if marks % 2:
            cut = len(text) - 1
            pieces += [line[:cut], Traced.at(" ", line.span(cut, cut + 1))]
            continue
        yield Traced.joined([*pieces, line])
        pieces = []
    if pieces:
        yield Traced.joined(pieces)


def _adjoin(one: Spot | None, other: Spot | None) -> bool:
    if one is None or other is None:
        return False
    if one.outer == other.outer:
        return other.start == one.end or (other.start, other.end) == (one.start, one.end)
    return other.whole[0] == one.whole[1]


def _chain(inner: Encode, outer: Encode) -> Encode:
    return lambda text: outer(inner(text))
