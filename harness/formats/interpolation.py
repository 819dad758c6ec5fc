"""Variables in text as Compose and ``.env`` files have them: ``$NAME``, ``${NAME:-default}``."""

import re
from collections.abc import Callable
from typing import Final

from harness.formats.traced import Traced

Lookup = Callable[[str], str | None]

_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_OPERATOR: Final = re.compile(r":?[-?+]")
_BRACE: Final = re.compile("[{}]")
_DEPTH: Final = 20
_LONGEST: Final = 1024
"""Characters of a reference with its default."""


def interpolated(source: Traced, lookup: Lookup, depth: int = 0) -> Traced:
    """A text with the values of its variables; a reference to one without a value stays.

    What comes from a default keeps its place in the file, what comes from elsewhere has the
    reference's.
    """
    text, pieces, i, run = source.text, list[Traced](), 0, 0
    while (i := text.find("$", i)) >= 0:
        found = _reference(source, i, lookup, depth)
        if found is None:
            i += 1
            continue
        piece, end = found
        pieces += [source[run:i], piece]
        i = run = end
    return Traced.joined([*pieces, source[run:]])


def _reference(source: Traced, at: int, lookup: Lookup, depth: int) -> tuple[Traced, int] | None:
    """What stands for the reference that begins at a dollar, and where it ends; None for none."""
    text = source.text
    if text.startswith("$$", at):
        return Traced.at("$", source.span(at, at + 2)), at + 2
    braced = text.startswith("${", at)
    name = _NAME.match(text, at + 1 + braced)
    end = closing(text, at + 1) if braced else name and name.end()
    if not name or end is None or depth > _DEPTH:
        return None
    whole, value = source[at:end], lookup(name[0])
    operator = _OPERATOR.match(text, name.end()) if braced else None
    if operator:
        operand = interpolated(source[operator.end() : end - 1], lookup, depth + 1)
        return _or_else(name[0], value, operator[0], operand, whole), end
    if braced and name.end() != end - 1:
        return None
    return (whole if value is None else Traced.at(value, whole.span())), end


def _or_else(name: str, value: str | None, operator: str, operand: Traced, whole: Traced) -> Traced:
    """What ``${NAME:-default}`` and its like stand for."""
    is_set = bool(value) if operator.startswith(":") else value is not None
    kind, spot = operator[-1], whole.span()
    if kind == "+":
        return operand if is_set else whole[0:0]
    if is_set:
        return Traced.at(value or "", spot)
    if kind == "?":  # what is said where it is missing is no part of the value
        return Traced.at(f"${{{name}}}", spot)
    return operand.standing_in(spot)


def closing(text: str, opened: int) -> int | None:
    """Where the brace that opens at an index is closed, and the index behind it."""
    depth = 0
    for match in _BRACE.finditer(text, opened, opened + _LONGEST):
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.end()
    return None
