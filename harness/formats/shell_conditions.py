"""Whether a condition of a shell script holds, as far as the script itself tells."""

import operator
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from harness.formats.shell_words import Scope, text_of
from harness.formats.traced import Traced
from harness.formats.words import stands

_WORD: Final = re.compile(r"(?:\"[^\"]*\"|'[^']*'|\$\{[^}]*\}|\$\([^)]*\)|\S)+")
_NUMBER: Final = re.compile(r"-?\d{1,15}")
_COMPARED: Final[dict[str, Callable[[int, int], bool]]] = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-gt": operator.gt,
    "-ge": operator.ge,
    "-lt": operator.lt,
    "-le": operator.le,
}


def condition_holds(text: Traced, scope: Scope) -> bool | None:
    """Whether ``[ … ]`` or ``[[ … ]]`` holds; None where only running it would tell."""
    for opening, end in (("[[", "]]"), ("[", "]")):
        if text.text.startswith(opening) and text.text.endswith(end):
            return _holds(text[len(opening) : len(text) - len(end)], scope)
    return None


def _holds(source: Traced, scope: Scope) -> bool | None:
    for mark, decides in (("||", True), ("&&", False)):
        left, found, _ = source.text.partition(f" {mark} ")
        if found:
            rest = source[len(left) + len(mark) + 2 :]
            parts = (_holds(source[: len(left)], scope), _holds(rest, scope))
            undecided = None if None in parts else not decides
            return decides if decides in parts else undecided
    words = [text_of(piece, scope).text for piece in _words(source)]
    if any(_is_unknown(word, scope) for word in words):
        return None
    plain = ["" if stands(word) else word for word in words]  # what is not set is empty
    if plain[:1] == ["!"]:
        inner = _plain_holds(plain[1:])
        return None if inner is None else not inner
    return _plain_holds(plain)


def _plain_holds(words: list[str]) -> bool | None:
    match words:
        case ["-n" | "-z" as how, value]:
            result: bool | None = bool(value) == (how == "-n")
        case [value]:
            result = bool(value)
        case [left, "=" | "==", right]:
            result = fnmatchcase(left, right)
        case [left, "!=", right]:
            result = not fnmatchcase(left, right)
        case [left, how, right] if how in _COMPARED:
            numbers = _NUMBER.fullmatch(left) and _NUMBER.fullmatch(right)
            result = _COMPARED[how](int(left), int(right)) if numbers else None
        case _:
            result = None
    return result


def _words(source: Traced) -> Iterator[Traced]:
    for match in _WORD.finditer(source.text):
        yield source[match.start() : match.end()]


def _is_unknown(text: str, scope: Scope) -> bool:
    """Whether only running the script would tell; a variable that it does not set is empty."""
    if "$(" in text or "`" in text:
        return True
    names = re.findall(r"\$\{?([A-Za-z_]\w*)", text)
    return any(scope.lookup(name) is not None for name in names)
