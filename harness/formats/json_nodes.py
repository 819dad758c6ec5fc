"""Contents JSON with the places of its values; comments and trailing commas are borne with."""

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Final

from harness.formats.nodes import DEPTH, Entry, ListNode, MapNode, Node, Scalar
from harness.formats.places import Edit, ListRow, UnwritableError, place_of
from harness.formats.traced import Spot, Traced

_BLANK: Final = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_BARE: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")


def read_json(source: Traced, file: str) -> Node:
    """The value that a text holds.

    Raises:
        ValueError: It is not JSON.
    """
    reader = _Reader(source, file)
    node, end = reader.value(reader.skip(0), 0)
    end = reader.skip(end)
    if end < len(source):
        raise reader.error("something follows the end", end)
    return node


class _Reader:
    def __init__(self, source: Traced, file: str) -> None:
        self.source = source
        self.text = source.text
        self.file = file

    def error(self, why: str, at: int) -> ValueError:
        line = self.text.count("\n", 0, at) + 1
        return ValueError(f"line {line}: {why}")

    def skip(self, at: int) -> int:
        match = _BLANK.match(self.text, at)
        return match.end() if match else at

    def value(self, at: int, depth: int) -> tuple[Node, int]:
        if depth > DEPTH:
            raise self.error("too deep", at)
        char = self.text[at : at + 1]
        if char == "{":
            return self._mapping(at, depth)
        if char == "[":
            return self._list(at, depth)
        row = ListRow(self.file, _dumped)
        return self._scalar(at, row)

    def _scalar(self, at: int, row: ListRow) -> tuple[Scalar, int]:
        if self.text[at : at + 1] == '"':
            text, end = self._string(at)
            place = place_of(self.source.span(at, end), _dumped, row)
            return Scalar(text, place), end
        match = _BARE.match(self.text, at)
        if not match:
            found = self.text[at : at + 10] or "the end"
            raise self.error(f"a value is missing before {found!r}", at)
        end = match.end()
        place = place_of(self.source.span(at, end), _bare, row)
        is_null = match[0] == "null"
        text = self.source[at : at if is_null else end]
        return Scalar(text, place, is_text=False, is_null=is_null), end

    def _string(self, at: int) -> tuple[Traced, int]:
        try:
            value, end = scanstring(self.text, at + 1, False)
        except ValueError as error:
            raise self.error(str(error).split(":")[0], at) from error
        inner = self.source[at + 1 : end - 1]
        if len(inner) == len(value):
            return inner.within(_escaped), end
        pieces, i = list[Traced](), at + 1
        while i < end - 1:
            width = 1
            if self.text[i] == "\\":
                width = 6 if self.text[i + 1] == "u" else 2
                if re.match(r"\\ud[89ab]..\\ud[c-f]", self.text[i : i + 12], re.IGNORECASE):
                    width = 12
            char, _ = scanstring(self.text[i : i + width] + '"', 0, False)
            pieces.append(Traced.at(char, self.source.span(i, i + width)))
            i += width
        return Traced.joined(pieces).within(_escaped), end

    def _list(self, at: int, depth: int) -> tuple[ListNode, int]:
        row = ListRow(self.file, _dumped, opened=self.source.begin(at + 1))
        items, at = list[Node](), self.skip(at + 1)
        while self.text[at : at + 1] != "]":
            start = at
            if self.text[at : at + 1] in ("{", "["):
                item, at = self.value(at, depth + 1)
            else:
                item, at = self._scalar(at, row)
            items.append(item)
            spot = self.source.span(start, at)
            if spot:
                row.items.append((spot.start, spot.end))
            at = self._separated(at, "]")
        return ListNode(items, row), at + 1

    def _separated(self, at: int, end: str) -> int:
        at = self.skip(at)
        if self.text[at : at + 1] == ",":
            return self.skip(at + 1)
        if self.text[at : at + 1] != end:
            raise self.error(f"a comma or {end!r} is missing", at)
        return at

    def _mapping(self, at: int, depth: int) -> tuple[MapNode, int]:
        begin, entries, spots = at, list[Entry](), list[Spot | None]()
        at = self.skip(at + 1)
        while self.text[at : at + 1] != "}":
            start = at
            if self.text[at : at + 1] != '"':
                raise self.error("a key in quotes is missing", at)
            name, at = self._scalar(at, ListRow(self.file, _dumped))
            at = self.skip(at)
            if self.text[at : at + 1] != ":":
                raise self.error("a colon is missing", at)
            value, at = self.value(self.skip(at + 1), depth + 1)
            spots.append(self.source.span(start, at))
            entries.append(Entry(name, value, _Removal(spots, len(spots) - 1)))
            at = self._separated(at, "}")
        opened = self.source.span(begin + 1, begin + 1)
        addition = _Addition(self.file, opened, spots)
        return MapNode(entries, addition.texts, addition.key), at + 1


class _Removal:
    def __init__(self, spots: list[Spot | None], index: int) -> None:
        self._spots, self._index = spots, index

    def __call__(self) -> Edit:
        spot = self._spots[self._index]
        if spot is None:
            raise UnwritableError("it is put together from several places")
        after = self._spots[self._index + 1 : self._index + 2]
        if after and after[0]:
            return Edit(spot.start, after[0].start, "")
        before = self._spots[self._index - 1] if self._index else None
        return Edit(before.end if before else spot.start, spot.end, "")


class _Addition:
    def __init__(self, file: str, opened: Spot | None, spots: list[Spot | None]) -> None:
        self._file, self._opened, self._spots = file, opened, spots

    def texts(self, pairs: list[tuple[str, str]]) -> Edit:
        return self._put([f"{_dumped(name)}: {_dumped(value)}" for name, value in pairs])

    def key(self, key: str, inner: list[list[tuple[str, str]]] | list[tuple[str, str]]) -> Edit:
        def value(part: object) -> object:
            if isinstance(part, list) and all(isinstance(one, tuple) for one in part):
                return dict(part)
            return [value(one) for one in part] if isinstance(part, list) else part

        return self._put([f"{_dumped(key)}: {json.dumps(value(inner), ensure_ascii=False)}"])

    def _put(self, written: list[str]) -> Edit:
        last = self._spots[-1] if self._spots else None
        if last is None:
            if self._opened is None or self._spots:
                raise UnwritableError("nothing can be added there")
            start = self._opened.start
            return Edit(start, start, self._opened.encode(", ".join(written)))
        between = ", "
        if len(self._spots) > 1 and (before := self._spots[-2]):
            found = self._file[before.end : last.start]
            between = found if re.fullmatch(r"\s*,\s*", found) else between
        text = "".join(between + last.encode(one) for one in written)
        return Edit(last.end, last.end, text)


def _dumped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    return _dumped(text)[1:-1]


def _bare(text: str) -> str:
    return text if _BARE.fullmatch(text) else _dumped(text)
