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
    text = source.text
    if text.startswith("$$", at):
        return Traced.at("$", source.span(at, at + 2)), at + 2
    if name := _NAME.match(text, at + 1):
        value = lookup(name[0])
        stays = source[at : name.end()]
        spot = source.span(at, name.end())
        return (stays if value is None else Traced.at(value, spot)), name.end()
    if not text.startswith("${", at) or not (name := _NAME.match(text, at + 2)):
        return None
    end = closing(text, at + 1)
    if end is None or depth > _DEPTH:
        return None
    value, spot = lookup(name[0]), source.span(at, end)
    operator = _OPERATOR.match(text, name.end())
    if not operator:
        if name.end() != end - 1:
            return None
        return (source[at:end] if value is None else Traced.at(value, spot)), end
    operand = source[operator.end() : end - 1]
    is_set = bool(value) if operator[0].startswith(":") else value is not None
    kind = operator[0][-1]
    if kind == "+":
        return (interpolated(operand, lookup, depth + 1) if is_set else source[at:at]), end
    if is_set:
        return Traced.at(value or "", spot), end
    if kind == "?":  # what is said where it is missing is no part of the value
        return Traced.at(f"${{{name[0]}}}", spot), end
    return interpolated(operand, lookup, depth + 1).standing_in(spot), end


def closing(text: str, opened: int) -> int | None:
    """Where the brace that opens at an index is closed, and the index behind it."""
    depth = 0
    for match in _BRACE.finditer(text, opened, opened + _LONGEST):
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.end()
    return None
