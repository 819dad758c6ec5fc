"""What one build does with one command line, as its user wants to know it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from harness.flags.arguments import Argument, read_arguments, read_variables
from harness.flags.capabilities import Capabilities
from harness.flags.diagnosis import cure_of, diagnose_lack, diagnose_refusal, owner
from harness.flags.families import MODEL, ONCE_TWO_VALUES, PORT, REMOTE_MODEL, is_of_devices
from harness.flags.reasons import blamed, suspected
from harness.flags.rewrites import advice_for, key_instead, rewritten_variable
from harness.model import WHY_MODEL, WHY_PORT, CellResult, FailureKind, Remark, Verdict
from harness.server.ports import LAST_PORT
from harness.settings.base import EFFECT
from harness.settings.state import SPECULATION
from harness.verdicts.checks import MIN_NOT_ABOVE_MAX

_CANNOT_TELL: Final = "the harness could not tell"
_NO_DEVICE: Final = "there is no device besides the CPU"
OF_SPECULATION: Final = frozenset({"drafts", "draft_type", "draft_max"})
"""The plain settings that stand for it."""
_REPLACED: Final = {
    **dict.fromkeys((*PORT.flags, *PORT.variables), "port"),
    **dict.fromkeys(("--threads", "-t", "LLAMA_ARG_THREADS"), "threads"),
    **dict.fromkeys(("--threads-batch", "-tb", "LLAMA_ARG_THREADS_BATCH"), "threads_batch"),
}
"""What sets a setting that the harness chooses itself."""
_LEAVE: Final = "leave "
"""Begins advice to write nothing."""


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
        left_out: What it was started without, because nothing on this host stands for it.
        replaced: What it was started with instead, and why; not the model and the port, which
            always are.
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
    silent: tuple[Remark, ...] = ()
    cannot_tell: tuple[Remark, ...] = ()
    not_seen: tuple[str, ...] = ()
    left_out: tuple[Remark, ...] = ()
    replaced: tuple[str, ...] = ()


def finding_of(
    result: CellResult,
    capabilities: Capabilities | None,
    words: Sequence[str],
    env: Mapping[str, str],
    keys: Mapping[str, str],
    *,
    number: int | None = None,
) -> Finding:
    """What a cell's result says of its command line.

    Args:
        result: Of a cell whose command line makes the demands.
        words: The command line as it was written.
        env: Its variables.
        keys: The keys of the preset that it names.
        capabilities: Of its build, None where it cannot be asked.
        number: Upstream's number of the build; None where it has none.
    """
    bad = [check for check in result.checks if not check.ok]
    lacks = [check for check in bad if check.name == EFFECT]
    silent = [
        *(Remark(word=one.argument or "", why=one.observed) for one in lacks),
        *(Remark(word=one.argument or "", why=one.observed) for one in bad
          if one.name == MIN_NOT_ABOVE_MAX),
        *result.silent,
    ]  # fmt: skip
    died = result.failure is not None and result.failure.kind is FailureKind.DIED
    told = None if result.status is Verdict.ERROR else died
    starts = result.effective is not None or told
    blame, message, advice = _outcome(result, capabilities, words, env, number)
    if capabilities is not None:
        at_fault = filter(None, (blame, *(check.argument for check in lacks)))
        in_preset = (key_instead(one, keys[one], capabilities) for one in at_fault if one in keys)
        advice = (*advice, *filter(None, in_preset))
    deviceless = [] if result.devices else [word for word in result.not_seen if is_of_devices(word)]
    return Finding(
        build=result.build,
        status=result.status,
        starts=starts,
        message=message,
        blame=blame,
        advice=advice,
        settings={**flat(result.effective or {}), **_as_written(result)}
        if result.effective is not None
        else {},
        witnesses={name: len(names) for name, names in result.witnessed_by.items()},
        lacks=tuple(
            diagnose_lack(one.observed, words, result.build, capabilities)
            if capabilities and cure_of(one.observed, words, capabilities)
            else one.observed
            for one in lacks
        ),
        silent=tuple(dict.fromkeys(silent)),
        cannot_tell=tuple(Remark(word=word, why=_why_none(result)) for word in deviceless),
        not_seen=tuple(word for word in result.not_seen if word not in deviceless),
        left_out=result.left_out,
        replaced=tuple(
            f"started with {one.used} in place of {one.given}: {one.why}"
            for one in result.replaced
            if one.why not in {WHY_MODEL, WHY_PORT}
        ),
    )


def _why_none(result: CellResult) -> str:
    return f"{_NO_DEVICE} ({result.no_card})" if result.no_card else _NO_DEVICE


def _as_written(result: CellResult) -> Mapping[str, int]:
    """The settings that the harness replaced, as the build would have them from the words."""
    found = {}
    for one in result.replaced:
        flag, _, value = one.given.replace("=", " ").partition(" ")
        name = _REPLACED.get(flag)
        if name is not None and value.lstrip("-").isdecimal():
            found[name] = int(value) % (LAST_PORT + 1) if name == "port" else int(value)
    return found


def _outcome(
    result: CellResult,
    capabilities: Capabilities | None,
    words: Sequence[str],
    env: Mapping[str, str],
    number: int | None,
) -> tuple[str | None, str, tuple[str, ...]]:
    """Whom to blame, what to say, and what to write instead."""
    failure = result.failure
    if result.effective is not None:
        return None, _describe(result), ()
    if failure is None or result.status is Verdict.ERROR or capabilities is None:
        return None, failure.message if failure else _CANNOT_TELL, ()
    arguments = (*read_variables(env, capabilities), *read_arguments(words, capabilities))
    message = diagnose_refusal(words, failure, result.build, capabilities, env, number=number)
    blame = failure.argument
    if blame is None or blame not in {*words, *(word.partition("=")[0] for word in words), *env}:
        # The text of a template file, say, is no word of the command line.
        blame = blamed(failure.message, arguments) or blame
    if blame is None and (suspicion := suspected(arguments)):
        why, blame = suspicion
        message = f"{message}: {why}"
    if blame is None and failure.kind is not FailureKind.DEVICE_MEMORY:
        blame = _suspect(failure.message, arguments)
    if "open file" in failure.message:
        # Of a flag and a file that is not there, the file is at fault.
        missing = (one.value for one in arguments if one.flag == blame and one.value)
        blame = next(missing, blame)
    if blame is not None and not blame.startswith("-") and blame in words:
        before = owner(words, blame, capabilities)
        if before is not None and before.spelling in ONCE_TWO_VALUES:
            blame = before.flag
    advice = advice_for(words, (blame,) if blame else (), capabilities)
    if blame and blame in env:
        became = rewritten_variable(blame, env, capabilities)
        advice = (*advice, *filter(None, (became,)))
    return blame, message, advice


def _suspect(message: str, arguments: Sequence[Argument]) -> str | None:
    """The value that a failure quotes, else the flag of the only argument that there is."""
    quoted = [one.value for one in arguments if one.value and f"'{one.value}'" in message]
    own = [
        one.flag
        for one in arguments
        if not any(family.is_set_by(one) for family in (MODEL, REMOTE_MODEL, PORT))
    ]
    return next((found[0] for found in (quoted, own) if len(found) == 1), None)


def _describe(result: CellResult) -> str:
    """An effective state's speculation in a few words."""
    models = (result.effective or {}).get("models")
    if models is not None:
        return f"starts, as a router of {', '.join(sorted(models)) or 'no model'}"
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
    if "models" in values:
        values["models"] = {
            model: {name: value for name, value in told.items() if name != "why"}
            for model, told in values["models"].items()
        }
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
    if strict and any(one.not_seen or one.cannot_tell or one.left_out for one in findings):
        found.add(Verdict.ERROR)
    return next((one for one in (Verdict.FAIL, Verdict.ERROR) if one in found), Verdict.PASS)


def remarks(finding: Finding) -> Iterator[str]:
    """All that is to be said beside the first line."""
    yield from finding.lacks
    said = " ".join(finding.lacks)
    yield from (one.why for one in finding.silent if one.why not in said)
    if finding.advice and not all(one in finding.message for one in finding.advice):
        leave = [one for one in finding.advice if one.startswith(_LEAVE)]
        words = [one for one in finding.advice if one not in leave]
        written = [f"write {' or '.join(words)} instead"] if words else []
        yield "; ".join((*written, *leave))
    for why, group in groupby(finding.cannot_tell, key=lambda one: one.why):
        yield f"cannot tell here: {', '.join(one.word for one in group)}: {why}"
    if finding.not_seen:
        yield f"not seen: {', '.join(finding.not_seen)}"
    yield from (f"left out {one.word}: {one.why}" for one in finding.left_out)
    yield from finding.replaced
