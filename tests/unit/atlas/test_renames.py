"""What says the same in another era, in both directions."""

import pytest

from harness.flags.atlas import load_atlas
from harness.flags.renames import is_switch, other_flags, other_values, other_variables
from harness.flags.rewrites import rewritten_variable
from harness.flags.standing import capabilities_at

ATLAS = load_atlas()


@pytest.mark.parametrize(
    ("flag", "first", "others"),
    [
        ("--spec-draft-n-max", "--draft-max", {"--draft", "--draft-n"}),
        ("--draft-p-min", "--spec-draft-p-min", set()),
        ("--checkpoint-every-n-tokens", "-cpent", {"--checkpoint-min-step", "-cms"}),
        ("--checkpoint-min-step", "-cms", {"--checkpoint-every-n-tokens"}),
        ("--tensor-read-lazy", "--lazy-mode", {"-lzm"}),
        ("--no-clear-idle", "--no-cache-idle-slots", set()),
        ("--spec-ngram-size-n", "--spec-ngram-mod-n-match", {"--spec-ngram-simple-size-n"}),
        ("--webui", "--ui", set()),
        ("--no-webui", "--no-ui", set()),
    ],
)
def test_other_spellings_of_one_wish(flag: str, first: str, others: set[str]) -> None:
    found = other_flags(flag)
    assert found[0] == first
    assert others <= set(found)
    assert flag not in found


@pytest.mark.parametrize("flag", ["--no-mmap", "--no-context-shift", "--no-webui", "-nkvo"])
def test_a_negation_has_negations_only(flag: str) -> None:
    positive = {"--mmap", "--context-shift", "--webui", "--ui", "--kv-offload", "--load-mode"}
    assert positive.isdisjoint(other_flags(flag))


def test_another_spelling_leads_back() -> None:
    for flag in ATLAS.data.spellings:
        for other in other_flags(flag):
            assert flag in other_flags(other), (flag, other)


def test_what_is_in_no_atlas_has_no_other_spelling() -> None:
    assert other_flags("--never-there") == ()
    assert other_variables("LLAMA_ARG_NEVER") == ()


@pytest.mark.parametrize(
    ("variable", "others"),
    [
        ("LLAMA_ARG_DRAFT_MAX", ("LLAMA_ARG_SPEC_DRAFT_N_MAX",)),
        ("LLAMA_ARG_SPEC_DRAFT_N_MAX", ("LLAMA_ARG_DRAFT_MAX",)),
        ("LLAMA_CHAT_TEMPLATE_KWARGS", ("LLAMA_ARG_CHAT_TEMPLATE_KWARGS",)),
        ("LLAMA_LOG_FILE", ("LLAMA_ARG_LOG_FILE",)),
        ("LLAMA_ARG_NO_MMAP", ()),
    ],
)
def test_other_variables_of_one_wish(variable: str, others: tuple[str, ...]) -> None:
    assert other_variables(variable) == others


@pytest.mark.parametrize(
    ("flag", "value", "others"),
    [
        ("--spec-type", "draft", ("draft-simple",)),
        ("--spec-type", "draft-simple", ("draft",)),
        ("--tools", "get_datetime", ("get_info",)),
        ("--spec-type", "ngram-mod", ()),
    ],
)
def test_other_values_of_one_wish(flag: str, value: str, others: tuple[str, ...]) -> None:
    assert other_values(flag, value) == others


def test_switches() -> None:
    assert is_switch("--mlock")
    assert not is_switch("--load-mode")
    assert not is_switch("--flash-attn")
    assert not is_switch("--never-there")


@pytest.mark.parametrize(
    ("variable", "value", "build", "instead"),
    [
        ("LLAMA_ARG_DRAFT_MAX", "8", 9246, "LLAMA_ARG_SPEC_DRAFT_N_MAX=8"),
        ("LLAMA_ARG_SPEC_DRAFT_N_MAX", "8", 8929, "LLAMA_ARG_DRAFT_MAX=8"),
        ("LLAMA_ARG_NO_MMAP", "1", 11434, "LLAMA_ARG_LOAD_MODE=none"),
        ("LLAMA_ARG_MLOCK", "1", 11434, "LLAMA_ARG_LOAD_MODE=mlock"),
        ("LLAMA_ARG_MLOCK", "0", 11434, None),
        ("LLAMA_ARG_TEMPERATURE", "0.2", 9246, "--temp 0.2"),
        ("LLAMA_ARG_BATCH_SIZE", "256", 9246, "LLAMA_ARG_BATCH=256"),
        ("LLAMA_ARG_API_KEY", "k", 9246, "LLAMA_API_KEY=k"),
        ("LLAMA_ARG_NEVER", "1", 9246, None),
        # The build reads it, and refuses this value.
        ("LLAMA_ARG_N_CPU_MOE", "", 9246, None),
    ],
)
def test_what_to_write_for_a_variable(
    variable: str, value: str, build: int, instead: str | None
) -> None:
    assert rewritten_variable(variable, {variable: value}, capabilities_at(build)) == instead


def test_two_variables_that_become_one() -> None:
    env = {"LLAMA_ARG_MLOCK": "1", "LLAMA_ARG_NO_MMAP": "1"}
    there = [rewritten_variable(name, env, capabilities_at(11434)) for name in env]
    assert there == [None, "LLAMA_ARG_LOAD_MODE=mlock"]
