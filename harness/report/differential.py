"""Several subjects on the same cells: two plans, two effective states, and what differs."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import IO, Final

from harness.model import BAD, CellResult
from harness.report.alike import coverage
from harness.report.outline import grouped, label, request_text, short_state
from harness.terminal import new_table, open_console

_MANY: Final = 3
"""From so many cells on, what differs in all of them is told once."""

_FEW: Final = 6
"""Up to so many subjects are compared in pairs; of more, each with the first."""

_NUMBER: Final = re.compile(r"(\d+)")

_Usual = Mapping[tuple[str, str, str], tuple[str, ...]]
"""By the two subjects of a pair and one of them, what it says in every cell of the pair."""

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
    """Pairs of subjects on every cell where effective state or verdict differ.

    Of more than a few subjects, each is compared with the first: pairs would be their square.
    """
    few = len({result.subject for result in results}) <= _FEW
    cells = grouped(results, lambda one: (one.build, one.environment, request_text(one.request)))
    for of_cell in cells.values():
        first, *others = of_cell
        for left, right in combinations(of_cell, 2) if few else ((first, one) for one in others):
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
    """Print a table of the cells on which subjects differ in what they do or in their verdict.

    Cells that show the same but for numbers, such as the draft length, are one row.
    """
    found = list(differences(results))
    if not found:
        return
    console = open_console(stream)
    headings = ("cell", "subject", "plan, where it differs", "effective", "meets the contract")
    first, *others = dict.fromkeys(result.subject for result in results)
    title = "Where subjects differ" if len(others) < _FEW else f"Where subjects differ from {first}"
    table = new_table(title, headings, console)
    usual = _usual(found)
    rows: dict[object, list[Difference]] = {}
    for one in found:
        rows.setdefault(_row_key(one, usual), []).append(one)
    builds = tuple(dict.fromkeys(result.build for result in results))
    for alike in rows.values():
        cells = "\n".join(coverage([one.left for one in alike], builds))
        for side in range(2):
            told = [_told(one, usual)[side] for one in alike]
            table.add_row(
                "" if side else cells,
                alike[0].sides[side][0].subject,
                _merged(plan for plan, _ in told) or "(nothing more)",
                _merged(state for _, state in told),
                "" if side else alike[0].meets_contract,
                end_section=bool(side),
            )
    console.print(table)
    for (left, right, subject), words in usual.items():
        if words:
            silent = right if subject == left else left
            said = " ".join(words)
            console.print(f"in all of these cells {subject} says, and {silent} does not: {said}")


def _told(one: Difference, usual: _Usual) -> tuple[tuple[str, str], ...]:
    """What is told of each side: where its plan differs, and what is effective."""
    return tuple(
        (
            " ".join(
                word
                for word in words
                if word not in usual.get((one.left.subject, one.right.subject, result.subject), ())
            ),
            _state(result),
        )
        for result, words in one.sides
    )


def _row_key(one: Difference, usual: _Usual) -> object:
    """What the cells of one row share: all that the row shows of them but for numbers."""
    shape = tuple(_NUMBER.sub("#", text) for side in _told(one, usual) for text in side)
    return (one.left.subject, one.right.subject, shape, one.meets_contract)


def _merged(texts: Iterable[str]) -> str:
    """Texts that are the same but for numbers as one, each number that differs in braces."""
    rows = [_NUMBER.split(text) for text in texts]
    columns = (list(dict.fromkeys(column)) for column in zip(*rows, strict=True))
    return "".join(
        column[0] if len(column) == 1 else f"{{{','.join(column)}}}" for column in columns
    )


def _usual(found: Sequence[Difference]) -> _Usual:
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
    """Each flag with its values as one word, without what differs between any two launches.

    The name of the model reads ``MODEL``, so that what is said of each model alike is told once.
    """
    words: list[str] = []
    for given in result.argv:
        word = "MODEL" if given == result.request.model else _HOME.sub("~", given)
        if word.startswith("-") and not word.lstrip("-").isdecimal():
            words.append(word)
        elif words:
            words[-1] += f" {word}"
    return tuple(word for word in words if not word.startswith(("--port ", "--api-key ")))
