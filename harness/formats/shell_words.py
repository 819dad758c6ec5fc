"""What a word of a shell script stands for: quotes, variables, defaults, arrays. Nothing is run."""

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final, Protocol

from harness.formats.interpolation import closing
from harness.formats.places import Word
from harness.formats.traced import Traced
from harness.formats.words import in_double_quotes, in_single_quotes

_DEPTH: Final = 20
_LONGEST: Final = 4096
_PARAMETER: Final = re.compile(
    r"(?P<how>[!#]?)(?P<name>[A-Za-z_]\w*|\d+|[@*#?$!-])(?:\[(?P<index>[^\]]*)\])?(?P<rest>.*)",
    re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "a": "\a", "b": "\b", "0": "\0"}


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
class _Fixed:
    """A piece of a word."""

    text: Traced


@dataclass(frozen=True, slots=True)
class _Split:
    """A piece that falls apart at its blanks."""

    text: Traced


@dataclass(frozen=True, slots=True)
class _Words:
    """Words of an array, each a word of its own."""

    words: tuple[Word, ...]


_Piece = _Fixed | _Split | _Words


def fields(source: Traced, scope: Scope) -> list[Word]:
    """The words that one word of a script becomes: mostly one, none or many for a variable.

    Only what stands in an array or in a variable's value has a place of its own.
    """
    done, current = list[Word](), list[Traced]()
    started, lone = False, None

    def flush() -> None:
        nonlocal started, lone
        if lone is not None and len(current) == 1:
            done.append(lone)
        elif started:
            done.append(Word(Traced.joined(current)))
        current.clear()
        started, lone = False, None

    for piece in _pieces(source, scope, quoted=False, depth=0):
        if isinstance(piece, _Fixed):
            lone = None
            current.append(piece.text)
            started = True
        elif isinstance(piece, _Words):
            for number, word in enumerate(piece.words):
                if number:
                    flush()
                lone = None if started else word
                current.append(word.text)
                started = True
        else:
            text = piece.text.text
            position = 0
            for match in re.finditer(r"\S+", text):
                if match.start() > position:
                    flush()
                current.append(piece.text[match.start() : match.end()])
                started, lone, position = True, None, match.end()
            if position < len(text):
                flush()
    flush()
    return done


def text_of(source: Traced, scope: Scope, *, quoted: bool = False) -> Traced:
    """What a word becomes where it stays one, as in an assignment.

    Args:
        source: The word.
        scope: The variables.
        quoted: Whether it stands as in double quotes, a here-document's text for one.
    """
    pieces = list[Traced]()
    for piece in _pieces(source, scope, quoted=quoted, depth=0):
        if isinstance(piece, _Words):
            spaced = [one for word in piece.words for one in (Traced.made(" "), word.text)]
            pieces += spaced[1:]
        else:
            pieces.append(piece.text)
    return Traced.joined(pieces or [source[0:0]])


def _pieces(
    source: Traced, scope: Scope, *, quoted: bool, depth: int, operand: bool = False
) -> Iterator[_Piece]:
    """The pieces of a word; within ``${…}`` also its bare text falls apart at its blanks."""
    bare: Callable[[Traced], _Piece] = _Split if operand and not quoted else _Fixed
    text, i, run = source.text, 0, 0
    if depth > _DEPTH:
        yield _Fixed(source)
        return
    inner = source.within(in_double_quotes) if quoted else source
    while i < len(text):
        char = text[i]
        found: tuple[list[_Piece], int] | None = None
        if char == "\\":
            found = _backslash(source, i, quoted=quoted)
        elif char == "'" and not quoted:
            end = text.find("'", i + 1)
            end = len(text) if end < 0 else end
            found = [_Fixed(source[i + 1 : end].within(in_single_quotes))], end + 1
        elif char == '"' and not quoted:
            end = _end_of_double_quotes(text, i)
            within = source[i + 1 : end]
            parts = list(_pieces(within, scope, quoted=True, depth=depth + 1))
            found = parts or [_Fixed(within)], end + 1
        elif char == "$":
            found = _dollar(source, i, scope, quoted=quoted, depth=depth)
        elif char == "`":
            end = text.find("`", i + 1)
            end = len(text) - 1 if end < 0 else end
            found = [_Fixed(source[i : end + 1])], end + 1
        if found is None:
            i += 1
            continue
        if run < i:
            yield bare(inner[run:i])
        yield from found[0]
        i = run = found[1]
    if run < len(text):
        yield bare(inner[run:])


