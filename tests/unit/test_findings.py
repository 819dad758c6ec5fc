"""What one build does with one command line, as its user is told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.model import (
    CellResult,
    Check,
    DraftRange,
    Failure,
    FailureKind,
    Remark,
    Replacement,
    Verdict,
)
from harness.verdicts.findings import Finding, exit_code, finding_of, flat, remarks
from tests.unit.era import LEGACY, MTP, capabilities
from tests.unit.results import result

DRAFTS = {"draft-mtp": DraftRange(n_min=0, n_max=5), "ngram-mod": DraftRange(n_min=48, n_max=64)}


def found(
    one: CellResult,
    *words: str,
    env: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> Finding:
    return finding_of(one, capabilities(one.build), words, env or {}, keys or {})


def started(build: str = MTP, **state: Any) -> CellResult:
    one = result(build=build, effective={})
    return replace(one, effective={"speculation": {}, **state})


def effect(said: str, argument: str) -> Check:
    return Check(name="effect", expected="e", observed=said, ok=False, argument=argument)


def test_a_command_line_that_does_what_it_says() -> None:
    one = replace(
        started(context=512, temperature=0.5, speculation=DRAFTS),
        witnessed_by={"context": ("log",), "draft-mtp": ("a", "b"), "temperature": ("x", "y")},
    )
    told = found(one, "-c", "512")
    assert (told.status, told.starts, told.blame) == (Verdict.PASS, True, None)
    assert told.message == "starts, with draft-mtp up to 5 and ngram-mod up to 64"
    assert told.settings == {
        "drafts": True,
        "draft_type": "draft-mtp,ngram-mod",
        "draft_max": 64,
        "context": 512,
        "temperature": 0.5,
    }
    assert told.witnesses == {"context": 1, "draft-mtp": 2, "temperature": 2}
    assert (told.lacks, told.silent, told.not_seen, told.replaced) == ((), (), (), ())
    assert list(remarks(told)) == []


@pytest.mark.parametrize(
    ("drafts", "message", "settings"),
    [
        ({}, "starts, without speculation", {"drafts": False}),
        (
            {"ngram-simple": DraftRange(n_min=None, n_max=None)},
            "starts, with ngram-simple",
            {"drafts": True, "draft_type": "ngram-simple"},
        ),
        (
            {"draft-mtp": DraftRange(n_min=0, n_max=0)},
            "starts, with draft-mtp up to 0",
            {"drafts": True, "draft_type": "draft-mtp", "draft_max": 0},
        ),
    ],
)
def test_speculation_as_plain_settings(
    drafts: dict[str, DraftRange], message: str, settings: dict[str, object]
) -> None:
    told = found(started(speculation=drafts))
    assert (told.message, told.settings) == (message, settings)


def test_a_server_that_was_not_seen_has_no_settings() -> None:
    assert flat({}) == {}
    assert found(replace(result(status=Verdict.ERROR), effective=None)).settings == {}


def test_what_is_asked_for_and_not_so() -> None:
    check = effect("-c 8k is read as 8, and context is 256", "8k")
    one = replace(started(context=256), status=Verdict.FAIL, checks=(check,))
    told = found(one, "-c", "8k")
    assert (told.status, told.starts) == (Verdict.FAIL, True)
    assert told.lacks == ("-c 8k is read as 8, and context is 256",)
    assert told.silent == (Remark(word="8k", why="-c 8k is read as 8, and context is 256"),)
    assert list(remarks(told)) == ["-c 8k is read as 8, and context is 256"]


def test_silent_effects_are_told_once_and_after_what_lacks() -> None:
    aside = Remark(word="-c", why="-c 1 is set aside: -c 2 wins")
    one = replace(
        started(), checks=(effect("x is off", "--x"),), silent=(aside, aside), status=Verdict.FAIL
    )
    told = found(one)
    assert [remark.why for remark in told.silent] == ["x is off", "-c 1 is set aside: -c 2 wins"]
    assert list(remarks(told)) == ["x is off", "-c 1 is set aside: -c 2 wins"]


def test_a_minimum_above_its_maximum_has_no_effect() -> None:
    check = Check(
        name="min-not-above-max",
        expected="e",
        observed="--draft-min 48, --draft-max 2",
        ok=False,
        argument="--draft-min",
    )
    told = found(replace(started(), checks=(check,)))
    assert told.silent == (Remark(word="--draft-min", why="--draft-min 48, --draft-max 2"),)


@pytest.mark.parametrize("name", ["flags-offered", "no-flag-twice", "no-warning"])
def test_what_a_contract_alone_demands_is_no_lack(name: str) -> None:
    check = Check(name=name, expected="e", observed="o", ok=False, argument="--x")
    told = found(replace(started(), checks=(check,)))
    assert (told.lacks, told.silent) == ((), ())


def test_a_refusal_names_the_word_and_what_to_write() -> None:
    failure = Failure(kind=FailureKind.REMOVED_ARGUMENT, message="removed", argument="--draft-max")
    one = replace(result(build=MTP, failed=("starts",)), failure=failure, effective=None)
    told = found(one, "-md", "x", "--draft-max", "5")
    assert (told.status, told.starts, told.blame) == (Verdict.FAIL, False, "--draft-max")
    assert "write --spec-draft-n-max" in told.message
    assert any("--spec-draft-n-max" in one for one in told.advice)
    assert told.settings == {}


def test_what_the_harness_could_not_tell_is_no_refusal() -> None:
    failure = Failure(kind=FailureKind.OUT_OF_MEMORY, message="no memory here", argument="-c")
    one = replace(result(status=Verdict.ERROR), failure=failure, effective=None)
    told = found(one, "-c", "512")
    assert (told.starts, told.blame, told.advice) == (None, None, ())
    assert told.message == "no memory here"
    assert found(replace(one, failure=None)).message == "the harness could not tell"
    without = finding_of(replace(one, status=Verdict.FAIL), None, (), {}, {})
    assert (without.message, without.starts) == ("no memory here", False)


def test_what_is_not_seen_replaced_and_left_out() -> None:
    one = replace(
        started(LEGACY),
        not_seen=("--nope", "--device"),
        left_out=(Remark(word="--mmproj", why="no such file"),),
        replaced=(
            Replacement(given="--host 0.0.0.0", used="--host 127.0.0.1", why="loopback only"),
            Replacement(given="-t 8", used="-t 1", why="spinning"),
        ),
    )
    told = found(one, "--nope", "--device", "CUDA0", "-t", "8")
    assert told.not_seen == ("--nope",)
    assert [one.word for one in told.cannot_tell] == ["--device"]
    assert told.settings["threads"] == 8
    assert list(remarks(told)) == [
        "cannot tell here: --device: there is no device besides the CPU",
        "not seen: --nope",
        "left out --mmproj: no such file",
        "started with --host 127.0.0.1 in place of --host 0.0.0.0: loopback only",
        "started with -t 1 in place of -t 8: spinning",
    ]


def finding(status: Verdict, **what: Any) -> Finding:
    return Finding(
        build="b1", status=status, starts=True, message="m", settings={}, witnesses={}, **what
    )


PASS, FAIL, ERROR = (finding(one) for one in (Verdict.PASS, Verdict.FAIL, Verdict.ERROR))


@pytest.mark.parametrize(
    ("findings", "strict", "verdict"),
    [
        ([], False, Verdict.PASS),
        ([PASS, PASS], False, Verdict.PASS),
        ([PASS, ERROR], False, Verdict.ERROR),
        ([ERROR, FAIL, PASS], False, Verdict.FAIL),
        ([finding(Verdict.PASS, not_seen=("--x",))], False, Verdict.PASS),
        ([finding(Verdict.PASS, not_seen=("--x",))], True, Verdict.ERROR),
        ([finding(Verdict.FAIL, not_seen=("--x",))], True, Verdict.FAIL),
        ([finding(Verdict.PASS, left_out=(Remark(word="-x", why="w"),))], True, Verdict.ERROR),
        ([finding(Verdict.PASS, cannot_tell=(Remark(word="-x", why="w"),))], True, Verdict.ERROR),
        ([PASS], True, Verdict.PASS),
    ],
)
def test_what_several_findings_come_to(
    findings: list[Finding], strict: bool, verdict: Verdict
) -> None:
    assert exit_code(findings, strict=strict) is verdict


def test_advice_is_not_repeated() -> None:
    assert list(remarks(replace(PASS, advice=("--x",)))) == ["write --x instead"]
    assert list(remarks(replace(PASS, advice=("--x",), message="write --x"))) == []
    assert list(remarks(replace(PASS, advice=("--x", "--y")))) == ["write --x or --y instead"]


@pytest.mark.parametrize(
    ("advice", "said"),
    [
        (("-c 1",), "write -c 1 instead"),
        (("leave --spec-type out",), "leave --spec-type out"),
        (("-c 1", "-ngl 9", "leave -x out"), "write -c 1 or -ngl 9 instead; leave -x out"),
    ],
)
def test_advice_is_a_sentence(advice: tuple[str, ...], said: str) -> None:
    assert list(remarks(replace(found(started()), advice=advice))) == [said]
