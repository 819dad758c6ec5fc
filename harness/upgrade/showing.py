"""An upgrade as text, as a pull request's comment, as JSON."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from harness.subjects.command_lines import CommandLine
from harness.upgrade.changes import Kind
from harness.upgrade.findings import Finding
from harness.upgrade.upgrading import Upgrade
from harness.verdicts.drift import Drift
from harness.verdicts.findings import Finding as Outcome

_HEADINGS: Final = (
    ("does not start or means something else", frozenset(
        {Kind.REFUSED, Kind.RENAMED, Kind.ARITY, Kind.VALUE, Kind.VARIABLE_DEAD,
         Kind.VARIABLE_RENAMED, Kind.MISTAKE}
    )),
    ("without effect", frozenset({Kind.WITHOUT_EFFECT})),
    ("deprecated", frozenset({Kind.DEPRECATED})),
    ("defaults that changed", frozenset({Kind.DRIFT})),
    ("the API", frozenset({Kind.API})),
)  # fmt: skip
_FOLDED: Final = frozenset({Kind.API})
"""What a comment hides until it is asked for."""
_PULL: Final = re.compile(r"#(?P<number>\d{4,})\b")
_UPSTREAM: Final = "https://redirect.github.com/ggml-org/llama.cpp/pull/"
"""By way of a host that leaves no mention of the comment on upstream's pull request."""
_LONGEST: Final = 200
"""Characters of a finding's line."""


def shown(line: CommandLine) -> str:
    """A command line as one writes it in a shell."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in line.env.items()]
    return " ".join([*variables, shlex.join(line.words)])


def text_lines(one: Upgrade) -> Iterator[str]:
    """For a terminal."""
    old, new, as_it_is = one.outcomes
    if one.name:
        yield one.name
    yield f"{old.build}: {_said(old)}"
    if as_it_is is not None:
        yield f"{new.build}, as it is: {_said(as_it_is)}"
        yield f"{new.build}, as below: {_said(new)}"
    else:
        yield f"{new.build}: {_said(new)}"
    for heading, told in _told(one):
        yield f"{heading}:"
        yield from (f"  {line}" for line in told)
    if one.changed:
        yield "write:"
        yield f"  {shown(one.new.line)}"
    else:
        yield "nothing to write otherwise"


def markdown_lines(one: Upgrade) -> Iterator[str]:
    """For a pull request's comment."""
    old, new, as_it_is = one.outcomes
    yield f"### {one.name or 'llama-server'}: {old.build} → {new.build}"
    yield ""
    yield _verdict(one, as_it_is)
    yield ""
    if one.changed:
        before, after = shown(one.old.line), shown(one.new.line)
        fence = "````" if "```" in before else "```"
        yield from (f"{fence}diff", f"-{before}", f"+{after}", fence, "")
    for heading, kinds in _HEADINGS:
        told = [*_lines(one, kinds)]
        if told:
            yield from _section(heading, told, folded=not kinds.isdisjoint(_FOLDED))
    for heading, told in _beside(one):
        yield from _section(heading, told, folded=False)


def unproved_lines(one: Upgrade) -> Iterator[str]:
    """What is to be told of a command line that is written to its file."""
    if not one.starts:
        yield f"left as it is: {one.outcomes[1].build}: {_said(one.outcomes[1])}"
        return
    yield from (f"lost: {change}" for change in one.lost)
    yield from (f"not as it was: {_drift(change)}" for change in one.proof.differing)


def _verdict(one: Upgrade, as_it_is: Outcome | None) -> str:
    old, new, _ = one.outcomes
    if old.starts is None or new.starts is None:
        silent = old if old.starts is None else new
        return f"**Cannot tell**: {silent.build}: {_said(silent)}"
    if not new.starts:
        return f"**Nothing here makes it start on {new.build}**: {_said(new)}"
    refused = f"As it is, {_said(as_it_is)}. " if as_it_is and not as_it_is.starts else ""
    if one.lost or one.proof.differing:
        return f"**Something is lost.** {refused}What can be said on {new.build} is below."
    if one.changed:
        return (
            f"**Changes are needed.** {refused}As below it does on {new.build} what it does on "
            f"{old.build}: both were launched."
        )
    return f"**Nothing needs to change.** It does on {new.build} what it asks for on {old.build}."