def _backslash(source: Traced, at: int, *, quoted: bool) -> tuple[list[_Piece], int] | None:
    char = source.text[at + 1 : at + 2]
    if char == "\n":
        return [], at + 2
    if quoted and char not in {"\\", '"', "$", "`"}:
        return None
    if not char:
        return [], at + 1
    return [_Fixed(Traced.at(char, source.span(at, at + 2)))], at + 2


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
        elif char == "'":
            end = text.find("'", i + 1)
            i = len(text) if end < 0 else end
        elif char == '"':
            end = text.find('"', i + 1)
            i = len(text) if end < 0 else end
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                return i + 1
        i += 1
    return len(text)


def _dollar(
    source: Traced, at: int, scope: Scope, *, quoted: bool, depth: int
) -> tuple[list[_Piece], int] | None:
    text = source.text
    wrap: Callable[[Traced], _Piece] = _Fixed if quoted else _Split
    if text.startswith("$((", at) and (end := text.find("))", at)) > 0:
        value = _calculated(text[at + 3 : end], scope)
        spot = source.span(at, end + 2)
        whole = source[at : end + 2] if value is None else Traced.at(str(value), spot)
        return [_Fixed(whole)], end + 2
    if text.startswith("$(", at):
        end = _end_of_parentheses(text, at + 1)
        printed = scope.output(text[at + 2 : end - 1])
        if printed is None:
            return [_Fixed(source[at:end])], end
        return [wrap(Traced.at(printed, source.span(at, end)))], end
    if text.startswith("$'", at) and not quoted:
        return _ansi_quoted(source, at)
    if text.startswith('$"', at) and not quoted:
        return [], at + 1
    if text.startswith("${", at):
        end_of_brace = closing(text, at + 1)
        if end_of_brace is None:
            return None
        inner = source[at + 2 : end_of_brace - 1]
        whole = source[at:end_of_brace]
        return _parameter(inner, whole, scope, quoted=quoted, depth=depth), end_of_brace
    name = re.compile(r"[A-Za-z_]\w*|[\d@*#?$!-]").match(text, at + 1)
    if not name:
        return None
    inner, whole = source[at + 1 : name.end()], source[at : name.end()]
    return _parameter(inner, whole, scope, quoted=quoted, depth=depth), name.end()


def _ansi_quoted(source: Traced, at: int) -> tuple[list[_Piece], int]:
    text, pieces, i = source.text, list[Traced](), at + 2
    while i < len(text) and text[i] != "'":
        if text[i] == "\\" and i + 1 < len(text):
            char = _ESCAPES.get(text[i + 1], text[i + 1])
            pieces.append(Traced.at(char, source.span(i, i + 2)))
            i += 2
        else:
            pieces.append(source[i : i + 1])
            i += 1
    return [_Fixed(Traced.joined(pieces or [source[at:at]]))], i + 1


