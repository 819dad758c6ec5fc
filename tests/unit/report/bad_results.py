"""Results that went wrong, with everything in them that a rendering must not trip over."""

from dataclasses import replace

from harness.model import Basis, CellResult, Check, Evidence, Failure, FailureKind, Verdict
from tests.unit.results import lengths, result

NASTY = "</script><b>|`]]>\x1b[31m \u2028 ü ``` *x* %0A::error::"


def refused(build: str = "b9246", *, subject: str = "reference") -> CellResult:
    """A server that refused an argument; its words are as nasty as can be."""
    one = result(build=build, subject=subject, status=Verdict.FAIL)
    return replace(
        one,
        argv=("-m", "/models/tiny.gguf", "--draft-max", "5", NASTY),
        checks=(
            Check(
                name="starts",
                expected="a healthy server",
                observed=NASTY,
                ok=False,
                argument="--draft-max",
            ),
        ),
        failure=Failure(
            kind=FailureKind.REMOVED_ARGUMENT,
            message=f"the argument has been removed {NASTY}",
            argument="--draft-max",
            log_tail=("first line", NASTY),
        ),
        witnesses=(Evidence(witness="slots", basis=Basis.SETTINGS, speaks=False),),
        startup_ms=None,
        repro=f"llama-harness matrix --build {build} --mode mtp",
    )


def flaky() -> CellResult:
    """A cell that failed once and passed once, with no check of its own."""
    one = result(build="b10435", status=Verdict.FLAKY)
    return replace(one, attempts=(refused("b10435"), result(build="b10435", status=Verdict.PASS)))


def untold() -> CellResult:
    """An error without check or failure."""
    return result(build="b8929", mode="ngram", status=Verdict.ERROR)


def one_of_each() -> tuple[CellResult, ...]:
    """A result of every verdict, all distinct cells."""
    return (
        result(build="py0.3.16", effective={}, emulated=True),
        replace(
            result(build="b9093", status=Verdict.DEGRADED, effective={}), reason="no MTP, so none"
        ),
        replace(result(build="b9464", status=Verdict.KNOWN, failed=()), ledger="drafts-nothing"),
        result(build="b11434", effective={"draft-mtp": lengths(5)}, environment="cuda-spoof"),
        refused(),
        flaky(),
        untold(),
    )
