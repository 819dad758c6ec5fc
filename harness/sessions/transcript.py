"""A session for people to read: each step, what became of the server, and the verdict."""

from collections.abc import Iterable, Iterator
from typing import Final

from harness.model import Verdict
from harness.sessions.runner import StepReport
from harness.sessions.script import format_step
from harness.sessions.session import KeptBy, Phase
from harness.settings.base import EffectiveState
from harness.settings.speculation.setting import SpeculationSetting
from harness.settings.state import NOTHING_LOADED, show_one

_INDENT: Final = " " * 13


def describe_step(report: StepReport) -> str:
    """Several lines of plain text."""
    return "\n".join(_lines(report))


def _lines(report: StepReport) -> Iterator[str]:
    verdict = report.verdict.value
    verdict = verdict if report.verdict is Verdict.PASS else verdict.upper()
    yield f"{report.number:>4}  {verdict:<5}  {format_step(report.step)}"
    before, after = _speculation(report.before.served), _speculation(report.after.served)
    change = f"still {after}" if before == after else f"{before} → {after}"
    yield f"{_INDENT}{_what_happened(report)}: {change}"
    for check in report.checks:
        if not check.ok:
            expected, observed = differing(check.expected, check.observed)
            yield f"{_INDENT}{check.name}: expected {expected}"
            yield f"{_INDENT}{' ' * len(check.name)}  observed {observed}"
    for remark in report.remarks:
        yield f"{_INDENT}{remark}"


def _speculation(state: EffectiveState | None) -> str:
    return NOTHING_LOADED if state is None else show_one(SpeculationSetting(), state)


def differing(expected: str, observed: str) -> tuple[str, str]:
    """Two lists of properties without those that are the same in both."""
    pairs = list(zip(expected.split(", "), observed.split(", "), strict=False))
    if len(pairs) != expected.count(", ") + 1 or len(pairs) != observed.count(", ") + 1:
        return expected, observed
    unlike = [(one, other) for one, other in pairs if one != other]
    return ", ".join(one for one, _ in unlike), ", ".join(other for _, other in unlike)


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