def _section(heading: str, told: Sequence[str], *, folded: bool) -> Iterator[str]:
    title = f"{heading[0].upper()}{heading[1:]}"
    if folded:
        yield f"<details><summary>{title}: {len(told)}</summary>"
        yield ""
    else:
        yield f"**{title}**"
        yield ""
    yield from (f"- {_escaped(line)}" for line in told)
    yield ""
    if folded:
        yield "</details>"
        yield ""


def _escaped(text: str) -> str:
    """Text that no Markdown is read in: names with underscores, and what servers say."""
    for sign in "\\`*_<>[]":
        text = text.replace(sign, f"\\{sign}")
    return _PULL.sub(rf"[\g<0>]({_UPSTREAM}\g<number>)", text)


def _told(one: Upgrade) -> Iterator[tuple[str, list[str]]]:
    for heading, kinds in _HEADINGS:
        told = [*_lines(one, kinds)]
        if told:
            yield heading, told
    yield from _beside(one)


def _lines(one: Upgrade, kinds: frozenset[Kind]) -> Iterator[str]:
    for finding in one.findings:
        if finding.kind in kinds:
            mark = "lost: " if finding.lost else ""
            yield _short(f"{mark}{finding}")


def _beside(one: Upgrade) -> Iterator[tuple[str, list[str]]]:
    """What is no finding of its own."""
    old, new, _ = one.outcomes
    beside = {
        "not as it was": [_drift(change) for change in one.proof.differing],
        "as it was asked for, and was not before": [_drift(c) for c in one.proof.gained],
        "pinned": [f"{setting}: {' '.join(words)}" for setting, words in one.pins],
        "cannot tell here": _untold(old, new),
    }
    yield from ((heading, told) for heading, told in beside.items() if told)


def _untold(old: Outcome, new: Outcome) -> list[str]:
    """What no launch on this host shows."""
    left = [f"{remark.word}: {remark.why}" for remark in (*new.left_out, *new.cannot_tell)]
    seen = {word for word in new.not_seen if word not in old.not_seen}
    return [*dict.fromkeys(left), *(f"{word}: nothing tells it" for word in sorted(seen))]


def _said(outcome: Outcome) -> str:
    return _short(outcome.message)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def _drift(change: Drift) -> str:
    return str(change).rpartition(" since ")[0]


def as_json(one: Upgrade) -> Mapping[str, Any]:
    """For programs."""
    old, new, as_it_is = one.outcomes
    return {
        "name": one.name,
        "from": old.build,
        "to": new.build,
        "status": one.status,
        "argv": one.new.line.words,
        "env": one.new.line.env,
        "changed": one.changed,
        "old": _outcome_json(old),
        "as_it_is": _outcome_json(as_it_is) if as_it_is else None,
        "new": _outcome_json(new),
        "findings": [_finding_json(finding) for finding in one.findings],
        "lost": [change.before for change in one.lost],
        "pins": dict(one.pins),
        "differing": [_drift_json(change) for change in one.proof.differing],
        "gained": [_drift_json(change) for change in one.proof.gained],
        "drift": [_drift_json(change) for change in one.proof.drifted],
        "interface": [
            {"place": key.place, "key": key.key, "before": key.before, "after": key.after}
            for key in one.proof.interface
        ],
    }


def _outcome_json(outcome: Outcome) -> Mapping[str, Any]:
    return {"starts": outcome.starts, "message": outcome.message, "settings": outcome.settings}


def _finding_json(finding: Finding) -> Mapping[str, Any]:
    return {
        "kind": finding.kind.value,
        "word": finding.word,
        "text": finding.text,
        "instead": finding.instead,
        "builds": finding.builds,
        "source": finding.source,
        "told_by": finding.told_by.value,
        "lost": finding.lost,
    }


def _drift_json(change: Drift) -> Mapping[str, Any]:
    return {"setting": change.setting, "before": change.before, "after": change.after}
