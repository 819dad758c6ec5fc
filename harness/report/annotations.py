"""Failures as GitHub workflow commands, which show up on a pull request."""

from collections.abc import Iterator, Sequence
from typing import Final

from harness.model import BAD, CellResult, Verdict
from harness.report.outline import grouped, label, remembered_text, why

MOST_IDS: Final = 20
"""Cells that one annotation names."""


def annotations(results: Sequence[CellResult]) -> Iterator[str]:
    """One line for each kind of failure of a subject, as GitHub's runner reads it from a step.

    Failures alike share a line because GitHub shows ten errors and ten warnings of a step and
    drops the others.
    """
    bad = (result for result in results if result.status in BAD)
    alike = grouped(bad, lambda result: (result.status, result.subject, label(result)))
    for (status, _, _), group in alike.items():
        level = "error" if status is Verdict.FAIL else "warning"
        yield f"::{level} title={_property(_title(group))}::{_data(_message(group))}"


def _title(alike: Sequence[CellResult]) -> str:
    first = alike[0]
    if len(alike) == 1:
        return f"{first.status.value}: {first.id}"
    return f"{first.status.value}: {first.subject}, {label(first)}, {len(alike)} cells"


def _message(alike: Sequence[CellResult]) -> str:
    lines = [why(alike[0]), alike[0].repro, *filter(None, [remembered_text(alike)])]
    if len(alike) > 1:
        named = [result.id for result in alike[:MOST_IDS]]
        more = [f"and {len(alike) - MOST_IDS} more"] if len(alike) > MOST_IDS else []
        lines += ["cells: " + ", ".join(named + more)]
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
