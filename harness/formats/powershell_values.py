"""Values in PowerShell: text, variables, arrays, and where they stand."""

import re
from dataclasses import dataclass
from typing import Final

from harness.formats.places import ListRow, Row, Word, place_of
from harness.formats.traced import Traced

Value = Traced | list[Word] | None
"""Text, the items of an array, or what only running it would tell."""

_NAME: Final = re.compile(
    r"\$(?:\{([^{}]{0,80})\}|((?:env|global|script|local):)?(\w+))", re.IGNORECASE
)
_MEMBER: Final = re.compile(r"(?:\.\w+|\[[^\]]*\]|\([^)]*\))+")
_HERE: Final = re.compile(r"@(['\"])\r?\n(.*?)\r?\n\1@", re.DOTALL)
_SPLAT: Final = re.compile(r"@(\w+)")
_BLANK: Final = re.compile(r"(?:[ \t]|`[ \t]*\r?\n)+")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_ENDS: Final = "|;{}"


def item_quoted(word: str) -> str:
    """A word between single quotes."""
    return "'" + word.replace("'", "''") + "'"


def _in_double_quotes(text: str) -> str:
    return re.sub(r'([`"$])', r"`\1", text)


@dataclass(frozen=True, slots=True)
class Token:
    """A value, and where it stands in the text.

    Attributes:
        value: The value.
        start: Where it begins.
        end: Where it ends; where it begins if there is none.
    """

    value: Value
    start: int
    end: int


