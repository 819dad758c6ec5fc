"""One trial of a bisection: what is tested, and what came of it."""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from harness.bisect.search import Answer
from harness.model import GOOD, CellResult, Verdict
from harness.verdicts.checks import STARTS

AxisName = Literal["build", "subject"]
PROGRAM: Final = "llama-server"
LOG_LINES: Final = 40
"""Lines of output that an outcome keeps."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A build under a subject; the unit that is tested once and remembered."""

    build: str
    subject: str

    def along(self, axis: AxisName) -> str:
        """What varies along an axis."""
        return self.build if axis == "build" else self.subject


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What makes two failures the same.

    Attributes:
        check: The contract's check that failed.
        kind: The kind of failure, empty where the server ran and did the wrong thing.
        argument: The flag or variable to blame, where one is.
    """

    check: str
    kind: str = ""
    argument: str | None = None

    def __str__(self) -> str:
        words = [self.check, self.kind, self.argument or ""]
        return " ".join(word for word in words if word)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of a trial came to.

    Attributes:
        answer: Good, bad or untestable.
        reason: One line: what was seen.
        signature: Of the failure, where it failed.
        argv: The program and its arguments, where known.
        log: The last lines of output.
        result: The cell's result, where a cell was run.
    """

    answer: Answer
    reason: str
    signature: Signature | None = None
    argv: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    result: CellResult | None = None


def signatures(result: CellResult) -> tuple[Signature, ...]:
    """Every failure of a cell's result; a failed start before failed checks."""
    found = []
    failure = result.failure
    if failure is not None:
        found.append(Signature(check=STARTS, kind=failure.kind.value, argument=failure.argument))
    found.extend(
        Signature(check=check.name, argument=check.argument)
        for check in result.failed
        if failure is None or check.name != STARTS
    )
    return tuple(dict.fromkeys(found))


def judge(result: CellResult, anchor: Signature | None, check: str | None = None) -> Outcome:
    """A cell's result as the answer of a trial.

    Args:
        result: The cell's result.
        anchor: The failure that is being bisected; None at the bad end, where it is taken.
        check: The check whose failure to take at the bad end, and which alone counts; None for
            the first.
    """
    found = signatures(result)
    if anchor is None:
        anchor = next((each for each in found if check in {None, each.check}), None)
    log = _log(result)

    def outcome(answer: Answer, reason: str, signature: Signature | None = None) -> Outcome:
        return Outcome(
            answer=answer,
            reason=reason,
            signature=signature,
            argv=(PROGRAM, *result.argv) if result.argv else (),
            log=log,
            result=result,
        )

    if result.status is Verdict.ERROR:
        return outcome(Answer.UNTESTABLE, _what_failed(result) or "the harness could not tell")
    if anchor is not None and _shows(found, anchor, check):
        return outcome(Answer.BAD, _what_failed(result, anchor), anchor)
    if result.status in GOOD and not found:
        return outcome(Answer.GOOD, result.reason or result.status.value)
    if check is not None and result.failure is None:
        return outcome(Answer.GOOD, f"{check} holds")
    others = "; ".join(str(each) for each in found) or result.status.value
    return outcome(Answer.UNTESTABLE, f"fails otherwise: {others}", found[0] if found else None)


def _shows(found: tuple[Signature, ...], anchor: Signature, check: str | None) -> bool:
    """Whether the anchored failure is among those found.

    A check that was named and that the server lived to see is the same under any argument: the
    flag to blame has another spelling on another build.
    """
    if check is not None and check != STARTS:
        return any(each.check == check for each in found)
    return anchor in found


def _log(result: CellResult) -> tuple[str, ...]:
    """The server's last lines where it failed, what the witnesses read where it ran."""
    if result.failure is not None and result.failure.log_tail:
        return result.failure.log_tail[-LOG_LINES:]
    spoken = (each for each in result.witnesses if each.speaks and each.detail)
    return tuple(f"{each.witness}: {each.detail}" for each in spoken)


def _what_failed(result: CellResult, anchor: Signature | None = None) -> str:
    if result.failure is not None and (anchor is None or anchor.check == STARTS):
        return result.failure.message
    return "; ".join(
        f"{check.name}: expected {check.expected}, observed {check.observed}"
        for check in result.failed
        if anchor is None or check.name == anchor.check
    )
