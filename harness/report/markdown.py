"""Results as Markdown: the summary of a CI step, or something to paste into an issue."""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from harness.model import BAD, CellResult
from harness.report.outline import LOOKS, Block, blocks, counts, label, why

STEP_SUMMARY_BYTES: Final = 1_000_000
"""GitHub drops a step summary of more than 1 MiB, and an issue's text of more than 65536."""


def render_markdown(
    results: Sequence[CellResult], *, title: str, most_bytes: int = STEP_SUMMARY_BYTES
) -> str:
    """A table for each subject and environment, then every failure with its command.

    Args:
        results: In reading order.
        title: The heading.
        most_bytes: Failures, then tables, that would make the text longer are counted, not shown.
    """
    left = most_bytes - _NOTE_BYTES
    sections = [f"## {_html(title)}\n\n{counts(results)}\n"]
    left -= _size(sections[0])
    tables = ["\n".join(_table(block)) + "\n" for block in blocks(results)]
    shown = _that_fit(tables, left)
    sections += shown
    left -= sum(map(_size, shown))
    bad = [result for result in results if result.status in BAD]
    failures = _that_fit(("\n".join(_failure(result)) + "\n" for result in bad), left)
    sections += failures
    hidden = [
        f"{number} more {what} in the results file."
        for number, what in (
            (len(tables) - len(shown), "tables are"),
            (len(bad) - len(failures), "failures are"),
        )
        if number
    ]
    return "\n".join([*sections, *([" ".join(hidden) + "\n"] if hidden else [])])


_REMEMBERED: Final = "(remembered)"
_NOTE_BYTES: Final = 200
"""Kept free for the last line."""


def _that_fit(texts: Iterable[str], left: int) -> list[str]:
    fitting = []
    for text in texts:
        left -= _size(text)
        if left < 0:
            break
        fitting.append(text)
    return fitting


def _size(text: str) -> int:
    return len(text.encode()) + 1


def _table(block: Block) -> Iterator[str]:
    yield f"### {_html(block.subject)}, {_html(block.environment)} ({_html(block.host)})"
    yield ""
    yield _row(["request", *block.builds])
    yield _row(["---"] * (len(block.builds) + 1))
    for request, results in block.rows.items():
        fields = (_field(results.get(build)) for build in block.builds)
        yield _row([f"<code>{_cell(request)}</code>", *fields])


def _field(result: CellResult | None) -> str:
    if result is None:
        return ""
    emulated = " (emulated)" if result.emulated else ""
    remembered = f" {_REMEMBERED}" if result.remembered else ""
    return f"{LOOKS[result.status].mark} {_cell(label(result))}{emulated}{remembered}"


def _failure(result: CellResult) -> Iterator[str]:
    yield f"<details><summary>{result.status.value}: <code>{_html(result.id)}</code></summary>"
    yield ""
    if result.remembered:
        yield f"{_REMEMBERED} an earlier run found this, {result.remembered}"
        yield ""
    if result.attempts:
        yield f"{why(result)}:"
        yield ""
        for attempt in result.attempts:
            yield from _evidence(attempt)
    else:
        yield from _evidence(result)
    yield from _fenced("console", [f"$ {result.repro}"])
    yield "</details>"


def _evidence(result: CellResult) -> Iterator[str]:
    """What one try was judged by."""
    if result.failure is not None:
        yield f"{result.failure.kind.value}: {_cell(result.failure.message)}"
        yield ""
    if result.failed:
        yield _row(["check", "expected", "observed"])
        yield _row(["---"] * 3)
        for check in result.failed:
            yield _row([_cell(check.name), _cell(check.expected), _cell(check.observed)])
        yield ""
    if result.argv:
        yield from _fenced("console", [f"$ llama-server {shlex.join(result.argv)}"])
    if result.failure is not None and result.failure.log_tail:
        yield from _fenced("text", result.failure.log_tail)


def _fenced(language: str, lines: Sequence[str]) -> Iterator[str]:
    """A code block whose fence is longer than any run of backticks in it."""
    runs = (run for line in lines for run in re.findall("`+", line))
    fence = "`" * max(3, *(len(run) + 1 for run in runs), 3)
    yield f"{fence}{language}"
    yield from lines
    yield fence


def _row(fields: Sequence[str]) -> str:
    return f"| {' | '.join(fields)} |"


def _cell(text: str) -> str:
    """Text that stands for itself, in a table too."""
    plain = re.sub(r"([\\`*_\[\]~|])", r"\\\1", text)
    return _html(plain).replace("\r", " ").replace("\n", " ")


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
