"""Where command lines of public reports would be refused, and what to write there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.flags.atlas import load_atlas
from harness.flags.standing import (
    Fault,
    Range,
    Status,
    Why,
    capabilities_at,
    outlook,
    standing,
)
from harness.model import Verdict
from harness.report.outlook import outlook_json, outlook_line
from harness.verdicts.standing import verdict_of
from tests.unit.era import capabilities

ATLAS = load_atlas()
RECORDED = {"py0.3.16": 6170, "b8929": 8929, "b9093": 9093, "b9246": 9246, "b11434": 11434}


@dataclass(frozen=True, kw_only=True)
class Given:
    """A command line, and what is known of it.

    Attributes:
        line: Its arguments.
        env: Its variables.
        refused: From which build to which, and what is at fault; windows as two numbers.
        instead: What to write there.
        window: Builds of which nobody knows.
        pr: The pull request that is named.
    """

    line: str
    env: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[int, int, tuple[str, ...]]
    instead: str
    window: tuple[int, int] | None = None
    pr: str


LAST, FIRST = ATLAS.last, ATLAS.first
# Of public reports: lemonade-sdk/lemonade#3558, oobabooga/text-generation-webui#7541,
# ggml-org/llama.cpp#25345, mostlygeek/llama-swap#283, and the same changes read backwards.
GIVEN = {
    "no-mmap": Given(
        line="-c 2048 --no-mmap",
        refused=(10878, LAST, ("--no-mmap",)),
        window=(10868, 10877),
        instead="--load-mode none",
        pr="#28334",
    ),
    "load-mode-on-old": Given(
        line="-c 2048 --load-mode none",
        refused=(FIRST, 10104, ("--load-mode",)),
        instead="--no-mmap",
        pr="#20834",
    ),
    "draft-max": Given(
        line="-np 1 -c 1024 -md /models/draft.gguf --draft-max 6",
        refused=(8955, LAST, ("--draft-max",)),
        instead="--spec-draft-n-max 6",
        pr="#22397",
    ),
    "spec-draft-n-max-on-old": Given(
        line="-np 1 -c 1024 -md /models/draft.gguf --spec-draft-n-max 6",
        refused=(4159, 8954, ("--spec-draft-n-max",)),
        instead="--draft-max 6",
        pr="#22397",
    ),
    "bare-flash-attn": Given(
        line="-c 1024 -fa --jinja",
        refused=(6325, LAST, ("-fa",)),
        instead="-fa on",
        pr="#15434",
    ),
    "flash-attn-value-on-old": Given(
        line="-c 1024 --flash-attn on",
        refused=(FIRST, 6324, ("on",)),
        instead="--flash-attn",
        pr="#15434",
    ),
    "checkpoint-every-n-tokens": Given(
        line="-c 2048 --checkpoint-every-n-tokens 4096",
        refused=(9310, LAST, ("--checkpoint-every-n-tokens",)),
        instead="--checkpoint-min-step 4096",
        pr="#22929",
    ),
    "checkpoint-short": Given(
        line="-cpent 2048",
        refused=(9310, LAST, ("-cpent",)),
        instead="--checkpoint-min-step 2048",
        pr="#22929",
    ),
    "tool-renamed": Given(
        line="-c 1024 --jinja --tools read_file,get_datetime",
        refused=(10469, LAST, ("--tools",)),
        instead="--tools read_file,get_info",
        pr="#27255",
    ),
    "ngram-sizes": Given(
        line="--spec-type ngram-mod --spec-ngram-size-n 8 --draft-min 4 --draft-max 16",
        refused=(8955, LAST, ("--spec-ngram-size-n", "--draft-min", "--draft-max")),
        instead=("--spec-ngram-mod-n-match 8 --spec-ngram-mod-n-min 4 --spec-ngram-mod-n-max 16"),
        pr="#22397",
    ),
    "removed-variable": Given(
        line="-c 512",
        env={"LLAMA_ARG_DRAFT_MAX": "8"},
        refused=(8955, LAST, ("LLAMA_ARG_DRAFT_MAX",)),
        instead="LLAMA_ARG_SPEC_DRAFT_N_MAX=8",
        pr="#22397",
    ),
    "lora-scaled": Given(
        line="-c 512 --lora-scaled adapter.gguf 0.5",
        refused=(7448, LAST, ("--lora-scaled",)),
        instead="--lora-scaled adapter.gguf:0.5",
        pr="#18056",
    ),
    "direct-io": Given(
        line="-dio",
        refused=(10878, LAST, ("-dio",)),
        window=(10868, 10877),
        instead="--load-mode dio",
        pr="#28334",
    ),
    "mlock": Given(
        line="--mlock --no-mmap",
        refused=(10878, LAST, ("--mlock", "--no-mmap")),
        window=(10868, 10877),
        instead="--load-mode mlock",
        pr="#28334",
    ),
    "layers-in-words": Given(
        line="-ngl auto",
        refused=(FIRST, 7552, ("-ngl",)),
        instead="-ngl 99",
        pr="#18266",
    ),
    "log-colors": Given(
        line="--log-colors on",
        refused=(3761, 6392, ("on",)),
        instead="--log-colors",
        pr="#15792",
    ),
    "temperature": Given(
        line="--temperature 0.5",
        refused=(FIRST, 8154, ("--temperature",)),
        instead="--temp 0.5",
        pr="#19797",
    ),
    "draft-type": Given(
        line="--spec-type draft-simple",
        refused=(9109, 9130, ("--spec-type",)),
        instead="--spec-type draft",
        pr="#22964",
    ),
}


def ranges(case: Given) -> tuple[Range, ...]:
    return outlook(case.line.split(), case.env).ranges


@pytest.mark.parametrize("case", GIVEN.values(), ids=GIVEN)
def test_a_refusal_is_told_to_the_build_with_what_to_write(case: Given) -> None:
    first, last, words = case.refused
    (found,) = [one for one in ranges(case) if one.first == first]
    assert (found.last, found.standing.status) == (last, Status.REFUSED)
    assert tuple(fault.word for fault in found.standing.faults) == words
    assert case.instead in found.instead
    line = outlook_line(outlook(case.line.split(), case.env))
    assert case.instead in line
    assert case.pr in line
    if last == LAST:
        assert f"refused from b{first} on" in line
    elif first == FIRST:
        assert f"refused up to b{last}" in line


@pytest.mark.parametrize("case", GIVEN.values(), ids=GIVEN)
def test_what_is_written_instead_is_taken_there(case: Given) -> None:
    first, last, _ = case.refused
    words, env = case.line.split(), dict(case.env)
    if "=" in case.instead:
        name, _, value = case.instead.partition("=")
        argv, env = words, {name: value}
    else:
        argv = case.instead.split()
    for build in (first, last):
        assert standing(argv, env, build).status is Status.OK


@pytest.mark.parametrize("case", [one for one in GIVEN.values() if one.window])
def test_a_window_stays_open(case: Given) -> None:
    (found,) = [one for one in ranges(case) if one.standing.status is Status.OPEN]
    assert (found.first, found.last) == case.window
    first, last = case.window or (0, 0)
    line = outlook_line(outlook(case.line.split(), case.env))
    assert f"b{first} … b{last} not known" in line


@pytest.mark.parametrize("case", GIVEN.values(), ids=GIVEN)
def test_ranges_follow_each_other_over_all_builds(case: Given) -> None:
    found = ranges(case)
    assert (found[0].first, found[-1].last) == (FIRST, LAST)
    assert all(one.last + 1 == other.first for one, other in pairwise(found))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(GIVEN)), st.integers(FIRST, LAST))
def test_a_range_is_what_each_of_its_builds_says(name: str, build: int) -> None:
    case = GIVEN[name]
    found = outlook(case.line.split(), case.env).at(build)
    assert found is not None
    assert found.standing == standing(case.line.split(), case.env, build)


def test_the_line_of_the_documentation() -> None:
    assert outlook_line(outlook(["--draft-max", "8"], {})) == (
        "refused up to b4158 (--draft-max, #10362); b4159 … b8954 ok by the atlas; refused from "
        "b8955 on (--draft-max, #22397): write --spec-draft-n-max 8"
    )
    assert outlook_line(outlook(["-c", "512"], {})) == "b3683 … b11549 ok by the atlas"
    assert outlook_line(outlook(["--ngl", "99"], {})) == (
        "by the atlas refused on every build, b3683 … b11549 (--ngl): write -ngl 99"
    )


@pytest.mark.parametrize(
    ("line", "build", "word", "why"),
    [
        ("0.0.0.0 -c 512", 9246, "0.0.0.0", Why.UNKNOWN),
        ("--ctx-size=1024", 9246, "--ctx-size=1024", Why.UNKNOWN),
        ("-c 512 --port", 9246, "--port", Why.NO_VALUE),
        ("-c abc", 9246, "-c", Why.BAD_VALUE),
        ("-c 99999999999", 9246, "-c", Why.BAD_VALUE),
        ("-ctk turbo3", 9246, "-ctk", Why.BAD_VALUE),
        ("--spec-type ngram-mod,none", 9093, "--spec-type", Why.BAD_VALUE),
        ("--tools no_tool", 9246, "--tools", Why.BAD_VALUE),
        ("--split-mode tensor", 6170, "--split-mode", Why.BAD_VALUE),
        ("--load-mode on", 11434, "--load-mode", Why.BAD_VALUE),
    ],
)
def test_what_a_build_stumbles_over(line: str, build: int, word: str, why: Why) -> None:
    found = standing(line.split(), {}, build)
    assert found.status is Status.REFUSED
    assert [(fault.word, fault.why) for fault in found.faults] == [(word, why)]


@pytest.mark.parametrize(
    ("line", "build"),
    [
        ("-c 8k -np 1", 9246),
        ("-t -1", 9246),
        ("--ctx_size 512", 9246),
        ("-fa 1", 9246),
        ("--fit enabled", 9246),
        ("-ngl 99", 9246),
        ("-ngl all", 9246),
        ("--chat-template my-own", 9246),
        ("--reasoning-format deepseek-legacy", 6170),
        ("--spec-type ngram-mod,draft-mtp", 9246),
        ("--tools all", 9246),
        # A shell, or whoever starts the server, puts something else there.
        ("--port $PORT -c ${CONTEXT} -ctk {type}", 9246),
        ("--tools no_tool", 8929),
        ("--lora-scaled a.gguf 0.5", 6170),
    ],
)
def test_what_a_build_takes(line: str, build: int) -> None:
    assert standing(line.split(), {}, build).status is Status.OK


@pytest.mark.parametrize(
    ("env", "build", "faults"),
    [
        ({"LLAMA_ARG_CTX_SIZE": ""}, 9246, (("LLAMA_ARG_CTX_SIZE", ""),)),
        ({"LLAMA_ARG_SPLIT_MODE": "zz"}, 9246, (("LLAMA_ARG_SPLIT_MODE", "zz"),)),
        ({"LLAMA_ARG_MMAP": "foo"}, 9246, (("LLAMA_ARG_MMAP", "foo"),)),
        ({"LLAMA_ARG_MMAP": "off"}, 9246, ()),
        ({"LLAMA_ARG_NO_MMAP": "foo"}, 9246, ()),
        ({"LLAMA_ARG_MLOCK": "foo"}, 9246, ()),
        ({"LLAMA_ARG_FLASH_ATTN": "zz"}, 6170, ()),
        ({"HOME": "/root"}, 9246, ()),
    ],
)
def test_variables_are_read_as_builds_read_them(
    env: dict[str, str], build: int, faults: tuple[tuple[str, str], ...]
) -> None:
    found = standing(["-c", "512"], env, build)
    assert tuple((one.word, one.value) for one in found.faults) == faults
    assert found.unread == ()


def test_variables_that_no_option_reads_are_told() -> None:
    env = {"LLAMA_ARG_NO_MMAP": "1", "LLAMA_ARG_NEVER": "1", "LLAMA_CACHE": "/tmp"}
    assert standing([], env, 11434).unread == ("LLAMA_ARG_NO_MMAP", "LLAMA_ARG_NEVER")
    assert standing([], env, 9246).unread == ("LLAMA_ARG_NEVER",)
    line = outlook_line(outlook(["-c", "1"], {"LLAMA_ARG_NO_MMAP": "1"}))
    assert line == (
        "b3683 … b11549 ok by the atlas; LLAMA_ARG_NO_MMAP is not read up to b3823 (#9635): write "
        "--no-mmap, from b10878 on (after b10867, by b10878, #28334): write "
        "LLAMA_ARG_LOAD_MODE=none"
    )


def test_what_has_to_be_compiled_in_stays_open() -> None:
    found = outlook(["--rpc", "127.0.0.1:1"], {})
    assert [one.standing.status for one in found.ranges] == [Status.OPEN, Status.OK]
    assert found.ranges[0].standing.faults == (
        Fault(word="--rpc", why=Why.COMPILED_IN, value="rpc"),
    )
    assert "ok where it is compiled in (--rpc)" in outlook_line(found)
    both = standing(["--rpc", "127.0.0.1:1", "--ngl", "1"], {}, 9246)
    assert both.status is Status.REFUSED
    assert [one.word for one in both.faults] == ["--ngl"]


def test_no_standing_outside_the_atlas() -> None:
    with pytest.raises(UsageError, match="the atlas goes from"):
        standing(["-c", "1"], {}, LAST + 1)
    assert outlook(["-c", "1"], {}).at(LAST + 1) is None


def test_a_verdict_for_a_build() -> None:
    found = outlook(["--no-mmap"], {})
    assert verdict_of(found, 9246) is Verdict.PASS
    assert verdict_of(found, 11434) is Verdict.FAIL
    assert verdict_of(found, 10870) is Verdict.ERROR
    assert verdict_of(found, None) is Verdict.ERROR
    assert verdict_of(found, LAST + 1) is Verdict.ERROR


def test_json_has_all_that_the_line_has() -> None:
    document = outlook_json(outlook(["--draft-max", "8"], {}))
    last = document["ranges"][-1]
    assert (last["first"], last["last"], last["status"]) == (8955, LAST, "refused")
    assert last["instead"] == ["--spec-draft-n-max 8"]
    (fault,) = last["refused"]
    assert (fault["word"], fault["why"], fault["until"]) == ("--draft-max", "removed", None)
    assert fault["since"] == {
        "build": 8955,
        "after": None,
        "date": "2026-04-28",
        "pr": 22397,
        "pr_sure": True,
    }


@pytest.mark.parametrize("build", RECORDED)
def test_capabilities_by_the_atlas_are_those_of_the_help_text(build: str) -> None:
    real, told = capabilities(build), capabilities_at(RECORDED[build])
    flags = {flag for one in real.options for flag in one.spellings}
    for flag in flags:
        assert told.offers(flag) is real.offers(flag), flag
        mine, its = told.option(flag), real.option(flag)
        assert mine is not None
        assert its is not None
        assert (mine.env, mine.removed) == (its.env, its.removed), flag
        assert mine.takes_value is its.takes_value, flag


words = st.one_of(
    st.sampled_from(sorted(ATLAS.data.spellings)),
    st.sampled_from(["on", "off", "0", "-1", "8k", "none", "ngram-mod", "draft-mtp,ngram-mod", ""]),
    st.text(max_size=6),
)
variables = st.dictionaries(
    st.one_of(
        st.sampled_from(["LLAMA_ARG_DRAFT_MAX", "LLAMA_ARG_NO_MMAP", "LLAMA_ARG_CTX_SIZE", "X"]),
        st.from_regex(r"LLAMA_ARG_[A-Z_]{1,8}", fullmatch=True),
    ),
    st.sampled_from(["", "1", "on", "x"]),
    max_size=2,
)


@settings(deadline=None, max_examples=150)
@given(st.lists(words, max_size=6), variables)
def test_whatever_is_given_there_is_an_answer_for_every_build(
    argv: list[str], env: dict[str, str]
) -> None:
    found = outlook(argv, env)
    assert (found.ranges[0].first, found.ranges[-1].last) == (FIRST, LAST)
    line = outlook_line(found)
    assert "by the atlas" in line or "compiled in" in line or "not known" in line
    assert outlook_json(found)["line"] == line
    for one in found.ranges:
        assert one.standing.status is not Status.REFUSED or one.standing.faults
        assert one.standing.status is not Status.OK or not one.standing.faults


SYNONYMS = {
    # b6332, b6341: on, off, auto, enabled and disabled alone; b6457: 1, 0 and -1 as well.
    ("-fa", "enabled"): {6325: Status.OK},
    ("-fa", "1"): {6325: Status.REFUSED, 6392: Status.REFUSED, 6393: Status.OK},
    ("-fa", "-1"): {6392: Status.REFUSED, 6393: Status.OK},
    # b7278 refuses it, b7376 takes it, and nobody looked at the builds between.
    ("-fa", "true"): {
        6325: Status.REFUSED,
        6393: Status.REFUSED,
        7278: Status.REFUSED,
        7279: Status.OPEN,
        7375: Status.OPEN,
        7376: Status.OK,
    },
    ("--log-colors", "true"): {7278: Status.REFUSED, 7376: Status.OK},
    ("--fit", "-1"): {7407: Status.REFUSED, LAST: Status.REFUSED},
    ("--lazy-mode", "true"): {LAST: Status.REFUSED},
    ("--lazy-mode", "1"): {LAST: Status.REFUSED},
    ("--lazy-mode", "on"): {LAST: Status.OK},
}


@pytest.mark.parametrize(
    ("value", "instead"),
    [("true", ("--tensor-read-lazy on",)), ("auto", ("--tensor-read-lazy auto",)), ("maybe", ())],
)
def test_what_is_to_be_written_instead_is_taken_there(value: str, instead: tuple[str, ...]) -> None:
    found = outlook(("--lazy-mode", value), {}).at(10662)
    assert found is not None
    assert found.standing.status is Status.REFUSED
    assert found.instead == instead


@pytest.mark.parametrize(
    ("words", "build", "instead"),
    [
        # On by default, so that to leave it out turns nothing off.
        (("--cont-batching", "false"), 9246, ("--no-cont-batching",)),
        (("--jinja", "off"), 9246, ("--no-jinja",)),
        (("--jinja", "off"), 7000, ("leave --jinja out",)),
        (("--no-jinja", "0"), 9246, ("--jinja",)),
        (("--mmap", "off"), 9246, ("--no-mmap",)),
        (("--mmap", "off"), 10870, ("--load-mode none",)),
        (("--mlock", "off"), 10870, ()),
        (("-fa", "FALSE"), 9246, ("-fa off",)),
        # One word where the build's other spelling takes two.
        (("--spec-draft-replace", "on"), 9246, ()),
    ],
    ids=str,
)
def test_off_is_answered_with_off(
    words: tuple[str, ...], build: int, instead: tuple[str, ...]
) -> None:
    found = outlook(words, {}).at(build)
    assert found is not None
    assert found.standing.status is Status.REFUSED
    assert found.instead == instead


@pytest.mark.parametrize("words", SYNONYMS, ids=" ".join)
def test_synonyms_of_on_and_off(words: tuple[str, str]) -> None:
    for build, expected in SYNONYMS[words].items():
        assert standing(words, {}, build).status is expected, build
        found = outlook(words, {}).at(build)
        assert found is not None
        assert found.standing.status is expected, build