class Values:
    """The variables of a script, and a reader of values.

    Attributes:
        known: The values by name in lower case, ``env:NAME`` among them.
        names: The names as they are written.
    """

    def __init__(self, source: Traced, file: str) -> None:
        self.source = source
        self.text = source.text
        self.file = file
        self.known: dict[str, Value] = {}
        self.names: dict[str, str] = {}

    def put(self, name: str, value: Value) -> None:
        """Set a variable."""
        self.known[name.lower()] = value
        self.names[name.lower()] = name

    def blank(self, at: int, *, lines: bool) -> int:
        """Behind blanks, comments and continued lines; line ends, too, where asked."""
        text = self.text
        while at < len(text):
            if match := _BLANK.match(text, at):
                at = match.end()
            elif text.startswith("<#", at):
                end = text.find("#>", at)
                at = len(text) if end < 0 else end + 2
            elif lines and text[at] in "\r\n":
                at += 1
            elif lines and text[at] == "#":
                end = text.find("\n", at)
                at = len(text) if end < 0 else end
            else:
                return at
        return at

    def behind_parentheses(self, at: int) -> int:
        """Behind the parenthesis that closes the one at an index."""
        depth, i = 0, at
        while i < len(self.text):
            char = self.text[i]
            if char in "\"'":
                end = self.text.find(char, i + 1)
                i = len(self.text) if end < 0 else end
            depth += (char == "(") - (char == ")")
            i += 1
            if not depth:
                break
        return i

    def token(self, at: int, stops: str) -> Token | None:
        """The value that begins somewhere; None where none does."""
        text = self.text
        if at >= len(text) or text[at] in stops + _ENDS + "\r\n":
            return None
        if text.startswith("@(", at):
            return self._array(at)
        if here := _HERE.match(text, at):
            return Token(self.source[here.start(2) : here.end(2)], at, here.end())
        if splat := _SPLAT.match(text, at):
            return Token(self.known.get(splat[1].lower()), at, splat.end())
        return self._bare(at, stops)

    def _bare(self, at: int, stops: str) -> Token | None:
        text, pieces, i = self.text, [self.source[at:at]], at
        while i < len(text) and not text[i].isspace() and text[i] not in stops + _ENDS:
            if text[i] == "`" and text[i + 1 : i + 2] in ("", "\r", "\n"):
                break
            value, end = self._piece(i)
            if i == at and not isinstance(value, Traced) and self._ends(end, stops):
                return Token(value, at, end)
            pieces.append(value if isinstance(value, Traced) else self.source[i:end])
            i = end
        return Token(Traced.joined(pieces), at, i) if i > at else None

    def _ends(self, at: int, stops: str) -> bool:
        following = self.text[at : at + 1]
        return not following or following.isspace() or following in stops + _ENDS

    def _piece(self, at: int) -> tuple[Value, int]:
        """A piece of a value: a quoted text, a variable, a letter."""
        char = self.text[at]
        if char == '"':
            return self._double(at)
        if char == "'":
            return self._single(at)
        if char == "$":
            return self._variable(at)
        if char == "`":
            return Traced.at(self.text[at + 1], self.source.span(at, at + 2)), at + 2
        end = self.behind_parentheses(at) if char == "(" else at + 1
        return self.source[at:end], end

    def _double(self, at: int) -> tuple[Traced, int]:
        text, i = self.text, at + 1
        pieces = [self.source[i:i].within(_in_double_quotes)]
        while i < len(text):
            char, end = text[i], i + 2
            if char == '"' and text[i + 1 : end] != '"':
                return Traced.joined(pieces), i + 1
            if char == '"':
                pieces.append(Traced.at('"', self.source.span(i, end)))
            elif char == "`" and end <= len(text):
                meant = _ESCAPES.get(text[i + 1], text[i + 1])
                pieces.append(Traced.at(meant, self.source.span(i, end)))
            elif char == "$":
                value, end = self._variable(i, in_text=True)
                pieces.append(_as_text(value, self.source[i:end]))
            else:
                end = i + 1
                pieces.append(self.source[i:end].within(_in_double_quotes))
            i = end
        return Traced.joined(pieces), i

    def _single(self, at: int) -> tuple[Traced, int]:
        text, i = self.text, at + 1
        pieces = [self.source[i:i]]
        while i < len(text):
            if text.startswith("''", i):
                pieces.append(Traced.at("'", self.source.span(i, i + 2)))
                i += 2
            elif text[i] == "'":
                return Traced.joined(pieces), i + 1
            else:
                pieces.append(self.source[i : i + 1])
                i += 1
        return Traced.joined(pieces), i

    def _variable(self, at: int, *, in_text: bool = False) -> tuple[Value, int]:
        """The value of a variable; None where it is not in the file."""
        if self.text.startswith("$(", at):
            return None, self.behind_parentheses(at + 1)
        match = _NAME.match(self.text, at)
        if not match:
            return self.source[at : at + 1], at + 1
        end = match.end()
        if not in_text and (member := _MEMBER.match(self.text, end)):
            return None, member.end()
        name = (match[1] or (match[2] or "") + match[3]).lower()
        name = re.sub(r"^(global|script|local):", "", name)
        if name in {"true", "false", "null"}:
            return Traced.made("" if name == "null" else name), end
        return self.known.get(name), end

    def _array(self, at: int) -> Token:
        row = ListRow(self.file, item_quoted, opened=self.source.begin(at + 2))
        items, i = list[Word](), self.blank(at + 2, lines=True)
        while i < len(self.text) and self.text[i] != ")":
            token = self.token(i, ",)")
            if token is None:
                i += 1
            else:
                items += self.items(token, row)
                i = token.end
            i = self.blank(i, lines=True)
        return Token(items, at, i + 1)

    def items(self, token: Token, row: Row) -> list[Word]:
        """The items that a value is as part of a list."""
        if isinstance(token.value, list):
            return token.value
        spot = self.source.span(token.start, token.end)
        if isinstance(row, ListRow) and spot:
            row.items.append((spot.start, spot.end))
        text = token.value or self.source[token.start : token.end]
        return [Word(text, place_of(spot, item_quoted, row))]

    def listed(self, at: int) -> tuple[Value, int]:
        """What ``=`` assigns: a value, several after commas, or arrays put together."""
        own, items, end, is_list, sign = (
            ListRow(self.file, item_quoted),
            list[Word](),
            at,
            False,
            "=",
        )
        while token := self.token(self.blank(at, lines=sign != "="), ",;\n|)+"):
            is_missing = token.value is None
            if is_missing and sign != "+":
                return None, token.end
            if not is_missing:
                items += self.items(token, own)
            is_list = is_list or isinstance(token.value, list) or sign != "="
            end = token.end
            following = self.blank(end, lines=False)
            sign = self.text[following : following + 1]
            if sign not in {",", "+"}:
                break
            at = following + 1
        if not items and not is_list:
            return None, end
        return (items if is_list else items[0].text), end


def _as_text(value: Value, whole: Traced) -> Traced:
    """A variable within a text."""
    if value is None:
        return whole
    text = " ".join(map(str, value)) if isinstance(value, list) else value.text
    return Traced.at(text, whole.span())
