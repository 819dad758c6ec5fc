"""A session for people to read: each step, what became of the server, and the verdict."""

from collections.abc import Iterable, Iterator
from typing import Final

from harness.model import Verdict
from harness.sessions.runner import StepReport
from harness.sessions.script import format_step
from harness.sessions.session import KeptBy, Phase
from harness.settings.state import SPECULATION, show_state

_INDENT: Final = " " * 13


def describe_step(report: StepReport) -> str:
    """Several lines of plain text."""
    return "\n".join(_lines(report))


def _lines(report: StepReport) -> Iterator[str]:
    verdict = report.verdict.value
    verdict = verdict if report.verdict is Verdict.PASS else verdict.upper()
    yield f"{report.number:>4}  {verdict:<5}  {format_step(report.step)}"
    before, after = (
        show_state(status.served, {SPECULATION}) for status in (report.before, report.after)
    )
    change = f"still {after}" if before == after else f"{before} → {after}"
    yield f"{_INDENT}{_what_happened(report)}: {change}"
    for check in report.checks:
        if not check.ok:
            yield f"{_INDENT}{check.name}: expected {check.expected}"
            yield f"{_INDENT}{' ' * len(check.name)}  observed {check.observed}"
    for remark in report.remarks:
        yield f"{_INDENT}{remark}"


def _what_happened(report: StepReport) -> str:
    outcome = report.outcome
    again = "; observed again" if report.looked_again else ""
    if outcome is None:
        return report.after.failure.message if report.after.failure else "unloaded"
    if outcome.refusal is not None:
        return f"refused: {outcome.refusal}"
    if outcome.failure is not None:
        return f"reload failed: {outcome.failure.message}"
    if outcome.reloaded:
        degraded = f"; {outcome.plan_reason}" if outcome.plan_reason else ""
        return f"reloaded, {_why(report)}{degraded}"
    keeper = (
        "the application" if outcome.kept_by is KeptBy.SUBJECT else f"the {outcome.kept_by} guard"
    )
    return f"kept by {keeper}{again}"


def _why(report: StepReport) -> str:
    match report.before.phase:
        case Phase.EMPTY:
            return "nothing was loaded"
        case Phase.DIED:
            return "the server had died"
        case Phase.FAILED:
            return "the load before had failed"
        case _:
            return "the request differs"


def summary(reports: Iterable[StepReport]) -> str:
    """One line about all steps."""
    reports = tuple(reports)
    reloads = sum(1 for report in reports if report.outcome and report.outcome.reloaded)
    loads = sum(1 for report in reports if report.outcome)
    counts = ", ".join(
        f"{count} {verdict.value}"
        for verdict in Verdict
        if (count := sum(1 for report in reports if report.verdict is verdict))
    )
    parts = (_count(len(reports), "step"), _count(loads, "load"), _count(reloads, "reload"))
    return f"{', '.join(parts)}: {counts}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def worst(reports: Iterable[StepReport]) -> Verdict:
    """``fail`` before ``error`` before ``pass``."""
    verdicts = {report.verdict for report in reports}
    for verdict in (Verdict.FAIL, Verdict.ERROR):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS
