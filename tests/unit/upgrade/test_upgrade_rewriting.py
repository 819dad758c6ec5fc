"""Command lines written for another build, in both directions, from recorded help texts."""

import shlex
from collections.abc import Mapping

import pytest

from harness.subjects.command_lines import CommandLine
from harness.upgrade.changes import Kind
from harness.upgrade.rewriting import Rewriting, is_taken, rewrite
from tests.generated_lines import FORK, era


def line(text: str) -> CommandLine:
    """A command line as one writes it in a shell: variables, then arguments."""
    words = shlex.split(text)
    env: dict[str, str] = {}
    while words and "=" in words[0] and not words[0].startswith("-"):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    return CommandLine(words=tuple(words), env=env)


def shown(written: CommandLine) -> str:
    return " ".join([*(f"{name}={value}" for name, value in written.env.items()), *written.words])


def between(old: str, new: str, text: str) -> Rewriting:
    return rewrite(line(text), era(old), era(new))


RENAMED = [
    ("b8929", "b11434", "--draft-max 8 --draft-min 2", "--spec-draft-n-max 8 --spec-draft-n-min 2"),
    ("b9093", "b8929", "--spec-draft-threads 3", "--threads-draft 3"),
    ("b8929", "b9464", "-cpent 4096", "-cms 4096"),
    ("b9464", "b8929", "--checkpoint-min-step 64", "--checkpoint-every-n-tokens 64"),
    ("b11434", "py0.3.16", "--temperature 0.5", "--temp 0.5"),
    ("py0.3.16", "b11434", "--swa-checkpoints 2", "--swa-checkpoints 2"),
    ("b11434", "py0.3.16", "--ctx-checkpoints 2", "--swa-checkpoints 2"),
]
VALUES = [
    ("py0.3.16", "b8929", "-fa --log-colors", "-fa on --log-colors on"),
    ("b8929", "py0.3.16", "-fa on --log-colors auto", "-fa"),
    ("b8929", "py0.3.16", "-fa off -ctk q8_0", "-ctk q8_0"),
    ("b8929", "py0.3.16", "-c 9 -ctk q8_0 -ctv q8_0", "-c 9 -fa -ctk q8_0 -ctv q8_0"),
    ("b8929", "py0.3.16", "-fa auto -ctv q8_0", "-fa -ctv q8_0"),
    ("py0.3.16", "b9246", "-lv 1", "-lv 5"),
    ("py0.3.16", "b8929", "-lv 0", "-lv 3"),
    ("b9246", "py0.3.16", "--verbosity 5", "--verbosity 1"),
    ("py0.3.16", "b8929", "--lora-scaled a.gguf 0.5 -c 9", "--lora-scaled a.gguf:0.5 -c 9"),
    ("b8929", "py0.3.16", "--lora-scaled a.gguf:0.5", "--lora-scaled a.gguf 0.5"),
    ("b8929", "py0.3.16", "-ngl auto", "-ngl 99"),
    ("b9093", "b11434", "--tools read_file,get_datetime", "--tools read_file,get_info"),
    ("b11434", "b9093", "--tools get_info", "--tools get_datetime"),
    ("b9464", "b11434", "-c 4096 --repeat-last-n -1", "-c 4096 --repeat-last-n 4096"),
    ("b9464", "b11434", "-c 4096 -np 2 --repeat-last-n -1", "-c 4096 -np 2 --repeat-last-n 2048"),
]
LOADING = [
    ("b9464", "b11434", "--no-mmap", "--load-mode none"),
    ("b9464", "b11434", "--mlock", "--load-mode mmap+mlock"),
    ("b9464", "b11434", "-c 9 --no-mmap -b 9 --mlock", "-c 9 --load-mode mlock -b 9"),
    ("b9464", "b11434", "-dio", "--load-mode dio"),
    ("b9464", "b11434", "--mmap", "--load-mode mmap"),
    ("b9464", "b10435", "--no-mmap", "--no-mmap"),
    ("b9464", "b10435", "--mlock", "--load-mode mmap+mlock"),
    ("b9464", "b10435", "--mlock --no-mmap", "--load-mode mlock"),
    ("b10435", "b9464", "--mlock", "--no-mmap --mlock"),
    ("b10435", "b9464", "--load-mode auto", ""),
    ("b11434", "b8929", "--load-mode mlock", "--no-mmap --mlock"),
    ("b11434", "b8929", "--load-mode dio", "--direct-io"),
    ("b11434", "b11434", "--load-mode none", "--load-mode none"),
]
SPECULATION = [
    ("b8929", "b9246", "-md d.gguf", "-md d.gguf"),
    ("b8929", "b9464", "-md d.gguf -c 9", "-md d.gguf --spec-type draft-simple -c 9"),
    ("b8929", "b9464", "-md d.gguf --spec-type none", "-md d.gguf --spec-type draft-simple"),
    ("b9464", "b8929", "-md d.gguf -c 9", "-c 9"),
    ("b9464", "b8929", "-md d.gguf --spec-type draft-simple", "-md d.gguf"),
    ("b11434", "b9093", "-md d.gguf --spec-type draft-simple", "-md d.gguf"),
    ("b8929", "b9246", "--spec-type ngram-simple --spec-type ngram-mod", "--spec-type ngram-mod"),
    ("b9246", "b9464", "--spec-type ngram-simple --spec-type ngram-mod",
     "--spec-type ngram-simple --spec-type ngram-mod"),
    ("b8929", "b11434", "--spec-type ngram-mod --draft-max 16 --draft-min 4",
     "--spec-type ngram-mod --spec-ngram-mod-n-max 16 --spec-ngram-mod-n-min 4"),
    # A shortest draft of 48, which is what is left unsaid, would never be reached.
    ("b8929", "b9093", "--spec-type ngram-mod --draft-max 8",
     "--spec-type ngram-mod --spec-ngram-mod-n-max 8 --spec-ngram-mod-n-min 0"),
    ("b8929", "b9246", "-md d.gguf --draft-min 8",
     "-md d.gguf --spec-draft-n-min 8 --spec-draft-n-max 16"),
    ("b8929", "b9464", "-md d --spec-type ngram-mod --draft-max 50",
     "-md d --spec-type ngram-mod,draft-simple --spec-ngram-mod-n-max 50 --spec-draft-n-max 50"),
    ("b8929", "b9093", "--draft-max 8 --spec-default", "--spec-default"),
    ("b8929", "b11434", "--spec-default -md d.gguf",
     "--spec-default -md d.gguf --spec-type draft-simple"),
    ("b8929", "b9246", "--spec-type ngram-simple --draft-max 4 --spec-ngram-size-m 2",
     "--spec-type ngram-simple --spec-ngram-simple-size-m 2"),
    ("b9246", "b8929", "--spec-type ngram-map-k --spec-ngram-map-k-size-m 30",
     "--spec-type ngram-map-k --draft-max 30"),
    ("b11434", "py0.3.16", "-md d.gguf --spec-type draft-simple --spec-draft-n-max 5",
     "-md d.gguf --draft-max 5"),
]  # fmt: skip
VARIABLES = [
    ("b8929", "b11434", "LLAMA_ARG_NO_MMAP=1 -c 9", "LLAMA_ARG_LOAD_MODE=none -c 9"),
    ("b8929", "b11434", "A=1 LLAMA_ARG_MMAP=0 B=2", "A=1 LLAMA_ARG_LOAD_MODE=none B=2"),
    ("b9464", "b11434", "LLAMA_ARG_NO_MMAP=1 LLAMA_ARG_MLOCK=1", "LLAMA_ARG_LOAD_MODE=mlock"),
    ("b8929", "b9093", "LLAMA_ARG_DRAFT_MAX=8", "LLAMA_ARG_SPEC_DRAFT_N_MAX=8"),
    ("py0.3.16", "b8929", "LLAMA_ARG_KV_SPLIT=1", "LLAMA_ARG_KV_UNIFIED=1"),
    ("py0.3.16", "b8929", "LLAMA_ARG_FLASH_ATTN=1", "LLAMA_ARG_FLASH_ATTN=1"),
    ("b8929", "py0.3.16", "LLAMA_ARG_FLASH_ATTN=on", "LLAMA_ARG_FLASH_ATTN=1"),
    ("b9246", "b9464", "LLAMA_CHAT_TEMPLATE_KWARGS={}", "LLAMA_ARG_CHAT_TEMPLATE_KWARGS={}"),
    # A variable that no build reads stays: it may be somebody else's.
    ("b8929", "b11434", "LLAMA_ARG_BATCH_SIZE=9 HF_HOME=/x", "LLAMA_ARG_BATCH_SIZE=9 HF_HOME=/x"),
    ("b11434", "b9464", "LLAMA_ARG_TEMPERATURE=0.2 -c 9", "-c 9 --temp 0.2"),
    ("b11434", "b9464", "LLAMA_ARG_TEMPERATURE=0.2 --temp 0.5", "--temp 0.5"),
    ("b8929", "b9464", "LLAMA_ARG_SPEC_TYPE=ngram-mod --spec-type ngram-simple",
     "--spec-type ngram-simple"),
    ("b8929", "b9093", "LLAMA_ARG_N_CPU_MOE= -c 9", "-c 9"),
    ("b9093", "b9464", "LLAMA_ARG_SPEC_DRAFT_MODEL=d -c 9",
     "LLAMA_ARG_SPEC_DRAFT_MODEL=d LLAMA_ARG_SPEC_TYPE=draft-simple -c 9"),
]  # fmt: skip
MISTAKES = [
    ("b8929", "b11434", "--ctx-size=1024", "--ctx-size 1024"),
    ("b8929", "b11434", "--ngl 99 0.0.0.0", "-ngl 99 --host 0.0.0.0"),
    ("b8929", "b9093", "--ctx-size 2048--n-gpu-layers 99", "--ctx-size 2048 --n-gpu-layers 99"),
    ("b8929", "b9246", "-fa --no-mmap", "-fa on --no-mmap"),
    ("b8929", "b11434", "-c 9 -fa", "-c 9 -fa on"),
    ("b8929", "b11434", "--flash-attn off -ctv q8_0", "--flash-attn on -ctv q8_0"),
    ("b8929", "b9246", "--chat-template-kwargs {enable_thinking:false}", "--reasoning off"),
]
OF_A_FORK = [
    (FORK, "b11434", "-no-fa -mtp --context-shift off --fit",
     "--flash-attn off --spec-type draft-mtp --no-context-shift --fit on"),
    ("b11434", FORK, "--spec-type draft-mtp --no-context-shift --load-mode none",
     "-mtp --context-shift off --no-mmap"),
    ("b8929", FORK, "--spec-default", "--spec-type ngram-mod --draft-max 64 --draft-min 48"),
]  # fmt: skip
EVERY = [*RENAMED, *VALUES, *LOADING, *SPECULATION, *VARIABLES, *MISTAKES, *OF_A_FORK]


