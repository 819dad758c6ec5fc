"""What one build does with one command line, as its user wants to know it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from harness.flags.capabilities import Capabilities
from harness.flags.diagnosis import cure_of, diagnose_lack, diagnose_refusal, replacement
from harness.flags.families import is_of_devices
from harness.model import CellResult, FailureKind, Silent, Verdict
from harness.settings.base import EFFECT
from harness.settings.state import SPECULATION
from harness.verdicts.checks import FLAGS_OFFERED, MIN_NOT_ABOVE_MAX

_CANNOT_TELL: Final = "the harness could not tell"
_NO_DEVICE: Final = "there is no device besides the CPU"
OF_SPECULATION: Final = frozenset({"drafts", "draft_type", "draft_max"})
"""The plain settings that stand for it."""
_UNKNOWN: Final = frozenset({FailureKind.UNKNOWN_ARGUMENT, FailureKind.REMOVED_ARGUMENT})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one build does with a command line.

    Attributes:
        status: PASS where it starts and all that is seen is as asked, FAIL where it is refused or
            something asked for is not so, ERROR where nobody can tell.
        starts: Whether it becomes healthy; None where the harness cannot tell.
        blame: The flag, variable or word at fault where it does not start.
        message: What it does, or why there is nothing to do.
        advice: What to write instead of what is refused.
        settings: What is effective, by setting.
        witnesses: For each of those how many witnesses tell it.
        lacks: What is asked for and not so, a sentence each.
        silent: What has no effect, or another one, without a refusal.
        cannot_tell: What is asked for and has its effect where this host has nothing, and why.
        not_seen: What is asked for and nothing tells.
        replaced: What it was started with instead, and why.
    """

    build: str
    status: Verdict
    starts: bool | None
    message: str
    blame: str | None = None
    advice: tuple[str, ...] = ()
    settings: Mapping[str, Any]
    witnesses: Mapping[str, int]
    lacks: tuple[str, ...] = ()
    silent: tuple[Silent, ...] = ()
    cannot_tell: tuple[Silent, ...] = ()
    not_seen: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def finding_of(result: CellResult, capabilities: Capabilities | None) -> Finding:
    """What a cell's result says of its command line.

    Args:
        result: Of a cell whose command line makes the demands.
        capabilities: Of its build, None where it cannot be asked.
    """
    bad = [check for check in result.checks if not check.ok]
    lacks = [check for check in bad if check.name == EFFECT]
    silent = [
        *(Silent(word=one.argument or "", why=one.observed) for one in lacks),
        *(Silent(word=one.argument or "", why=one.observed) for one in bad
          if one.name == MIN_NOT_ABOVE_MAX),
        *result.silent,
    ]  # fmt: skip
    starts = result.effective is not None or (None if result.status is Verdict.ERROR else False)
    blame, message, advice = _outcome(result, capabilities)
    deviceless = [] if result.devices else [word for word in result.not_seen if is_of_devices(word)]
    return Finding(
        build=result.build,
        status=result.status,
        starts=starts,
        message=message,
        blame=blame,
        advice=advice,
        settings=flat(result.effective or {}),
        witnesses={name: len(names) for name, names in result.witnessed_by.items()},
        lacks=tuple(
            diagnose_lack(one.observed, result.argv, result.build, capabilities)
            if capabilities and cure_of(one.observed, result.argv, capabilities)
            else one.observed
            for one in lacks
        ),
        silent=tuple(dict.fromkeys(silent)),
        cannot_tell=tuple(Silent(word=word, why=_NO_DEVICE) for word in deviceless),
        not_seen=tuple(word for word in result.not_seen if word not in deviceless),
        replaced=tuple(
            f"started with {one.used} in place of {one.given}: {one.why}" for one in result.replaced
        ),
    )


def _outcome(
    result: CellResult, capabilities: Capabilities | None
) -> tuple[str | None, str, tuple[str, ...]]:
    """Whom to blame, what to say, and what to write instead."""
    failure = result.failure
    if result.effective is not None:
        return None, _describe(result), ()
    if failure is None or result.status is Verdict.ERROR or capabilities is None:
        return None, failure.message if failure else _CANNOT_TELL, ()
    blame = failure.argument or next(
        (one.argument for one in result.checks if not one.ok and one.name == FLAGS_OFFERED), None
    )
    message = diagnose_refusal(result.argv, failure, result.build, capabilities)
    live = replacement(blame, result.argv, capabilities) if blame else None
    return blame, message, (live,) if live and failure.kind in _UNKNOWN else ()


def _describe(result: CellResult) -> str:
    """An effective state's speculation in a few words."""
    drafts = result.drafts or {}
    if not drafts:
        return "starts, without speculation"
    parts = (
        name if length.n_max is None else f"{name} up to {length.n_max}"
        for name, length in sorted(drafts.items())
    )
    return f"starts, with {' and '.join(parts)}"


def flat(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """An effective state with speculation as three plain settings."""
    drafts = state.get(SPECULATION)
    values = {name: value for name, value in state.items() if name != SPECULATION}
    if drafts is None:
        return values
    longest = [length.n_max for length in drafts.values() if length.n_max is not None]
    return {
        "drafts": bool(drafts),
        **({"draft_type": ",".join(sorted(drafts))} if drafts else {}),
        **({"draft_max": max(longest)} if longest else {}),
        **values,
    }


def exit_code(findings: Sequence[Finding], *, strict: bool) -> Verdict:
    """What several findings come to: FAIL before ERROR before PASS.

    Args:
        findings: Of every build.
        strict: Whether what nothing tells makes it an error.
    """
    found = {finding.status for finding in findings}
    if strict and any(finding.not_seen or finding.cannot_tell for finding in findings):
        found.add(Verdict.ERROR)
    return next((one for one in (Verdict.FAIL, Verdict.ERROR) if one in found), Verdict.PASS)


def remarks(finding: Finding) -> Iterator[str]:
    """All that is to be said beside the first line."""
    yield from finding.lacks
    said = " ".join(finding.lacks)
    yield from (one.why for one in finding.silent if one.why not in said)
    if finding.advice:
        yield f"write {' or '.join(finding.advice)} instead"
    for why, group in groupby(finding.cannot_tell, key=lambda one: one.why):
        yield f"cannot tell here: {', '.join(one.word for one in group)}: {why}"
    if finding.not_seen:
        yield f"not seen: {', '.join(finding.not_seen)}"
    yield from finding.replaced
