"""What a server said, searched fast: a hundred patterns look at every line of every launch."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, Self, TypeVar

_T = TypeVar("_T")

_QUANTIFIERS: Final = "?*+{"
_ENDS: Final = "?*+{.^$"


class LinePattern:
    """A regular expression for one line, and words of which such a line has at least one.

    Args:
        pattern: It, without flags.
    """

    def __init__(self, pattern: str) -> None:
        self.expression: Final = re.compile(pattern)
        self.words: Final = tuple(
            max(_literals(part), key=len, default="") for part in _alternatives(pattern)
        )


class Said:
    """Some lines of a log, in order."""

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self._known: dict[object, Any] = {}

    @classmethod
    def of(cls, lines: Sequence[str]) -> Self:
        """Those lines, none of which holds a line feed."""
        return cls("\n".join(lines))

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Each of them."""
        return tuple(self.text.split("\n")) if self.text else ()

    def __contains__(self, words: str) -> bool:
        return words in self.text

    def once(self, read: Callable[["Said"], _T]) -> _T:
        """What a function reads in them, looked up the first time alone."""
        if read not in self._known:
            self._known[read] = read(self)
        known: _T = self._known[read]
        return known

    def until(self, place: int) -> "Said":
        """The lines before the one that holds a character."""
        return Said(self.text[: max(self.text.rfind("\n", 0, place), 0)])

    def since(self, place: int) -> "Said":
        """The line that holds a character, and those after it."""
        return Said(self.text[self.text.rfind("\n", 0, place) + 1 :])

    def last(self, pattern: LinePattern) -> re.Match[str] | None:
        """The last line that a pattern is found in."""
        return next(self._backwards(pattern), None)

    def all(self, pattern: LinePattern) -> Sequence[re.Match[str]]:
        """What is found in each line, in order."""
        return [*self._backwards(pattern)][::-1]

    def _backwards(self, pattern: LinePattern) -> Iterator[re.Match[str]]:
        text, end = self.text, len(self.text)
        while end >= 0:
            place = max(text.rfind(words, 0, end) for words in pattern.words)
            if place < 0:
                return
            start = text.rfind("\n", 0, place) + 1
            stop = text.find("\n", place)
            found = pattern.expression.search(text[start : stop if stop >= 0 else None])
            if found:
                yield found
            end = start - 1


def _alternatives(pattern: str) -> list[str]:
    """The parts of an expression between bars that stand in no group."""
    parts = [""]
    for token, depth in _tokens(pattern):
        if token == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += token
    return parts


def _literals(pattern: str) -> list[str]:
    """The runs of characters that each match has to hold."""
    runs = [""]
    for token, depth in _tokens(pattern):
        # What follows a letter or digit after a backslash says which character it is.
        literal = token[-1] if len(token) == 1 or not token[1].isalnum() else ""
        if token[0] in _QUANTIFIERS:
            runs[-1] = runs[-1][:-1]
        if depth or token[0] in _ENDS or token[0] in "()[" or not literal:
            runs.append("")
        else:
            runs[-1] += literal
    return runs


def _tokens(pattern: str) -> Iterator[tuple[str, int]]:
    """Characters, escaped ones, classes and counts of an expression, and how deep each stands."""
    depth = 0
    for found in re.finditer(
        r"\\[xuU0-9][0-9A-Fa-f]*|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[^}]*\}|.", pattern
    ):
        token = found[0]
        depth -= token == ")"
        yield token, depth
        depth += token == "("
