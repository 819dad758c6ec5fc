"""The table at the end of a run: builds down, modes across, one block for each environment."""

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Final, TypeVar

from harness.model import CellResult, DraftRange, Verdict

_T = TypeVar("_T")

_SHORT: Final[Mapping[str, str]] = {
    "draft-mtp": "mtp",
    "ngram-mod": "ngram",
    "draft-simple": "draft",
}
_STYLES: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "green",
    Verdict.DEGRADED: "yellow",
    Verdict.KNOWN: "yellow",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold magenta",
}
_WORST_FIRST: Final = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.KNOWN,
    Verdict.DEGRADED,
    Verdict.PASS,
)
PLAIN_WIDTH: Final = 160
"""Columns where the output is no terminal and so has no width of its own."""


def print_tables(results: Sequence[CellResult], stream: IO[str]) -> None:
    """Print one table for each environment, in colour on a terminal and plain elsewhere."""
    from rich.box import ASCII2, SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console = Console(file=stream, highlight=False, width=PLAIN_WIDTH)
    modes = _in_order(_mode(result) for result in results)
    for environment in _in_order(result.environment for result in results):
        block = [result for result in results if result.environment == environment]
        table = Table(
            title=f"{environment}  ({_host(block)})",
            title_justify="left",
            box=SIMPLE_HEAD if console.is_terminal else ASCII2,
            pad_edge=False,
        )
        for heading in ("build", "model", *modes):
            table.add_column(heading, overflow="fold")
        for row in _in_order((one.build, one.subject, one.request.model) for one in block):
            build, subject, model = row
            of_row = [one for one in block if (one.build, one.subject, one.request.model) == row]
            emulated = " (emulated)" if of_row[0].emulated else ""
            named = f"{build}{emulated}"
            if len({one.subject for one in results}) > 1:
                named += f" {subject}"
            fields = [
                Text("\n").join(
                    Text(line, style=_STYLES[verdict])
                    for line, verdict in _field([one for one in of_row if _mode(one) == mode])
                )
                for mode in modes
            ]
            table.add_row(named, model, *fields)
        console.print(table)
    console.print(_legend(results), soft_wrap=True)


def _field(results: Sequence[CellResult]) -> list[tuple[str, Verdict]]:
    """The lines of one field: cells that differ only in the draft length share a line."""
    lines: list[tuple[str, Verdict]] = []
    for verdict in _WORST_FIRST:
        alike = [result for result in results if result.status is verdict]
        if not alike:
            continue
        if verdict in {Verdict.FAIL, Verdict.ERROR}:
            lines += [(line, verdict) for line in _in_order(_why(result) for result in alike)]
        else:
            reasons = _in_order(_reason(result) for result in alike)
            lines.append((_ranges(alike), verdict))
            lines += [(f"({reason})", verdict) for reason in reasons if reason]
    return lines


def _ranges(results: Sequence[CellResult]) -> str:
    names = _in_order(name for result in results for name in sorted(result.effective or {}))
    if not names:
        return "off"
    return " + ".join(
        f"{_SHORT.get(name, name)} {_range_text([r.effective or {} for r in results], name)}".strip()
        for name in names
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
    check = next((check for check in result.checks if not check.ok), None)
    length = "default" if result.request.draft_n_max is None else result.request.draft_n_max
    if result.failure is not None:
        what = result.failure.argument or result.failure.kind.value
        return f"✗ n={length}: {check.name if check else result.failure.kind.value}: {what}"
    assert check is not None
    return f"✗ n={length}: {check.name}: {check.argument or check.observed}"


def _reason(result: CellResult) -> str:
    return (result.reason or "") if result.status is Verdict.DEGRADED else ""


def _host(results: Sequence[CellResult]) -> str:
    host = next((result.host for result in results if result.host is not None), None)
    if host is None or not host.gpus:
        return "no GPU"
    return ", ".join(gpu.name for gpu in host.gpus)


def _mode(result: CellResult) -> str:
    return "unset" if result.request.mode is None else result.request.mode


def _legend(results: Sequence[CellResult]) -> str:
    counts = ", ".join(
        f"{sum(result.status is verdict for result in results)} {verdict.value}"
        for verdict in reversed(_WORST_FIRST)
        if any(result.status is verdict for result in results)
    )
    return (
        f"{len(results)} cells: {counts}\n"
        "n_min…n_max as effective; {…} lists n_max for the draft lengths asked, in order"
    )


def _in_order(items: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(items))
