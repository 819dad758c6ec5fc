"""A bad cell in full: what was launched, what was expected and seen, and how to run it alone."""

import shlex
from collections.abc import Iterator

from harness.model import BAD, CellResult
from harness.report.outline import offending, short_state


def describe(result: CellResult) -> str:
    """Several lines of plain text."""
    return "\n".join(_lines(result))


def _lines(result: CellResult) -> Iterator[str]:
    emulated = " (emulated build)" if result.emulated else ""
    yield f"{result.status.value}: {result.id}{emulated}"
    if result.remembered:
        yield f"  remembered: an earlier run found this, {result.remembered}"
    yield from evidence_lines(result)
    yield repro_line(result)


def repro_line(result: CellResult) -> str:
    """How to run it alone."""
    return f"  run it alone: {result.repro}"


def evidence_lines(result: CellResult) -> Iterator[str]:
    """What was launched, expected and seen, of each try where there were several."""
    yield from _attempt_lines(result) if result.attempts else _launch_lines(result)


def _launch_lines(result: CellResult) -> Iterator[str]:
    """What one launch showed."""
    if result.failure is not None:
        yield f"  {result.failure.kind.value}: {result.failure.message}"
    yield from _argv_lines(result)
    for check in result.failed:
        yield f"  {check.name}: expected {check.expected}"
        yield f"  {' ' * len(check.name)}  observed {check.observed}"
    if result.failed and result.effective is not None:
        yield from _witness_lines(result)
    if result.failure is not None and result.failure.log_tail:
        yield "  log:"
        for line in result.failure.log_tail:
            yield f"    {line}"


def _attempt_lines(result: CellResult) -> Iterator[str]:
    """Every try with its own evidence: both outcomes are there to be explained."""
    yield "  another launch of the same cell came out otherwise: neither verdict is to be relied on"
    for number, attempt in enumerate(result.attempts, start=1):
        state = "" if attempt.effective is None else f", {short_state(attempt.drafts)}"
        yield f"  try {number}: {attempt.status.value}{state}"
        for line in _launch_lines(attempt):
            yield f"  {line}"
        if attempt.status not in BAD:
            for line in _witness_lines(attempt):
                yield f"  {line}"


def _argv_lines(result: CellResult) -> Iterator[str]:
    blamed = offending(result)
    if result.argv:
        words = [
            f">>> {shlex.quote(word)} <<<" if word in blamed else shlex.quote(word)
            for word in result.argv
        ]
        yield f"  argv: llama-server {' '.join(words)}"
    for flag in blamed:
        yield f"  offending: {flag}"
    for one in result.replaced:
        yield f"  started with {one.used} in place of {one.given}: {one.why}"


def _witness_lines(result: CellResult) -> Iterator[str]:
    for witness in result.witnesses:
        if witness.speaks:
            for number, line in enumerate(witness.detail.splitlines()):
                name = witness.witness if number == 0 else ""
                yield f"  {name:>16}  {line}"
