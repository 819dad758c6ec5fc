"""A summary as Markdown, ready to paste into an issue."""

import shlex
from collections.abc import Iterator

from harness.bisect.journal import Point
from harness.bisect.summary import End, Leg, Summary
from harness.bisect.trial import AxisName
from harness.flags.capabilities import CapabilitiesDiff, OptionChange


def write_markdown(summary: Summary) -> str:
    """The whole report; ends with a line break."""
    return "\n".join(_document(summary)) + "\n"


def _document(summary: Summary) -> Iterator[str]:
    yield f"## Bisected: {_code(summary.signature)}"
    yield ""
    for leg in summary.legs:
        yield from _sentence(leg)
    yield _BLAME[summary.blame]
    yield ""
    yield f"Run on each: {summary.asked}."
    for leg in summary.legs:
        yield ""
        yield from _leg(leg)
    yield (
        f"Tested {summary.tested} of {summary.points} points ({summary.untestable} without an "
        f"answer); {summary.acquire_s:.0f} s for acquiring, {summary.test_s:.1f} s for running."
    )


_BLAME = {
    "build": "The failure depends on the llama.cpp build.",
    "subject": "The failure depends on the subject.",
    "either": "Build and subject each bring the failure about on their own.",
    "both together": "The failure needs both: the bad build and the bad subject together.",
    "undecided": "The axis below is needed; whether it is enough alone could not be tested.",
}


def _sentence(leg: Leg) -> Iterator[str]:
    good, bad = leg.last_good.point, leg.first_bad.point
    near = "neighbouring" if leg.is_exact else "nearest tested"
    if leg.is_mended:
        yield f"Mended in {_dated(good)}; the {near} {leg.axis} {_dated(bad)} still fails."
    else:
        yield f"Fails since {_dated(bad)}; the {near} {leg.axis} {_dated(good)} is good."


def _dated(point: Point) -> str:
    return _code(point.id) + (f" ({point.date})" if point.date else "")


def _leg(leg: Leg) -> Iterator[str]:
    fixed = {"build": "subject", "subject": "build"}[leg.axis]
    yield f"### Over {leg.axis}s, with {fixed} {_code(leg.fixed)}"
    yield ""
    yield f"| | {leg.axis} | date | what was seen |"
    yield "|---|---|---|---|"
    rows = [("last good", leg.last_good), ("first bad", leg.first_bad)]
    if leg.is_mended:
        rows = [("last bad", leg.first_bad), ("first good", leg.last_good)]
    for title, end in rows:
        point = end.point
        reason = _cell(end.outcome.reason)
        yield f"| {title} | {_code(point.id)} | {point.date or 'unknown'} | {reason} |"
    yield ""
    if leg.compare_url:
        yield f"Commits between them: {leg.compare_url}"
        yield ""
    if leg.skipped:
        yield "Between them, without an answer:"
        yield ""
        for skipped in leg.skipped:
            yield f"- {_code(skipped.id)}: {skipped.answer.value}, {_cell(skipped.reason)}"
        yield ""
    if len(leg.changes) > 1:
        yield "The history is not monotone; every change found:"
        yield ""
        for change in leg.changes:
            how = "breaks" if change.breaks else "is mended"
            yield f"- {how} between {_code(change.before)} and {_code(change.after)}"
        yield ""
    if leg.capabilities is not None:
        yield from _capabilities(leg.capabilities)
    yield from _run("Failing", leg.first_bad, leg.axis)
    yield from _run("Passing", leg.last_good, leg.axis)


def _capabilities(diff: CapabilitiesDiff) -> Iterator[str]:
    if not diff:
        yield "`--help` is the same on both sides."
        yield ""
        return
    yield "<details><summary>What <code>--help</code> says differently, older to newer</summary>"
    yield ""
    for title, flags in (
        ("added", diff.added),
        ("gone", diff.vanished),
        ("listed as removed", diff.stubbed),
    ):
        if flags:
            yield f"- {title}: {', '.join(map(_code, flags))}"
    for title, changes in (
        ("default", diff.defaults),
        ("listed values", diff.choices),
        ("value taken", diff.values),
        ("variable", diff.variables),
    ):
        for change in changes:
            yield f"- {title} of {_code(change.flag)}: {_change(change)}"
    yield ""
    yield "</details>"
    yield ""


def _change(change: OptionChange) -> str:
    return f"{_code(change.before or 'none')} → {_code(change.after or 'none')}"


def _run(title: str, end: End, axis: AxisName) -> Iterator[str]:
    outcome = end.outcome
    if outcome.argv:
        yield f"{title} on the {axis} {_code(end.point.id)}:"
        yield ""
        yield "```"
        yield shlex.join(outcome.argv)
        yield "```"
        yield ""
    if end.repro:
        yield f"Again: {_code(end.repro)}"
        yield ""
    if outcome.log:
        yield f"<details><summary>What {end.point.id} told</summary>"
        yield ""
        yield "```"
        yield from (line.replace("```", "'''") for line in outcome.log)
        yield "```"
        yield ""
        yield "</details>"
        yield ""


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
