"""What a command line does on many builds, as text, table, Markdown or JSON."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from harness.builds import Build
from harness.flags.capabilities import Capabilities
from harness.flags.lifetimes import lifetime
from harness.flags.standing import Outlook
from harness.model import Remark, Verdict
from harness.report.outlook import outlook_json, outlook_line
from harness.settings.value import spoken
from harness.verdicts.drift import OF_THE_HARNESS, Drift, drift
from harness.verdicts.findings import Finding, remarks
from harness.verdicts.standing import Disagreement

_MARKS: Final = {Verdict.PASS: "ok", Verdict.FAIL: "FAIL", Verdict.ERROR: "?"}
_RUN: Final = 3
_INDENT: Final = " " * 19


@dataclass(frozen=True, kw_only=True)
class CheckedLine:
    """One command line and what each build does with it.

    Attributes:
        name: Of the command line, where a file has several.
        argv: Its arguments.
        env: Its variables.
        findings: In the builds' order.
        demanded: The settings that it asks for.
        outlook: What the atlas says of it; None where there is no command line to read.
        disagreements: Where a launch shows that to be wrong.
        missing: Builds that it was not tried on, because they are not stored.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    findings: tuple[Finding, ...]
    demanded: frozenset[str]
    outlook: Outlook | None = None
    disagreements: tuple[Disagreement, ...] = ()
    missing: tuple[str, ...] = ()

    def drifts(self) -> tuple[Drift, ...]:
        """What differs between the builds without having been asked for."""
        states = [(one.build, one.settings) for one in self.findings if one.settings]
        return tuple(drift(states, self.demanded))


def atlas_lines(line: CheckedLine) -> Iterator[str]:
    """The line that comes before all launches."""
    if line.outlook is not None:
        yield outlook_line(line.outlook)


def finding_lines(finding: Finding, demanded: Collection[str]) -> Iterator[str]:
    """A block of text: what it does and what of it was asked for, then every remark."""
    shown = [
        f"{name} {spoken(value)}" for name, value in finding.settings.items() if name in demanded
    ]
    said = finding.message + (f"; {', '.join(shown)}" if shown else "")
    yield f"{_MARKS[finding.status]:<4}  {finding.build:<12} {said}"
    yield from (f"{_INDENT}{remark}" for remark in remarks(finding))


def drift_lines(line: CheckedLine) -> Iterator[str]:
    """One line for each change."""
    changes = line.drifts()
    if changes:
        yield "changes that nothing asked for:"
    yield from (f"  {change}" for change in changes)


def markdown_lines(line: CheckedLine) -> Iterator[str]:
    """A table of builds, and a list of what changed."""
    if line.name:
        yield f"### {_escaped(line.name)}"
        yield ""
    for text in atlas_lines(line):
        yield _escaped(text)
        yield ""
    yield "| build | | what it does |"
    yield "|---|---|---|"
    for finding in line.findings:
        told = "<br>".join(map(_escaped, (finding.message, *remarks(finding))))
        yield f"| {finding.build} | {_MARKS[finding.status]} | {told} |"
    for one in line.disagreements:
        yield ""
        yield _escaped(str(one))
    changes = line.drifts()
    if changes:
        yield ""
        yield "Changes that nothing asked for:"
        yield ""
        yield from (f"- {_escaped(str(change))}" for change in changes)


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def settings_table(line: CheckedLine) -> Iterator[tuple[str, ...]]:
    """Builds side by side: a row of them, then one for each setting that is seen on some."""
    findings = line.findings
    yield ("", *(finding.build for finding in findings))
    yield ("", *(_MARKS[finding.status] for finding in findings))
    names = dict.fromkeys(name for finding in findings for name in finding.settings)
    for name in names:
        if name in OF_THE_HARNESS:
            continue
        values = [finding.settings.get(name) for finding in findings]
        told = ["" if value is None else spoken(value) for value in values]
        if name in line.demanded or len({*told} - {""}) > 1:
            yield (name, *told)


def as_json(lines: Sequence[CheckedLine]) -> Mapping[str, Any]:
    """One object for all, in the form of ``docs/check.md``."""
    return {
        "schema": 1,
        "command_lines": [
            {
                "name": line.name,
                "argv": line.argv,
                "env": line.env,
                "atlas": _atlas_json(line),
                "not_stored": line.missing,
                "left_out": _words(_all_left_out(line)),
                "builds": {one.build: _finding_json(one) for one in line.findings},
                "drift": [
                    {
                        "setting": one.setting,
                        "before": one.before,
                        "after": one.after,
                        "since": one.since,
                    }
                    for one in line.drifts()
                ],
            }
            for line in lines
        ],
    }


def _atlas_json(line: CheckedLine) -> Mapping[str, Any] | None:
    if line.outlook is None:
        return None
    wrong = [
        {"build": one.build, "word": one.word, "message": one.message} for one in line.disagreements
    ]
    return {**outlook_json(line.outlook), "disagreements": wrong}


def _all_left_out(line: CheckedLine) -> Iterable[Remark]:
    """What some build was started without."""
    return dict.fromkeys(one for finding in line.findings for one in finding.left_out)


def _words(of: Iterable[Remark]) -> list[Mapping[str, str]]:
    return [{"word": one.word, "why": one.why} for one in of]


def _finding_json(finding: Finding) -> Mapping[str, Any]:
    return {
        "status": finding.status.value,
        "starts": finding.starts,
        "blame": finding.blame,
        "message": finding.message,
        "advice": finding.advice,
        "settings": finding.settings,
        "witnesses": finding.witnesses,
        "lacks": finding.lacks,
        "silent": _words(finding.silent),
        "cannot_tell": _words((*finding.left_out, *finding.cannot_tell)),
        "not_seen": finding.not_seen,
        "replaced": finding.replaced,
    }


def flag_ranges(
    flags: Sequence[str], builds: Sequence[Build], capabilities: Mapping[str, Capabilities]
) -> list[str]:
    """For each flag that not all builds offer, where it lives: by the atlas, and of these."""
    lines = []
    for flag in flags:
        told = {
            build.id: _standing(flag, capabilities[build.id])
            for build in builds
            if build.id in capabilities
        }
        if set(told.values()) == {"offered"}:
            continue
        parts = [
            f"{standing} in {', '.join(_runs(told, standing))}"
            for standing in ("offered", "removed", "unknown")
            if standing in told.values()
        ]
        known = lifetime(flag)
        here = "; ".join(parts)
        lines.append(f"{flag}: {f'{known} ({here})' if known else here}")
    return lines


def _runs(told: Mapping[str, str], standing: str) -> Iterator[str]:
    """The builds of one standing; three or more that follow each other as their first and last."""
    for here, group in groupby(told, key=lambda build: told[build]):
        run = list(group)
        if here == standing:
            yield from run if len(run) < _RUN else [f"{run[0]} … {run[-1]}"]


def _standing(flag: str, capabilities: Capabilities) -> str:
    if capabilities.offers(flag):
        return "offered"
    return "removed" if capabilities.removed(flag) else "unknown"
