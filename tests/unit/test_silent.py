"""What a command line asks in vain: unread variables, what is set aside, what is cut, warnings."""

from typing import Any

import pytest

from harness.flags.arguments import read_arguments, read_variables
from harness.model import LaunchPlan, Remark
from harness.settings.state import asked, effective_state
from harness.verdicts.silent import silent_effects, silent_warnings, warnings_in
from tests.unit.era import ANCIENT, LEGACY, MTP, NEWEST, capabilities
from tests.unit.settings.recorded import recording


def effects(
    build: str, line: str, *, env: dict[str, str] | None = None, **state: Any
) -> list[tuple[str, str]]:
    known = capabilities(build)
    argv = tuple(line.split())
    arguments = (*read_variables(env or {}, known), *read_arguments(argv, known))
    plan = LaunchPlan(argv=argv, env=env or {})
    found = silent_effects(plan, arguments, known, state, asked(arguments))
    return [(one.word, one.why) for one in found]


@pytest.mark.parametrize(
    ("build", "variable", "silent"),
    [
        (NEWEST, "LLAMA_ARG_CTX_SIZE", False),
        (NEWEST, "LLAMA_ARG_API_KEY", True),
        (NEWEST, "LLAMA_API_KEY", False),
        (NEWEST, "LLAMA_ARG_NO_SUCH_THING", True),
        (ANCIENT, "LLAMA_ARG_FIT", True),
        (LEGACY, "LLAMA_ARG_FIT", False),
        (NEWEST, "LLAMA_CACHE", False),
        (NEWEST, "CUDA_VISIBLE_DEVICES", False),
        (NEWEST, "HF_TOKEN", False),
    ],
)
def test_a_variable_that_no_option_reads(build: str, variable: str, silent: bool) -> None:
    found = effects(build, "", env={variable: "1"})
    instead = "; write LLAMA_API_KEY=1" if variable == "LLAMA_ARG_API_KEY" else ""
    why = f"{variable} is not read by this build{instead}"
    assert found == ([(variable, why)] if silent else [])


@pytest.mark.parametrize(
    ("line", "aside"),
    [
        ("-c 512 -c 1024", ("-c", "-c 512 is set aside: -c 1024 wins")),
        ("-c 512 --ctx-size 1024", ("-c", "-c 512 is set aside: --ctx-size 1024 wins")),
        ("-c 512 -c 512", None),
        ("--temp 0.1 -b 64 --temp 0.2", ("--temp", "--temp 0.1 is set aside: --temp 0.2 wins")),
        ("--no-mmap --mmap", ("--no-mmap", "--no-mmap is set aside: --mmap wins")),
        ("-l 1+1 -l 2+1", None),
        ("--lora a.gguf --lora b.gguf", None),
        ("--alias a --alias b", None),
        ("--nope 1 --nope 2", None),
    ],
)
def test_an_option_that_is_set_twice(line: str, aside: tuple[str, str] | None) -> None:
    assert effects(MTP, line) == ([aside] if aside else [])


def test_argv_wins_over_a_variable() -> None:
    found = effects(MTP, "-c 512", env={"LLAMA_ARG_CTX_SIZE": "1024"})
    assert found == [
        ("LLAMA_ARG_CTX_SIZE", "LLAMA_ARG_CTX_SIZE 1024 is set aside: -c 512 wins"),
    ]


def test_each_of_three_is_set_aside_by_the_next() -> None:
    found = effects(MTP, "-c 1 -c 2 -c 3")
    assert [why for _, why in found] == [
        "-c 1 is set aside: -c 2 wins",
        "-c 2 is set aside: -c 3 wins",
    ]


@pytest.mark.parametrize(
    ("line", "state", "change"),
    [
        ("-c 500", {"context": 512}, ("-c", "context 500 becomes 512")),
        ("-c 512", {"context": 512}, None),
        ("-c 0", {"context": 8192}, None),
        ("-b 4096", {"batch": 512, "context": 512}, ("-b", "batch 4096 becomes 512")),
        ("-b 4096", {"batch": 64, "context": 512}, None),
        ("-t -1", {"threads": 8}, ("-t", "threads -1 becomes 8")),
        ("--temp 0.8", {"temperature": 0.8}, None),
        ("--temp 0.8", {"temperature": 0.5}, None),
        ("-c 512", {}, None),
        ("-r a", {"stop": ["a", "b"]}, None),
        ("--alias one,two", {"model_id": "one,two"}, None),
    ],
)
def test_a_value_that_is_granted_otherwise_than_it_was_written(
    line: str, state: dict[str, Any], change: tuple[str, str] | None
) -> None:
    assert effects(NEWEST, line, **state) == ([change] if change else [])


def test_a_recorded_command_line_that_is_kept_has_no_silent_effect() -> None:
    one = recording("b9464", "asked")
    plan = LaunchPlan(argv=one.argv)
    known, state = capabilities(one.build), effective_state(one.observation)
    assert silent_effects(plan, one.arguments, known, state, asked(one.arguments)) == ()


@pytest.mark.parametrize(
    ("line", "warns"),
    [
        ("0.00.001.000 W srv: something", True),
        ("warning: no GPU was asked for", True),
        ("DEPRECATED: --mlock is deprecated", True),
        ("cache-reuse is not supported by this context, it will be disabled", True),
        ("llama_context: n_ctx_per_seq (4096) < n_ctx_train (131072)", False),
        ("llama_context: flash_attn = disabled", False),
        ("srv: all slots are idle", False),
        ("0.00.001.000 I print_info: rope_finetuned = unknown", False),
        ("load: control token 3 is not marked as EOG", False),
    ],
)
def test_lines_that_warn(line: str, warns: bool) -> None:
    assert warnings_in([line]) == ((line,) if warns else ())


def test_warnings_that_a_plain_start_does_not_have() -> None:
    arguments = read_arguments(["--cache-reuse", "256", "-ctk", "q8_0"], capabilities(NEWEST))
    plain = ["0.01.000.000 W srv: limit is 4096 of /models/a.gguf"]
    told = silent_warnings(
        [
            "0.02.000.000 W srv: limit is 512 of /models/b.gguf",
            "0.02.000.000 W srv: --cache-reuse is ignored",
            "0.02.000.001 W srv: --cache-reuse is ignored",
            "0.02.000.002 W ctx: type q8_0 is unsupported here",
            "0.02.000.003 W ctx: something else is disabled",
        ],
        plain,
        arguments,
    )
    assert told == (
        Remark(word="--cache-reuse", why="srv: --cache-reuse is ignored"),
        Remark(word="-ctk", why="ctx: type q8_0 is unsupported here"),
        Remark(word="", why="ctx: something else is disabled"),
    )


def test_a_warning_names_an_option_by_any_of_its_spellings() -> None:
    arguments = read_arguments(["-ctk", "f16"], capabilities(NEWEST))
    (told,) = silent_warnings(["W x: --cache-type-k is deprecated"], [], arguments)
    assert told.word == "-ctk"


@pytest.mark.parametrize(
    "words",
    [
        *("warn", "Warning:", "DEPRECATED", "ignored", "overwritten", "disabling", "Unknown"),
        *("unsupported", "is not supported", "Invalid", "unable", "cannot", "No Effect"),
        *("requires", "taken as"),
    ],
)
def test_every_word_of_a_warning_is_looked_for_in_any_case(words: str) -> None:
    for said in (words, words.upper(), words.lower()):
        line = f"srv  load: this {said} that"
        assert warnings_in([line, "srv  load: this is fine"]) == (line,)
    assert warnings_in(["0.01 W srv  load: odd"]) == ("0.01 W srv  load: odd",)
