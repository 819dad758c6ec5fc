"""What a word of a shell script stands for: quotes, variables, defaults, arrays. Nothing is run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Protocol

from harness.formats.interpolation import closing
from harness.formats.places import Word
from harness.formats.shell_changes import LONGEST, calculated, changed
from harness.formats.traced import Traced
from harness.formats.words import in_double_quotes, in_single_quotes

_DEPTH: Final = 20
_PARAMETER: Final = re.compile(
    r"(?P<how>[!#]?)(?P<name>[A-Za-z_]\w*|\d+|[@*#?$!-])(?:\[(?P<index>[^\]]*)\])?(?P<rest>.*)",
    re.DOTALL,
)
_NAME: Final = re.compile(r"[A-Za-z_]\w*|[\d@*#?$!-]")
_OPERATION: Final = re.compile(r":?[-=+?]")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "a": "\a", "b": "\b", "0": "\0"}
_ALL: Final = frozenset({"@", "*"})


class Unknown(Enum):
    """The value of a variable that the script sets to what only running it would tell."""

    UNKNOWN = "unknown"


Value = Traced | tuple[Word, ...] | Unknown
"""Text, the words of an array, or what is not known."""


class Scope(Protocol):
    """The variables at some point of a script."""

    def lookup(self, name: str) -> Value | None:
        """A variable's value; None where the script does not set it."""

    def assign(self, name: str, value: Traced) -> None:
        """Set a variable."""

    def sets(self, name: str) -> bool:
        """Whether the script sets a variable somewhere."""

    def output(self, command: str) -> str | None:
        """What a command would print; None where that cannot be known without running it."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A piece of a word; it may fall apart at its blanks."""

    text: Traced
    splits: bool = False


@dataclass(frozen=True, slots=True)
class _Words:
    """Words of an array, each a word of its own."""

    words: tuple[Word, ...]


_Pieces = list[_Text | _Words]


def fields(source: Traced, scope: Scope) -> list[Word]:
    """The words that one word of a script becomes: mostly one, none or many for a variable.

    Only what stands in an array or in a variable's value has a place of its own.
    """
    gathered = _Fields()
    for piece in _Expansion(source, scope).pieces():
        if isinstance(piece, _Words):
            gathered.add_words(piece.words)
        elif piece.splits:
            gathered.add_split(piece.text)
        else:
            gathered.add(piece.text)
    gathered.flush()
    return gathered.done


class _Fields:
    """Words as they are put together from pieces."""

    def __init__(self) -> None:
        self.done: list[Word] = []
        self._current: list[Traced] = []
        self._lone: Word | None = None

    def flush(self) -> None:
        """End the word."""
        if self._lone is not None and len(self._current) == 1:
            self.done.append(self._lone)
        elif self._current:
            self.done.append(Word(Traced.joined(self._current)))
        self._current, self._lone = [], None

    def add(self, text: Traced, whole: Word | None = None) -> None:
        """Go on with the word."""
        self._lone = None if self._current else whole
        self._current.append(text)

    def add_words(self, words: tuple[Word, ...]) -> None:
        """Go on with the first word, and begin one with each other."""
        for number, word in enumerate(words):
            if number:
                self.flush()
            self.add(word.text, word)

    def add_split(self, text: Traced) -> None:
        """Go on with what stands before the first blank, and begin a word behind each."""
        position = 0
        for match in re.finditer(r"\S+", text.text):
            if match.start() > position:
                self.flush()
            self.add(text[match.start() : match.end()])
            position = match.end()
        if position < len(text):
            self.flush()


def text_of(source: Traced, scope: Scope, *, quoted: bool = False) -> Traced:
    """What a word becomes where it stays one, as in an assignment.

    Args:
        source: The word.
        scope: The variables.
        quoted: Whether it stands as in double quotes, a here-document's text for one.
    """
    pieces = list[Traced]()
    for piece in _Expansion(source, scope, quoted=quoted).pieces():
        if isinstance(piece, _Words):
            spaced = [one for word in piece.words for one in (Traced.made(" "), word.text)]
            pieces += spaced[1:]
        else:
            pieces.append(piece.text)
    return Traced.joined(pieces or [source[0:0]])


