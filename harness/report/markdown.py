"""Results as Markdown: the summary of a CI step, or something to paste into an issue."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from harness.model import CellResult, Verdict
from harness.report.outline import BAD, Row, blocks, counts

_MARKS: Final = {
    Verdict.PASS: "✅",
    Verdict.DEGRADED: "🟡",
    Verdict.KNOWN: "🟣",
    Verdict.FAIL: "❌",
    Verdict.ERROR: "⚠️",
    Verdict.FLAKY: "🎲",
}
MOST_FAILURES: Final = 50
"""A step summary may have 1 MiB; failures after these are counted, not shown."""


def render_markdown(results: Sequence[CellResult], *, title: str) -> str:
    """A table for each subject and environment, then every failure with its command."""
    return "\n".join(_lines(results, title)) + "\n"


def _lines(results: Sequence[CellResult], title: str) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield counts(results)
    for block in blocks(results):
        yield ""
        yield f"### {block.subject}, {block.environment} ({block.host})"
        yield ""
        yield _row(["request", *block.builds])
        yield _row(["---"] * (len(block.builds) + 1))
        for row in block.rows:
            yield _row([f"`{row.request}`", *_fields(row, block.builds)])
    failures = [result for result in results if result.status in BAD]
    for result in failures[:MOST_FAILURES]:
        yield from _failure(result)
    if len(failures) > MOST_FAILURES:
        yield ""
        yield f"{len(failures) - MOST_FAILURES} more failures are in the results file."


def _fields(row: Row, builds: Sequence[str]) -> Iterator[str]:
    for build in builds:
        result = row.results.get(build)
        if result is None:
            yield ""
        else:
            emulated = " (emulated)" if result.emulated else ""
            yield f"{_MARKS.get(result.status, '❔')} {row.labels[build]}{emulated}"


def _failure(result: CellResult) -> Iterator[str]:
    yield ""
    yield f"<details><summary>{result.status.value}: <code>{_html(result.id)}</code></summary>"
    yield ""
    if result.failure is not None:
        yield f"{result.failure.kind.value}: {_html(result.failure.message)}"
        yield ""
    bad = [check for check in result.checks if not check.ok]
    if bad:
        yield _row(["check", "expected", "observed"])
        yield _row(["---"] * 3)
        for check in bad:
            yield _row([_cell(check.name), _cell(check.expected), _cell(check.observed)])
        yield ""
    yield "```console"
    yield f"$ llama-server {shlex.join(result.argv)}"
    yield f"$ {result.repro}"
    yield "```"
    if result.failure is not None and result.failure.log_tail:
        yield "```text"
        yield from (line.replace("```", "'''") for line in result.failure.log_tail)
        yield "```"
    yield "</details>"


def _row(fields: Sequence[str]) -> str:
    return f"| {' | '.join(fields)} |"


def _cell(text: str) -> str:
    return _html(text).replace("|", "\\|").replace("\n", " ")


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