@pytest.mark.parametrize(("old", "new", "before", "after"), EVERY)
def test_a_command_line_for_another_build(old: str, new: str, before: str, after: str) -> None:
    written = between(old, new, before)
    assert shown(written.line) == after
    assert is_taken(written.line, era(new))
    assert rewrite(written.line, era(new), era(new)).changes == ()


LOST: Mapping[tuple[str, str, str], str] = {
    ("b11434", "py0.3.16", "--reasoning-budget 100"): "--reasoning-budget -1",
    ("b11434", "b9464", "--host 127.0.0.1,127.0.0.2"): "--host 127.0.0.1",
    ("b9464", "b11434", "--repeat-last-n -1"): "",
    ("b8929", "b9246", "-cd 512"): "",
    ("b11434", "py0.3.16", "--no-cache-prompt"): "",
    ("b11434", "py0.3.16", "--spec-type ngram-mod"): "",
    ("b11434", "b9464", "--kv-unified-per-slot 512"): "",
    ("b10435", "b9464", "--spec-type draft-dflash"): "",
    (FORK, "b11434", "-mla 2 -c 9"): "-c 9",
    ("b9464", "b8929",
     "-md d.gguf --spec-type draft-simple,ngram-mod --spec-draft-n-max 5 --spec-ngram-mod-n-max 9"):
        "-md d.gguf --spec-type ngram-mod --draft-max 5",
}  # fmt: skip


