"""Results held until the end of a run: all that tables and relations ask for, in little memory."""

from dataclasses import replace

from harness.matrix.kept import KeptResults
from harness.model import Basis, CellResult, Evidence, Verdict
from harness.report.jsonl import decode_result, encode_result
from tests.unit.results import result


def witnessed(one: CellResult) -> CellResult:
    evidence = Evidence(witness="log", basis=Basis.SETTINGS, detail="a line")
    return replace(one, witnesses=(evidence,))


def bare(one: CellResult) -> CellResult:
    return replace(one, witnesses=(), repro="")


def test_only_evidence_and_the_command_to_repeat_are_left_out() -> None:
    again, first = witnessed(result()), witnessed(result(failed=("state",)))
    flaky = replace(result(status=Verdict.FLAKY), attempts=(first, again))
    kept = KeptResults()
    for one in (first, again, witnessed(flaky)):
        assert one.repro
        kept.add(one)
    assert kept.results == [
        bare(first),
        bare(again),
        replace(bare(flaky), attempts=(bare(first), bare(again))),
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