def _parameter(
    inner: Traced, whole: Traced, scope: Scope, *, quoted: bool, depth: int
) -> list[_Piece]:
    """What ``$NAME`` or ``${NAME…}`` becomes; itself where the value is not known."""
    match = _PARAMETER.fullmatch(inner.text)
    if not match:
        return [_Fixed(whole)]
    wrap: Callable[[Traced], _Piece] = _Fixed if quoted else _Split
    value = scope.lookup(match["name"])
    rest = match["rest"]
    if match["how"] == "!":
        value = scope.lookup(value.text) if isinstance(value, Traced) else Unknown.UNKNOWN
    elif match["how"] == "#" and match["name"] not in {"#"}:
        return [_Fixed(_length(value, whole))]
    if isinstance(value, tuple):
        if match["index"] in {"@", "*"} or match["name"] in {"@", "*"}:
            return [_Words(value)] if not rest or rest.startswith(":") else [_Fixed(whole)]
        number = match["index"] or "0"
        value = value[int(number)].text if _is_index(number, value) else None
    operation = re.match(r":?[-=+?]", rest)
    if operation:
        operand = inner[match.start("rest") + operation.end() :]
        is_set = value is not None and not (
            rest[0] == ":" and isinstance(value, Traced) and not value.text
        )
        kind = operation[0][-1]
        if not is_set and kind == "?":  # what is said where it is missing is no part of the value
            return [_Fixed(Traced.at(f"${{{match['name']}}}", whole.span()))]
        if is_set == (kind == "+"):
            if kind == "=":
                scope.assign(match["name"], text_of(operand, scope, quoted=quoted))
            parts = _pieces(operand, scope, quoted=quoted, depth=depth + 1, operand=True)
            return list(parts) or ([_Fixed(operand)] if quoted else [])
        if kind == "+":
            return [_Fixed(inner[0:0])] if quoted else []
        return [wrap(value)] if isinstance(value, Traced) else [_Fixed(whole)]
    if value is None and not rest and scope.sets(match["name"]):
        return [_Fixed(whole[0:0])] if quoted else []  # only where the script did not get to
    if not isinstance(value, Traced):
        return [] if match["name"] in {"@", "*"} and value is None else [_Fixed(whole)]
    if not rest:
        return [wrap(value)]
    changed = _changed(value.text, rest)
    return [_Fixed(whole)] if changed is None else [wrap(Traced.at(changed, whole.span()))]


def _is_index(text: str, words: tuple[Word, ...]) -> bool:
    return text.isdigit() and len(text) < len(str(_LONGEST)) and int(text) < len(words)


def _length(value: Value | None, whole: Traced) -> Traced:
    if isinstance(value, tuple):
        return Traced.at(str(len(value)), whole.span())
    if isinstance(value, Traced):
        return Traced.at(str(len(value)), whole.span())
    return Traced.at("0", whole.span()) if value is None else whole


def _changed(value: str, operation: str) -> str | None:
    """A value after ``%``, ``##``, ``/``, ``^^`` and the like; None for what is not known here."""
    if len(value) > _LONGEST:
        return None
    if change := re.fullmatch(r"(%%?|##?)(.+)", operation, re.DOTALL):
        return _trimmed(value, change[1], change[2])
    if change := re.fullmatch(r"(//?)([^/*?\[$]+)(?:/([^$]*))?", operation, re.DOTALL):
        return value.replace(change[2], change[3] or "", -1 if change[1] == "//" else 1)
    if operation in {",,", "^^"}:
        return value.lower() if operation == ",," else value.upper()
    if change := re.fullmatch(r":\s*(\d{1,4})(?::(\d{1,4}))?", operation):
        start = int(change[1])
        return value[start : start + int(change[2])] if change[2] else value[start:]
    return None


def _trimmed(value: str, how: str, pattern: str) -> str | None:
    if re.search(r"[$`\"']", pattern):
        return None
    lengths = range(len(value) + 1)
    for length in lengths if len(how) == 1 else reversed(lengths):
        part = value[len(value) - length :] if how[0] == "%" else value[:length]
        if fnmatchcase(part, pattern):
            return value[: len(value) - length] if how[0] == "%" else value[length:]
    return value


_OPERATORS: Final[dict[type, Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: lambda a, b: int(a / b),
    ast.Mod: lambda a, b: a - b * int(a / b),
}


def _calculated(text: str, scope: Scope) -> int | None:
    """The number that ``$((…))`` gives; None where it takes more than this knows."""

    def number(match: re.Match[str]) -> str:
        value = scope.lookup(match[1])
        return value.text if isinstance(value, Traced) and value.text.isdigit() else "?"

    filled = re.sub(r"\$?\{?\b([A-Za-z_]\w*)\b\}?", number, text)
    if len(filled) > 200 or not re.fullmatch(r"[\d\s+\-*/%()]+", filled) or "**" in filled:  # noqa: PLR2004
        return None
    try:
        tree = ast.parse(filled.strip().replace("/", "//"), mode="eval")
        return _evaluated(tree.body)
    except (SyntaxError, ArithmeticError, ValueError, KeyError, RecursionError):
        return None


def _evaluated(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(left=left, op=kind, right=right):
            result = _OPERATORS[type(kind)](_evaluated(left), _evaluated(right))
            if abs(result) >= 1 << 62:
                raise OverflowError
            return result
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluated(operand)
    raise ValueError