@pytest.mark.parametrize("case", LOST, ids=" ".join)
def test_what_nothing_says_there_is_lost(case: tuple[str, str, str]) -> None:
    written = between(*case)
    assert shown(written.line) == LOST[case]
    assert written.lost


@pytest.mark.parametrize(
    "text",
    [
        "--fit off", "--cache-ram 0", "--spec-type none", "--no-jinja", "--mmproj-auto",
        "--no-agent", "--kv-offload", "--cache-prompt", "--reasoning auto", "--warmup",
        "--reasoning-budget -1", "--load-mode mmap", "--no-kv-unified", "--context-shift",
    ],
)  # fmt: skip
def test_what_goes_without_saying_is_not_lost(text: str) -> None:
    written = between("b11434", "py0.3.16", text)
    assert not written.lost
    assert "--no-" not in shown(written.line)


def test_a_flag_of_its_own_is_no_opposite_of_another() -> None:
    # --host takes an address, and --no-host is about buffers.
    assert between("b11434", "py0.3.16", "--no-host").lost


def test_the_draft_context_is_only_lost_where_it_is_another() -> None:
    assert not between("b8929", "b9246", "-c 512 -cd 512").lost
    assert between("b8929", "b9246", "-c 1024 -cd 512").lost


def test_a_command_line_that_only_the_other_build_takes_is_written_already() -> None:
    assert between("b8929", "b11434", "-lv 5 --load-mode none").changes == ()
    assert between("py0.3.16", "b8929", "-fa on -lv 1").changes == ()


