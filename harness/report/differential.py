"""Several subjects on the same cells: two plans, two effective states, and what differs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import IO, Final

from harness.model import BAD, CellResult
from harness.report.outline import grouped, label, request_text, short_state
from harness.terminal import new_table, open_console

_MANY: Final = 3
"""From so many cells on, what differs in all of them is told once."""

_HOME: Final = re.compile(r"^.*[/\\]llama-harness-[^/\\]+[/\\](environment|launch)-[^/\\]+")
"""The home that a cell's environment has for the time of a run."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One cell on which two subjects differ.

    Attributes:
        only_left: Words of the left plan that the right one lacks; and the other way round.
    """

    left: CellResult
    right: CellResult
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]

    @property
    def sides(self) -> tuple[tuple[CellResult, tuple[str, ...]], ...]:
        """Both results, each with the words that the other one lacks."""
        return (self.left, self.only_left), (self.right, self.only_right)

    @property
    def meets_contract(self) -> str:
        """Which of the two meets the contract."""
        left, right = self.left.status not in BAD, self.right.status not in BAD
        if left and right:
            return "both"
        if left or right:
            return self.left.subject if left else self.right.subject
        return "neither"


def differences(results: Sequence[CellResult]) -> Iterator[Difference]:
    """Every pair of subjects on every cell where effective state or verdict differ."""
    cells = grouped(results, lambda one: (one.build, one.environment, request_text(one.request)))
    for of_cell in cells.values():
        for left, right in combinations(of_cell, 2):
            if left.effective == right.effective and left.status is right.status:
                continue
            words = [_words(one) for one in (left, right)]
            yield Difference(
                left=left,
                right=right,
                only_left=tuple(word for word in words[0] if word not in words[1]),
                only_right=tuple(word for word in words[1] if word not in words[0]),
            )


def print_differences(results: Sequence[CellResult], stream: IO[str]) -> None:
    """Print a table of the cells on which subjects differ in what they do or in their verdict."""
    found = list(differences(results))
    if not found:
        return
    console = open_console(stream)
    headings = ("cell", "subject", "plan, where it differs", "effective", "meets the contract")
    table = new_table("Where subjects differ", headings, console)
    usual = _usual(found)
    for difference in found:
        left, right = difference.left, difference.right
        for result, words in difference.sides:
            first = result is left
            known = usual.get((left.subject, right.subject, result.subject), ())
            told = [word for word in words if word not in known]
            table.add_row(
                f"{left.build} {left.environment} {request_text(left.request)}" if first else "",
                result.subject,
                " ".join(told) or "(nothing more)",
                _state(result),
                difference.meets_contract if first else "",
                end_section=not first,
            )
    console.print(table)
    for (one, other, subject), words in usual.items():
        if words:
            silent = other if subject == one else one
            said = " ".join(words)
            console.print(f"in all of these cells {subject} says, and {silent} does not: {said}")


def _usual(found: Sequence[Difference]) -> Mapping[tuple[str, str, str], tuple[str, ...]]:
    """What each subject of a pair says, and the other does not, in every cell of the pair."""
    usual: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for one in found if len(found) >= _MANY else ():
        for result, words in one.sides:
            key = (one.left.subject, one.right.subject, result.subject)
            usual[key] = tuple(word for word in usual.get(key, words) if word in words)
    return usual


def _state(result: CellResult) -> str:
    if result.effective is None and result.failure is not None:
        return f"✗ {label(result)} ({result.failure.kind.value})"
    if result.status in BAD:
        return f"✗ {label(result)} ({short_state(result.drafts)})"
    return short_state(result.drafts)


def _words(result: CellResult) -> tuple[str, ...]:
    """Each flag with its values as one word, without what differs between any two launches."""
    words: list[str] = []
    for word in (_HOME.sub("~", word) for word in result.argv):
        if word.startswith("-") and not word.lstrip("-").isdecimal():
            words.append(word)
        elif words:
            words[-1] += f" {word}"
    return tuple(word for word in words if not word.startswith(("--port ", "--api-key ")))
