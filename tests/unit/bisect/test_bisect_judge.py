from dataclasses import replace

import pytest

from harness.bisect.search import Answer
from harness.bisect.trial import Signature, judge, signatures
from harness.model import CellResult, Check, Failure, FailureKind, LoadRequest, Verdict

PASS = CellResult(
    build="b9246",
    flavour=None,
    emulated=False,
    subject="reference",
    environment="cpu",
    request=LoadRequest(model="tiny-mtp", mode="mtp"),
    argv=("--port", "1"),
    resolved_mode=None,
    status=Verdict.PASS,
    checks=(Check(name="starts", expected="healthy", observed="healthy", ok=True),),
    effective={"speculation": {}},
    witnessed_by={},
    witnesses=(),
    startup_ms=1.0,
    wall_ms=1.0,
    failure=None,
    repro="",
)
REMOVED = Signature(check="starts", kind="removed-argument", argument="--draft-max")


def refused(kind: FailureKind, argument: str | None) -> CellResult:
    return replace(
        PASS,
        status=Verdict.FAIL,
        failure=Failure(kind=kind, argument=argument, message="refused", log_tail=("error",)),
        checks=(
            Check(name="starts", expected="healthy", observed="refused", ok=False),
            Check(name="flags-offered", expected="all", observed="x", ok=False, argument=argument),
        ),
    )


def wrong(*names: str) -> CellResult:
    checks = tuple(Check(name=name, expected="3", observed="16", ok=False) for name in names)
    return replace(PASS, status=Verdict.FAIL, checks=checks)


def test_the_bad_end_gives_the_anchor_and_a_failed_start_goes_first() -> None:
    result = refused(FailureKind.REMOVED_ARGUMENT, "--draft-max")
    assert signatures(result) == (
        REMOVED,
        Signature(check="flags-offered", argument="--draft-max"),
    )
    outcome = judge(result, None)
    assert outcome.answer is Answer.BAD
    assert outcome.signature == REMOVED
    assert outcome.log == ("error",)
    assert outcome.argv == ("llama-server", "--port", "1")


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        (PASS, Answer.GOOD),
        (replace(PASS, status=Verdict.DEGRADED), Answer.GOOD),
        (refused(FailureKind.REMOVED_ARGUMENT, "--draft-max"), Answer.BAD),
        (refused(FailureKind.REMOVED_ARGUMENT, "--draft-min"), Answer.UNTESTABLE),
        (refused(FailureKind.MODEL_LOAD, None), Answer.UNTESTABLE),
        (refused(FailureKind.TIMEOUT, None), Answer.UNTESTABLE),
        (wrong("draft-n-max"), Answer.UNTESTABLE),
        (replace(PASS, status=Verdict.ERROR), Answer.UNTESTABLE),
        (
            replace(refused(FailureKind.REMOVED_ARGUMENT, "--draft-max"), status=Verdict.ERROR),
            Answer.UNTESTABLE,
        ),
        (
            replace(refused(FailureKind.REMOVED_ARGUMENT, "--draft-max"), status=Verdict.KNOWN),
            Answer.BAD,
        ),
    ],
)
def test_only_the_anchored_failure_is_bad(result: CellResult, answer: Answer) -> None:
    assert judge(result, REMOVED).answer is answer


def test_a_named_check_is_taken_at_the_bad_end_and_alone_counts() -> None:
    result = wrong("no-warning", "draft-n-max")
    assert judge(result, None).signature == Signature(check="no-warning")
    anchor = judge(result, None, "draft-n-max").signature
    assert anchor == Signature(check="draft-n-max")
    assert judge(wrong("no-warning"), anchor, "draft-n-max").answer is Answer.GOOD
    assert judge(wrong("no-warning"), anchor).answer is Answer.UNTESTABLE
    # A server that did not start says nothing about what it would have done.
    died = refused(FailureKind.DIED, None)
    assert judge(died, anchor, "draft-n-max").answer is Answer.UNTESTABLE


def test_a_bad_end_that_does_not_fail_in_the_named_check_has_no_anchor() -> None:
    outcome = judge(wrong("no-warning"), None, "draft-n-max")
    assert outcome.answer is Answer.GOOD
    assert outcome.signature is None


def test_the_reason_is_what_was_seen() -> None:
    assert judge(wrong("draft-n-max"), None).reason == "draft-n-max: expected 3, observed 16"


def test_a_named_check_counts_under_any_spelling_of_the_flag_but_a_refusal_does_not() -> None:
    def too_long(flag: str) -> CellResult:
        check = Check(name="draft-n-max", expected="3", observed="16", ok=False, argument=flag)
        return replace(PASS, status=Verdict.FAIL, checks=(check,))

    anchor = judge(too_long("--spec-draft-n-max"), None).signature
    older = too_long("--draft-max")
    assert judge(older, anchor, "draft-n-max").answer is Answer.BAD
    assert judge(older, anchor).answer is Answer.UNTESTABLE
    other = refused(FailureKind.UNKNOWN_ARGUMENT, "--moon")
    assert judge(other, REMOVED, "starts").answer is Answer.UNTESTABLE