def test_values_that_only_their_place_knows_stay() -> None:
    text = "--spec-type ${TYPE} --draft-max ${N} -fa ${FLASH} --tools {tools}"
    written = between("b8929", "b11434", text)
    assert shown(written.line) == text.replace("--draft-max", "--spec-draft-n-max")


@pytest.mark.parametrize(
    ("old", "new", "text", "kind", "said"),
    [
        ("b8929", "b9246", "--draft-max 8", Kind.RENAMED, "b9246 has removed --draft-max"),
        ("py0.3.16", "b8929", "-fa", Kind.ARITY, "b8929 takes 1 value"),
        ("py0.3.16", "b8929", "-lv 1", Kind.VALUE, "b8929 counts levels otherwise"),
        ("b9464", "b11434", "LLAMA_ARG_MLOCK=1", Kind.VARIABLE_RENAMED,
         "b11434 does not read LLAMA_ARG_MLOCK"),
        ("b9246", "b9464", "-md d", Kind.WITHOUT_EFFECT, "on b9464 a draft model alone"),
        ("b8929", "b9246", "-md d --draft-min 8", Kind.RENAMED, "b9246 has removed --draft-min"),
        ("b8929", "b9246", "--no-such-flag", Kind.REFUSED, "b9246 does not know --no-such-flag"),
        ("b8929", "b9246", "--ctx-size=9", Kind.MISTAKE, "no build takes it so"),
        (FORK, "b9246", "-mla 2", Kind.REFUSED, "which only ik_llama.cpp has"),
    ],
)  # fmt: skip
def test_each_change_says_of_what_kind_it_is_and_why(
    old: str, new: str, text: str, kind: Kind, said: str
) -> None:
    change = between(old, new, text).changes[0]
    assert change.kind is kind
    assert said in str(change)
