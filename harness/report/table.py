"""The table at the end of a run: builds down, modes across, one block for each environment."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Final, TypeVar

from harness.model import BAD, CellResult, DraftRange, Verdict
from harness.report.outline import (
    LOOKS,
    SHORT_NAMES,
    grouped,
    host_text,
    length_text,
    of_each,
    remembered_text,
)
from harness.terminal import new_table, open_console

if TYPE_CHECKING:
    from rich.text import Text

_T = TypeVar("_T")

ROWS: Final = 100
"""After so many rows the headings are said again; it also bounds the memory that a table takes."""


class _Notes:
    """Numbered remarks under a table; equal remarks share a number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, remark: str) -> str:
        """The mark that stands for a remark."""
        return f"[{self._numbers.setdefault(remark, len(self._numbers) + 1)}]"

    def lines(self) -> Iterator[str]:
        """The remarks, each after its mark."""
        for remark, number in self._numbers.items():
            yield f"[{number}] {remark}"


def print_tables(results: Sequence[CellResult], stream: IO[str]) -> None:
    """Print one table for each environment, in colour on a terminal and plain elsewhere."""
    console = open_console(stream)
    modes = _in_order(result.request.spelling for result in results)
    several_subjects = len({result.subject for result in results}) > 1
    notes = _Notes()
    for environment, block in grouped(results, lambda one: one.environment).items():
        headings = ["build", *(["subject"] if several_subjects else []), "model", *modes]
        marks = "".join(notes.mark(reason) for reason in _in_order(map(_no_card, block)) if reason)
        title = f"{environment} ({host_text(block)}){f' {marks}' if marks else ''}"
        rows = list(grouped(block, lambda one: (one.build, one.subject, one.request.model)).items())
        for first in range(0, len(rows), ROWS):
            table = new_table(f"{title}, continued" if first else title, headings, console)
            for (build, subject, model), of_row in rows[first : first + ROWS]:
                emulated = " (emulated)" if of_row[0].emulated else ""
                fields = [
                    _text(
                        _field([one for one in of_row if one.request.spelling == mode], notes),
                        console.encoding,
                    )
                    for mode in modes
                ]
                named = [f"{build}{emulated}", *([subject] if several_subjects else []), model]
                table.add_row(*named, *fields)
            console.print(table)
    for line in (*notes.lines(), *_legend(results)):
        console.print(_writable(line, console.encoding), soft_wrap=True)


def _text(lines: Iterable[tuple[str, Verdict]], encoding: str) -> "Text":
    from rich.text import Text

    return Text("\n").join(
        Text(_writable(line, encoding), style=LOOKS[verdict].style) for line, verdict in lines
    )


def _writable(text: str, encoding: str) -> str:
    """``text`` with what a narrower encoding than Unicode lacks replaced."""
    if not encoding.startswith("utf"):
        text = text.replace("…", "..").replace("✗", "x")
    return text.encode(encoding, "replace").decode(encoding)


def _field(results: Sequence[CellResult], notes: _Notes) -> list[tuple[str, Verdict]]:
    """The lines of one field: cells that differ only in the draft length share a line."""
    lines: list[tuple[str, Verdict]] = []
    for verdict in LOOKS:
        alike = [result for result in results if result.status is verdict]
        if not alike:
            continue
        if verdict in BAD:
            why = _in_order(_why(result) for result in alike)
            lines += [(f"{_lengths(alike, one)}{one}", verdict) for one in why]
        else:
            reasons = _in_order(_reason(result) for result in alike)
            marks = "".join(notes.mark(reason) for reason in reasons if reason)
            lines.append((f"{_ranges(alike)} {marks}".strip(), verdict))
    return lines


def _lengths(results: Sequence[CellResult], why: str) -> str:
    asked = [length_text(result.request) for result in results if _why(result) == why]
    return f"✗ n={','.join(asked)}: "


def _ranges(results: Sequence[CellResult]) -> str:
    names = _in_order(name for result in results for name in sorted(result.drafts or {}))
    if not names:
        return "off"
    states = [result.drafts or {} for result in results]
    return " + ".join(
        f"{SHORT_NAMES.get(name, name)} {_range_text(states, name)}".strip() for name in names
    )


def _range_text(states: Sequence[Mapping[str, DraftRange]], name: str) -> str:
    ranges = [state[name] for state in states if name in state]
    tops = _in_order("?" if one.n_max is None else str(one.n_max) for one in ranges)
    bottoms = _in_order("" if one.n_min is None else str(one.n_min) for one in ranges)
    if tops == ["?"]:
        return ""
    top = tops[0] if len(tops) == 1 else f"{{{','.join(tops)}}}"
    bottom = "|".join(word for word in bottoms if word)
    return f"{bottom}…{top}" if bottom else f"…{top}"


def _why(result: CellResult) -> str:
    if result.status is Verdict.FLAKY:
        return f"flaky: {', then '.join(attempt.status for attempt in result.attempts)}"
    check = next(iter(result.failed), None)
    if check is None:
        return result.failure.kind.value if result.failure else result.status.value
    return f"{check.name}: {check.argument or check.observed}"


def _no_card(result: CellResult) -> str:
    if not result.no_card or result.emulated:
        return ""
    return f"the server of {result.build} finds no card: {result.no_card}"


def _reason(result: CellResult) -> str:
    if result.status is Verdict.KNOWN:
        return f"known: {result.ledger}"
    return (result.reason or "") if result.status is Verdict.DEGRADED else ""


def _legend(results: Sequence[CellResult]) -> Iterator[str]:
    yield "n_min…n_max as effective; {…} lists n_max for the draft lengths asked, in order"
    yield f"{len(results)} cells: {of_each(results, reversed(tuple(LOOKS)))}"
    if remembered := remembered_text(results):
        yield remembered


def _in_order(items: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(items))