@dataclass(frozen=True)
class _Expansion:
    """The expansion of one word.

    Attributes:
        source: The word.
        scope: The variables.
        quoted: Whether it stands in double quotes.
        operand: Whether it stands in ``${…}``, where also its bare text falls apart at its blanks.
        depth: How many others it stands in.
    """

    source: Traced
    scope: Scope
    quoted: bool = False
    operand: bool = False
    depth: int = 0

    def pieces(self) -> Iterator[_Text | _Words]:
        """Its pieces."""
        text, i, run = self.source.text, 0, 0
        if self.depth > _DEPTH:
            yield _Text(self.source)
            return
        inner = self.source.within(in_double_quotes) if self.quoted else self.source
        while i < len(text):
            found = self._special(i)
            if found is None:
                i += 1
                continue
            if run < i:
                yield _Text(inner[run:i], splits=self.operand and not self.quoted)
            yield from found[0]
            i = run = found[1]
        if run < len(text):
            yield _Text(inner[run:], splits=self.operand and not self.quoted)

    def _special(self, at: int) -> tuple[_Pieces, int] | None:
        """What begins at a letter that means something, and where it ends; else None."""
        char = self.source.text[at]
        if char == "\\":
            return self._backslash(at)
        if char == "$":
            return self._dollar(at)
        if char == "`":
            end = self._found("`", at + 1) + 1
            return [_Text(self.source[at:end])], end
        if self.quoted or char not in {"'", '"'}:
            return None
        if char == "'":
            end = self._found("'", at + 1)
            return [_Text(self.source[at + 1 : end].within(in_single_quotes))], end + 1
        end = _end_of_double_quotes(self.source.text, at)
        within = self.source[at + 1 : end]
        return self._inner(within, quoted=True) or [_Text(within)], end + 1

    def _found(self, what: str, start: int) -> int:
        end = self.source.text.find(what, start)
        return len(self.source) if end < 0 else end

    def _inner(self, source: Traced, *, quoted: bool, operand: bool = False) -> _Pieces:
        inner = replace(self, source=source, quoted=quoted, operand=operand, depth=self.depth + 1)
        return list(inner.pieces())

    def _backslash(self, at: int) -> tuple[_Pieces, int] | None:
        char = self.source.text[at + 1 : at + 2]
        if char in ("\n", ""):
            return [], at + 1 + len(char)
        if self.quoted and char not in {"\\", '"', "$", "`"}:
            return None
        return [_Text(Traced.at(char, self.source.span(at, at + 2)))], at + 2

    def _dollar(self, at: int) -> tuple[_Pieces, int] | None:
        text, source = self.source.text, self.source
        if text.startswith("$(", at):
            return self._printed(at)
        if text.startswith(("$'", '$"'), at) and not self.quoted:
            return self._ansi_quoted(at) if text[at + 1] == "'" else ([], at + 1)
        if text.startswith("${", at):
            end = closing(text, at + 1)
            inner = source[at + 2 : (end or at + 3) - 1]
        else:
            name = _NAME.match(text, at + 1)
            end = name.end() if name else None
            inner = source[at + 1 : end or at + 1]
        return None if end is None else (self._parameter(inner, source[at:end]), end)

    def _printed(self, at: int) -> tuple[_Pieces, int]:
        """``$(…)``, and ``$((…))``."""
        text, source = self.source.text, self.source
        if text.startswith("$((", at) and (end := text.find("))", at)) > 0:
            value = calculated(text[at + 3 : end], self._known)
            spot, whole = source.span(at, end + 2), source[at : end + 2]
            return [_Text(whole if value is None else Traced.at(str(value), spot))], end + 2
        end = _end_of_parentheses(text, at + 1)
        printed = self.scope.output(text[at + 2 : end - 1])
        if printed is None:
            return [_Text(source[at:end])], end
        return [self._value(Traced.at(printed, source.span(at, end)))], end

    def _known(self, name: str) -> str | None:
        value = self.scope.lookup(name)
        return value.text if isinstance(value, Traced) else None

    def _value(self, text: Traced) -> _Text:
        return _Text(text, splits=not self.quoted)

    def _ansi_quoted(self, at: int) -> tuple[_Pieces, int]:
        source, pieces, i = self.source, list[Traced](), at + 2
        text = source.text
        while i < len(text) and text[i] != "'":
            width = 2 if text[i] == "\\" and i + 1 < len(text) else 1
            char = text[i] if width == 1 else _ESCAPES.get(text[i + 1], text[i + 1])
            pieces.append(Traced.at(char, source.span(i, i + width)))
            i += width
        return [_Text(Traced.joined(pieces or [source[at:at]]))], i + 1

    def _parameter(self, inner: Traced, whole: Traced) -> _Pieces:
        """What ``$NAME`` or ``${NAME…}`` becomes; itself where the value is not known."""
        match = _PARAMETER.fullmatch(inner.text)
        if not match:
            return [_Text(whole)]
        value, rest = self.scope.lookup(match["name"]), match["rest"]
        if match["how"] == "!":
            value = self.scope.lookup(value.text) if isinstance(value, Traced) else Unknown.UNKNOWN
        elif match["how"] == "#":
            return [_Text(_length(value, whole))]
        if isinstance(value, tuple) and (match["index"] in _ALL or match["name"] in _ALL):
            is_slice = not rest or rest.startswith(":")
            return [_Words(value)] if is_slice else [_Text(whole)]
        if isinstance(value, tuple) or match["index"]:
            index = inner[match.start("index") : match.end("index")] if match["index"] else None
            value = self._item(match["name"], value, index)
        if operation := _OPERATION.match(rest):
            operand = inner[match.start("rest") + operation.end() :]
            return self._or_else(match["name"], value, operation[0], operand, whole)
        return self._plain(match["name"], value, rest, whole)

    def _item(self, name: str, value: Value | None, index: Traced | None) -> Value | None:
        """One item of an array, by number or by key."""
        key = text_of(index, self.scope).text if index else "0"
        item = self.scope.lookup(f"{name}[{key}]")
        if item is not None or not isinstance(value, tuple):
            return item or value
        is_number = key.isdigit() and len(key) < len(str(LONGEST))
        if not is_number:
            return Unknown.UNKNOWN
        return value[int(key)].text if int(key) < len(value) else None

    def _plain(self, name: str, value: Value | None, rest: str, whole: Traced) -> _Pieces:
        nothing: _Pieces = [_Text(whole[0:0])] if self.quoted else []
        if value is None and not rest and (self.scope.sets(name) or name in _ALL):
            return nothing  # the script sets it only where it did not get to
        if not isinstance(value, Traced):
            return [_Text(whole)]
        if not rest:
            return [self._value(value)]
        text = changed(value.text, rest)
        return [_Text(whole) if text is None else self._value(Traced.at(text, whole.span()))]

    def _or_else(
        self, name: str, value: Value | None, operation: str, operand: Traced, whole: Traced
    ) -> _Pieces:
        """What ``${NAME:-…}`` and its like become."""
        kind, is_empty = operation[-1], isinstance(value, Traced) and not value.text
        is_set = value is not None and not (operation[0] == ":" and is_empty)
        if kind == "?" and not is_set:  # what is said where it is missing is no part of the value
            return [_Text(Traced.at(f"${{{name}}}", whole.span()))]
        if is_set == (kind == "+"):
            if kind == "=":
                self.scope.assign(name, text_of(operand, self.scope, quoted=self.quoted))
            pieces = self._inner(operand, quoted=self.quoted, operand=True)
            return pieces or ([_Text(operand)] if self.quoted else [])
        if kind == "+":
            return [_Text(whole[0:0])] if self.quoted else []
        return [self._value(value) if isinstance(value, Traced) else _Text(whole)]


def _length(value: Value | None, whole: Traced) -> Traced:
    if isinstance(value, Unknown):
        return whole
    return Traced.at(str(0 if value is None else len(value)), whole.span())


def _end_of_double_quotes(text: str, opened: int) -> int:
    i = opened + 1
    while i < len(text):
        if text[i] == "\\":
            i += 1
        elif text[i] == '"':
            return i
        elif text.startswith("${", i):
            i = (closing(text, i + 1) or i + 1) - 1
        elif text.startswith("$(", i):
            i = _end_of_parentheses(text, i + 1) - 1
        i += 1
    return len(text)


def _end_of_parentheses(text: str, opened: int) -> int:
    """Behind the parenthesis that closes the one at an index; quotes hide what is in them."""
    depth, i = 0, opened
    while i < len(text):
        char = text[i]
        if char == "\\":
            i += 1
        elif char in "'\"":
            end = text.find(char, i + 1)
            i = len(text) if end < 0 else end
        depth += (char == "(") - (char == ")")
        i += 1
        if not depth:
            break
    return min(i, len(text))
