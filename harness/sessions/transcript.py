"""A session for people to read: each step, what became of the server, and the verdict."""

from collections.abc import Iterable, Iterator

from harness.model import Verdict
from harness.sessions.runner import StepReport
from harness.sessions.script import format_step
from harness.sessions.served import show_effective
from harness.sessions.session import KeptBy, Phase


def describe_step(report: StepReport) -> str:
    """Several lines of plain text."""
    return "\n".join(_lines(report))


def _lines(report: StepReport) -> Iterator[str]:
    yield f"{report.number:>4}  {format_step(report.step)}"
    yield f"      {_what_happened(report)}"
    before, after = show_effective(report.before.served), show_effective(report.after.served)
    yield f"      {before} → {after}"
    yield f"      {report.verdict.value}"
    for check in report.checks:
        if not check.ok:
            yield f"        {check.name}: expected {check.expected}"
            yield f"        {' ' * len(check.name)}  observed {check.observed}"
    for remark in report.remarks:
        yield f"        {remark}"


def _what_happened(report: StepReport) -> str:
    outcome = report.outcome
    again = "; observed again" if report.looked_again else ""
    if outcome is None:
        return report.after.failure.message if report.after.failure else "nothing is loaded"
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
    return f"{len(reports)} steps, {loads} loads, {reloads} reloads: {counts}"


def worst(reports: Iterable[StepReport]) -> Verdict:
    """``fail`` before ``error`` before ``pass``."""
    verdicts = {report.verdict for report in reports}
    for verdict in (Verdict.FAIL, Verdict.ERROR):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS
