"""Results held until the end of a run: all that tables and relations ask for, in little memory."""

from dataclasses import replace

from harness.matrix.kept import KeptResults
from harness.model import Basis, CellResult, Evidence, Verdict
from harness.report.jsonl import decode_result, encode_result
from tests.unit.results import result


def witnessed(one: CellResult) -> CellResult:
    evidence = Evidence(witness="log", basis=Basis.SETTINGS, detail="a line")
    return replace(one, witnesses=(evidence,))


def test_only_the_evidence_is_left_out() -> None:
    flaky = replace(
        result(status=Verdict.FLAKY),
        attempts=(witnessed(result(failed=("state",))), witnessed(result())),
    )
    kept = KeptResults()
    for one in (result(failed=("start",)), witnessed(result()), witnessed(flaky)):
        kept.add(one)
    assert kept.results == [
        result(failed=("start",)),
        result(),
        replace(flaky, attempts=(result(failed=("state",)), result())),
    ]


def test_equal_parts_are_held_once() -> None:
    kept = KeptResults()
    for _ in range(2):
        kept.add(decode_result(encode_result(result(failed=("start", "log"), environment="gpu"))))
    one, other = kept.results
    assert one.request is other.request
    assert one.host is other.host
    assert all(a is b for a, b in zip(one.checks, other.checks, strict=True))
    assert all(a is b for a, b in zip(one.argv, other.argv, strict=True))
