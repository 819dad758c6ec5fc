"""Failures as GitHub workflow commands, which show up on a pull request."""

from collections.abc import Iterator, Sequence

from harness.model import CellResult, Verdict
from harness.report.outline import BAD


def annotations(results: Sequence[CellResult]) -> Iterator[str]:
    """One line for each bad cell, as GitHub's runner reads it from a step's output."""
    for result in results:
        if result.status in BAD:
            level = "error" if result.status is Verdict.FAIL else "warning"
            title = _property(f"{result.status.value}: {result.id}")
            yield f"::{level} title={title}::{_data(_message(result))}"


def _message(result: CellResult) -> str:
    lines = [result.failure.message] if result.failure else []
    lines += [
        f"{check.name}: expected {check.expected}, observed {check.observed}"
        for check in result.checks
        if not check.ok
    ]
    return "\n".join([*lines, result.repro])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
