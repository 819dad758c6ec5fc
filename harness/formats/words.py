"""Splitting text into words as the programs do that read it without a shell."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.formats.places import BlankRow, Row, UnwritableError, Word, place_of
from harness.formats.traced import Encode, Traced

_BLANKS: Final = " \t\r\n"
_SAFE: Final = re.compile(r"[\w@%+=:,./${}~-]+")
_REFERENCE: Final = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")
"""A variable whose value is not in the file; it stays as it stands."""


class OpenQuoteError(ValueError):
    """A quote that does not end."""

    def __init__(self, text: str, start: int) -> None:
        super().__init__(f"a quote stays open in {text[start : start + 60]!r}")


def quoted(word: str) -> str:
    """A word as every splitter here reads it back."""
    if _SAFE.fullmatch(word):
        return word
    if "'" not in word and "\\" not in word:
        return f"'{word}'"
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def shell_quoted(word: str) -> str:
    """A word as a shell reads it back; a reference to a variable stays one."""
    if re.fullmatch(r"[\w@%+=:,./-]+", word):
        return word
    if found := re.match(r"[A-Za-z_]\w*=", word):  # in quotes it would set no variable
        return found[0] + shell_quoted(word[found.end() :])
    if "$" in word and "$" not in _REFERENCE.sub("", word):
        return f'"{in_double_quotes(word)}"'
    return "'" + word.replace("'", "'\\''") + "'"


def in_double_quotes(text: str) -> str:
    """Text between a shell's double quotes; a reference to a variable stays one."""
    escaped = re.sub(r'([\\"`])', r"\\\1", text)
    return _lone_dollars(escaped, "\\$")


def in_single_quotes(text: str) -> str:
    """Text between single quotes.

    Raises:
        UnwritableError: It has one itself.
    """
    if "'" in text:
        raise UnwritableError(f"{text!r} has a quote and would stand between such quotes")
    return text


def no_reference(text: str, dollar: str) -> str:
    """Text where a dollar that begins no reference is written in another way."""
    return _lone_dollars(text, dollar)


def _lone_dollars(text: str, dollar: str) -> str:
    pieces, position = [], 0
    for match in _REFERENCE.finditer(text):
        pieces += [text[position : match.start()].replace("$", dollar), match[0]]
        position = match.end()
    return "".join([*pieces, text[position:].replace("$", dollar)])


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a program splits text.

    Attributes:
        comments: Whether ``#`` at the begin of a word begins a comment.
        stops: What ends the text where no quote is around it.
        forbidden: What is an error there.
        escaped: What a backslash turns a letter into.
        escapes_all: Whether a backslash within double quotes takes away any letter's meaning, as
            it does outside; else only a quote's and its own.
        single: Whether a backslash means something between single quotes, too.
        quote: Writes a word.
    """

    comments: bool = False
    stops: str = ""
    forbidden: str = ""
    escaped: Mapping[str, str] = field(default_factory=dict)
    escapes_all: bool = False
    single: bool = False
    quote: Encode = quoted


SHLEX: Final = Rules()
"""As Python's ``shlex.split``."""


def _c_quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("\n", "\\n")
    escaped = no_reference(escaped, "$$")
    if re.fullmatch(r"[^\s'\"\\;]+", escaped):
        return escaped
    return '"' + escaped.replace('"', '\\"') + '"'


SYSTEMD: Final = Rules(
    escaped={"n": "\n", "t": "\t", "r": "\r", "s": " ", "a": "\a", "b": "\b", "f": "\f", "v": "\v"},
    escapes_all=True,
    single=True,
    quote=_c_quoted,
)


def split(source: Traced, rules: Rules, row: Row) -> list[Word]:
    """The words of a text.

    Raises:
        ValueError: A quote stays open, or something stands there that must not.
    """
    text, words, i = source.text, [], 0
    while i < len(text):
        if text[i] in _BLANKS:
            i += 1
        elif rules.comments and text[i] == "#":
            i = text.find("\n", i) % (len(text) + 1)
        elif text[i] in rules.stops:
            break
        else:
            value, end = _word(source, i, rules)
            words.append(Word(value, place_of(source.span(i, end), rules.quote, row)))
            i = end
    return words


def _word(source: Traced, start: int, rules: Rules) -> tuple[Traced, int]:
    text, pieces, quote, i = source.text, [source[start:start]], "", start
    while i < len(text):
        char = text[i]
        if char == "\\" and (quote != "'" or rules.single):
            piece, i = _escape(source, i, quote, rules)
            pieces.append(piece)
            continue
        if quote:
            if char == quote:
                quote = ""
            else:
                pieces.append(source[i : i + 1])
        elif char in "'\"":
            quote = char
        elif char in _BLANKS or char in rules.stops:
            break
        elif char in rules.forbidden:
            raise ValueError(f"{char!r} stands outside of quotes in {text[start : i + 1]!r}")
        else:
            pieces.append(source[i : i + 1])
        i += 1
    if quote:
        raise OpenQuoteError(text, start)
    return Traced.joined(pieces), i


def _escape(source: Traced, at: int, quote: str, rules: Rules) -> tuple[Traced, int]:
    text = source.text
    if at + 1 >= len(text):
        raise ValueError("a backslash stands at the end")
    char = text[at + 1]
    if quote == '"' and not rules.escapes_all and char not in '"\\':
        return source[at : at + 1], at + 1
    if char == "x" and rules.single and re.match(r"[0-9a-fA-F]{2}", text[at + 2 : at + 4]):
        spot = source.span(at, at + 4)
        return Traced.at(chr(int(text[at + 2 : at + 4], 16)), spot), at + 4
    meant = rules.escaped.get(char, char)
    return Traced.at(meant, source.span(at, at + 2)), at + 2


def words_of(source: Traced, file: str, rules: Rules = SHLEX) -> tuple[list[Word], BlankRow]:
    """The words of a text and the row that they stand in.

    Raises:
        ValueError: See split.
    """
    row = row_of(source, file, rules.quote)
    return split(source, rules, row), row


def row_of(source: Traced, file: str, quote: Encode) -> BlankRow:
    """The row of what a text holds."""
    spot = source.span(0, 0)
    if spot is None:
        return BlankRow(file, quote)
    return BlankRow(file, lambda word: spot.encode(quote(word)), head=spot.start, pad="")


def parted(source: Traced, row: Row) -> list[Word]:
    """Words parted by nothing but blanks, as where a variable's value is split."""
    return [
        Word(source[m.start() : m.end()], place_of(source.span(m.start(), m.end()), blankless, row))
        for m in re.finditer(r"\S+", source.text)
    ]


def blankless(word: str) -> str:
    """A word that stands where it is parted by blanks alone.

    Raises:
        UnwritableError: It has blanks itself.
    """
    if re.search(r"\s", word) or not word:
        raise UnwritableError(f"{word!r} would fall apart at its blanks")
    return word


def assignment(word: Word) -> tuple[str, Traced] | None:
    """Name and value of ``NAME=value``; None for another word."""
    name, equals, _ = word.text.text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
        return None
    return name, word.text[len(name) + 1 :]


def stands(value: str) -> bool:
    """Whether a value has a reference whose value is not in the file."""
    return bool(_REFERENCE.search(value)) or "$(" in value or "`" in value
