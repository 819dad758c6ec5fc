"""What an argument or a variable asks of each setting, in every spelling of every era."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.flags.arguments import Argument, read_arguments, read_variables
from harness.flags.families import Family
from harness.settings.base import Setting
from harness.settings.speculation.contract import ExpectedDraft
from harness.settings.state import SETTINGS, SPECULATION, asked
from harness.settings.value import ANYTHING, ValueSetting, Wish, same, spoken
from tests.unit.era import capabilities

NEWEST, BEFORE_LOAD_MODE, ANCIENT = "b11434", "b9464", "py0.3.16"


def argument(flag: str, *values: str) -> Argument:
    return Argument(flag=flag, values=values, option=None)


def wish(name: str, *arguments: Argument) -> Any:
    """The value that some arguments ask of a setting; None for none."""
    found = SETTINGS[name].asked(arguments)
    return found.value if isinstance(found, Wish) else found


@pytest.mark.parametrize(
    ("name", "words", "value"),
    [
        ("context", "-c 4096", 4096),
        ("context", "-c 0", ANYTHING),
        ("context", "-c -1", ANYTHING),
        ("context", "--ctx-size 8k", 8),
        ("context", "-c many", None),
        ("slots", "-np 2", 2),
        ("slots", "--parallel -1", ANYTHING),
        ("kv_unified", "-kvu", True),
        ("kv_unified", "--no-kv-unified", False),
        ("batch", "-b 512", 512),
        ("batch", "--batch-size 1e3", 1),
        ("ubatch", "-ub +64", 64),
        ("cache_type_k", "-ctk q8_0", "q8_0"),
        ("cache_type_v", "--cache-type-v f16", "f16"),
        ("flash_attention", "-fa", "on"),
        ("flash_attention", "-fa on", "on"),
        ("flash_attention", "-fa off", "off"),
        ("flash_attention", "-fa 0", "off"),
        ("flash_attention", "-fa auto", ANYTHING),
        ("flash_attention", "-fa perhaps", None),
        ("flash_attention", "--no-flash-attn", "off"),
        ("prompt_cache", "-cram 0", 0),
        ("prompt_cache", "--cache-ram -1", -1),
        ("context_checkpoints", "--swa-checkpoints 3", 3),
        ("mmap", "--mmap", True),
        ("mmap", "--no-mmap", False),
        ("mmap", "-lm mmap+mlock", True),
        ("mmap", "--load-mode none", False),
        ("mmap", "--load-mode auto", ANYTHING),
        ("direct_io", "-dio", True),
        ("direct_io", "-ndio", False),
        ("direct_io", "--load-mode dio", True),
        ("mlock", "--mlock", True),
        ("mlock", "--load-mode mmap+mlock", True),
        ("mlock", "--load-mode mmap", False),
        ("load_mode", "-lm mmap+mlock", "mmap+mlock"),
        ("load_mode", "-lm auto", ANYTHING),
        ("warmup", "--no-warmup", False),
        ("fit", "-fit off", False),
        ("fit", "-fit on", True),
        ("context_shift", "--no-context-shift", False),
        ("context_shift", "--context-shift on", True),
        ("rope_freq_base", "--rope-freq-base 1e6", 1e6),
        ("rope_freq_scale", "--rope-freq-scale .5", 0.5),
        ("temperature", "--temp 0,7", 0.0),
        ("temperature", "--temp 0.7x", 0.7),
        ("temperature", "--temp hot", None),
        ("top_k", "--top-k 40.9", 40),
        ("samplers", "--samplers top_k;top-p;temp", ["top_k", "top_p", "temperature"]),
        ("samplers", "--samplers typical_p;nucleus;;", ["typ_p", "top_p"]),
        ("samplers", "--samplers TOP_K,temp", ["top_k,temp"]),
        ("samplers", "--sampler-seq dkyt", ["dry", "top_k", "typ_p", "temperature"]),
        ("samplers", "--sampling-seq k?", ["top_k", "?"]),
        ("seed", "-s 42", 42),
        ("seed", "--seed -1", ANYTHING),
        ("seed", "--seed 4294967295", ANYTHING),
        ("n_predict", "-n -1", -1),
        ("n_predict", "--n-predict 16", 16),
        ("jinja", "--jinja", True),
        ("jinja", "--no-jinja", False),
        ("template", "--chat-template chatml", "built-in chatml"),
        ("template", "--chat-template {{x}}", "fd805e2acba5"),
        ("reasoning_format", "--reasoning-format none", "none"),
        ("reasoning_format", "--reasoning-format auto", ANYTHING),
        ("model", "-m a.gguf", ANYTHING),
        ("model", "-hf org/model", ANYTHING),
        ("model_id", "--alias one,two", "one"),
        ("model_id", "-a ,", None),
        ("host", "--host 10.0.0.1", ANYTHING),
        ("port", "--port 8080", ANYTHING),
        ("draft_min", "--draft-min 5", 5),
        ("ngram_match", "--spec-ngram-mod-n-match 24", 24),
        ("ngram_min", "--spec-ngram-mod-n-min 48", 48),
        ("auth", "--api-key secret", True),
        ("api_prefix", "--api-prefix /v", "/v"),
        ("metrics", "--metrics", True),
        ("slots_endpoint", "--no-slots", False),
        ("props_endpoint", "--props", True),
        ("embeddings", "--embedding", True),
        ("reranking", "--rerank", True),
        ("ui", "--no-webui", False),
        ("ui", "--ui", True),
        ("threads", "-t -1", -1),
        ("threads_batch", "-tb 2", 2),
        ("verbosity", "-lv 5", 5),
        ("keep", "--keep -1", -1),
        ("context_per_slot", "--kv-unified-per-slot 256", 256),
        ("slot_similarity", "-sps 0.5", 0.5),
        ("slot_saving", "--slot-save-path .", True),
        ("checkpoint_spacing", "-cms 64", 64),
        ("prompts_cached", "--no-cache-prompt", False),
        ("cache_reuse", "--cache-reuse 16", 16),
        ("fit_target", "--fit-target 512", 512),
        ("lora", "--lora /a/b.gguf,c.gguf", ["b.gguf:1", "c.gguf:1"]),
        ("lora", "--lora-scaled a.gguf:0.5", ["a.gguf:0.5"]),
        ("lora", "--lora-scaled a.gguf 0.25", ["a.gguf:0.25"]),
        ("multimodal", "--mmproj x.gguf", True),
        ("multimodal", "--no-mmproj", False),
        ("tensor_overrides", "-ot exps=CPU,norm=CPU", ["exps=CPU", "norm=CPU"]),
        ("tensor_overrides", "-ot exps", None),
        ("experts_on_cpu", "--cpu-moe", "all"),
        ("experts_on_cpu", "--n-cpu-moe 1", 1),
        ("devices", "-dev CUDA0,CUDA1,CUDA0", ["CUDA0", "CUDA1"]),
        ("devices", "-dev none", []),
        ("gpu_layers", "-ngl 99", "99"),
        ("gpu_layers", "-ngl all", "all"),
        ("gpu_layers", "-ngl auto", ANYTHING),
        ("gpu_layers", "-ngl -1", ANYTHING),
        ("gpu_layers", "-ngl 9x", 9),
        ("gpu_layers", "-ngl many", None),
        ("split_mode", "-sm row", "row"),
        ("tensor_split", "-ts 3,1", [3.0, 1.0]),
        ("tensor_split", "-ts 3/1", [3.0, 1.0]),
        ("tensor_split", "-ts x", None),
        ("main_gpu", "-mg 1", "1"),
        ("main_gpu", "-mg -1", ANYTHING),
        ("main_gpu", "-mg 1x", 1),
        ("kv_placement", "-nkvo", "CPU"),
        ("kv_placement", "-kvo", "a device"),
        ("fit_outcome", "-fit on", ANYTHING),
        ("fit_outcome", "-fit off", None),
        ("draft_devices", "-devd CUDA1", ["CUDA1"]),
        ("draft_gpu_layers", "-ngld 0", "0"),
        ("draft_p_min", "--draft-p-min 0.5", 0.5),
        ("draft_cache_type_k", "-ctkd q8_0", "q8_0"),
        ("draft_cache_type_v", "--spec-draft-type-v f16", "f16"),
        ("logit_bias", "-l 70+1", ["70+1"]),
        ("logit_bias", "--logit-bias 70-1.5,71+2", ["70-1.5", "71+2"]),
        ("logit_bias", "-l 70", None),
        ("grammar", "--grammar root::=x", "root::=x"),
        ("stop", "-r STOP", ["STOP"]),
        ("thinking", "--reasoning on", True),
        ("thinking", "--reasoning auto", ANYTHING),
        ("thinking", '--chat-template-kwargs {"enable_thinking":false}', False),
        ("thinking", '--chat-template-kwargs {"enable_thinking":"no"}', None),
        ("template_variables", '--chat-template-kwargs {"preserve_thinking":true}',
         "preserve_thinking=true"),
        ("template_variables", '--chat-template-kwargs {"mine":1}', None),
        ("template_variables", "--chat-template-kwargs {", None),
        ("reasoning_effort", "--reasoning-effort high", "high"),
        ("reasoning_budget", "--reasoning-budget 0", 0),
        ("prefill", "--no-prefill-assistant", False),
        ("verbose", "-v", True),
        ("log_file", "--log-file /var/log/x.log", "x.log"),
        ("threads_http", "--threads-http 3", 3),
        ("threads_http", "--threads-http 0", ANYTHING),
        ("pooling", "--pooling mean", "mean"),
        ("tags", "--tags b,a", ["a", "b"]),
        ("tools", "--agent", "all"),
        ("tools", "--no-agent", ""),
        ("tools", "--tools read_file", "read_file"),
        ("mcp_proxy", "--ui-mcp-proxy", True),
        ("mcp_proxy", "--no-agent", False),
    ],
)  # fmt: skip
def test_what_a_flag_asks_for(name: str, words: str, value: Any) -> None:
    flag, *values = words.split()
    assert wish(name, argument(flag, *values)) == value
    assert type(wish(name, argument(flag, *values))) is type(value)


def test_the_settings_that_ask_for_nothing() -> None:
    silent = {name for name, setting in SETTINGS.items() if not setting.families}
    assert silent == {"context_trained", "aliases", "auth_models", "model_ids"}


@pytest.mark.parametrize(
    ("words", "device"),
    [
        (("-mg 1",), "1"),
        (("-dev CUDA2,CUDA0", "-mg 1"), "CUDA0"),
        (("-mg 0", "-dev CUDA2,CUDA0"), "CUDA2"),
        (("-dev CUDA2", "-mg 5"), "5"),
        (("-dev CUDA2", "-mg -1"), ANYTHING),
    ],
)
def test_the_main_card_is_a_place_in_the_list_of_cards(words: tuple[str, ...], device: str) -> None:
    assert wish("main_gpu", *(argument(*one.split()) for one in words)) == device


def every_word() -> list[Any]:
    """Each setting with each flag and variable of its families."""
    return [
        pytest.param(setting, family, word, id=f"{setting.name}-{word}")
        for setting in SETTINGS.values()
        if isinstance(setting, ValueSetting)
        for family in setting.families
        for word in (
            *family.flags, *family.variables, *family.negations, *family.negating_variables,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("setting", "family", "word"), every_word())
def test_every_spelling_is_read(
    setting: Setting, family: Family, word: str, tmp_path: Path
) -> None:
    (tmp_path / "template").write_text("{{ x }}")
    said = (
        *("1", "mmap", str(tmp_path / "template"), "x=CPU", "70+1"),
        *('{"enable_thinking": true}', '{"clear_thinking": true}'),
    )
    found = next(
        one
        for value in said
        if (one := setting.asked([argument("-y", "2"), argument(word, value), argument("-x")]))
    )
    assert found.argument.flag == word
    if word in {*family.negations, *family.negating_variables}:
        assert found.value in (False, "off", "", "CPU")


SHARED = (
    ["mmap", "direct_io", "mlock", "load_mode"],
    ["fit", "fit_outcome"],
    ["thinking", "template_variables"],
    ["tools", "mcp_proxy"],
)
"""Settings that one word sets together."""


@pytest.mark.parametrize("build", [ANCIENT, "b8929", "b9246", NEWEST])
def test_no_other_word_of_a_build_is_of_two_settings(build: str) -> None:
    for option in capabilities(build).options:
        one = Argument(flag=option.spellings[0], values=("1",), option=option)
        of = [
            name
            for name, setting in SETTINGS.items()
            if any(family.is_set_by(one) for family in setting.families)
        ]
        assert len(of) <= 1 or of in SHARED, option


@pytest.mark.parametrize("value", ["0", "1", "", "off", "false"])
def test_a_negating_variable_negates_whatever_its_value(value: str) -> None:
    variables = read_variables({"LLAMA_ARG_NO_MMAP": value}, capabilities(BEFORE_LOAD_MODE))
    assert wish("mmap", *variables) is False


@pytest.mark.parametrize(
    ("value", "on"),
    [("1", True), ("true", True), ("ON", True), ("enabled", True), ("0", False), ("False", False),
     ("off", False), ("disabled", False), ("2", None), ("yes", None)],
)  # fmt: skip
def test_the_words_of_a_switch(value: str, on: bool | None) -> None:
    assert wish("metrics", argument("LLAMA_ARG_ENDPOINT_METRICS", value)) is on


def test_underscores_and_the_other_spellings_of_an_option_are_the_same_flag() -> None:
    (read,) = read_arguments(["--ctx_size", "64"], capabilities(NEWEST))
    assert wish("context", read) == 64
    (read,) = read_arguments(["--swa-checkpoints", "7"], capabilities("b9246"))
    assert wish("context_checkpoints", read) == 7


TOGETHER = {"lora", "tensor_overrides", "logit_bias", "stop", "dry_sequence_breakers"}
"""Settings whose arguments add up."""


@pytest.mark.parametrize(
    "name",
    [
        one.name
        for one in SETTINGS.values()
        if isinstance(one, ValueSetting) and one.families and one.name not in TOGETHER
    ],
)
def test_the_last_of_several_counts(name: str) -> None:
    flag = SETTINGS[name].families[0].flags[0]
    first, last = argument(flag, "1"), argument(flag, "2")
    one, other = SETTINGS[name].asked([first, argument("--else", "3"), last]), wish(name, last)
    assert one is None or (one.argument is last and one.value == other)
    one, other = SETTINGS[name].asked([last, first]), wish(name, first)
    assert one is None or (one.argument is first and one.value == other)


def test_arguments_that_add_up() -> None:
    assert {
        one.name for one in SETTINGS.values() if isinstance(one, ValueSetting) and one.adds_up
    } == TOGETHER
    assert wish("stop", argument("-r", "a"), argument("--x"), argument("-r", "b")) == ["a", "b"]
    assert wish("logit_bias", argument("-l", "1+1"), argument("-l", "2-1")) == ["1+1", "2-1"]
    assert wish("logit_bias", argument("-l", "1+1"), argument("-l", "many")) is None
    found = SETTINGS["stop"].asked([argument("-r", "a"), argument("-r", "b")])
    assert found.argument == argument("-r", "b")


def test_a_last_one_that_cannot_be_told_hides_what_stands_before() -> None:
    assert wish("context", argument("-c", "512"), argument("-c", "many")) is None


def test_a_command_line_by_setting() -> None:
    words = ["-c", "512", "--spec-type", "ngram-mod", "--no-mmap", "--nothing", "-c", "1024"]
    found = asked(read_arguments(words, capabilities("b9246")))
    assert set(found) == {"context", "mmap", SPECULATION}
    assert (wish("context", *read_arguments(words, capabilities("b9246")))) == 1024
    speculation: Any = found[SPECULATION]
    assert speculation.implementations == {"ngram-mod": ExpectedDraft()}
    assert not speculation.exactly
    assert asked(()) == {}


def test_a_template_that_is_written_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "template.jinja"
    path.write_text("{{x}}\n", encoding="utf-8")
    assert wish("template", argument("--chat-template-file", str(path))) == "fd805e2acba5"
    assert wish("template", argument("--chat-template-file", str(tmp_path / "none"))) is None
    path.write_bytes(b"\xff\xfe{")
    assert wish("template", argument("--chat-template-file", str(path))) is None


def compare(name: str, words: str, seen: Any, **state: Any) -> tuple[bool, str]:
    """Whether what is asked is granted, and what is said of it."""
    flag, *values = words.split()
    setting = SETTINGS[name]
    demand = setting.asked([argument(flag, *values)])
    (check,) = setting.compare(demand, {name: seen, **state}, ())
    assert check.argument in {flag, *values}
    return check.ok, check.observed


@pytest.mark.parametrize(
    ("name", "words", "seen", "state", "ok"),
    [
        ("context", "-c 512", 512, {}, True),
        ("context", "-c 500", 512, {}, True),
        ("context", "-c 500", 756, {}, False),
        ("context", "-c 512", 511, {}, False),
        ("context", "-c 8192", 8448, {"slots": 3}, True),
        ("context", "-c 8192", 8960, {"slots": 3}, False),
        ("context", "-c 0", 7, {}, True),
        ("batch", "-b 2048", 512, {"context": 512}, True),
        ("batch", "-b 2048", 256, {"context": 512}, False),
        ("batch", "-b 2048", 512, {}, False),
        ("ubatch", "-ub 512", 128, {"batch": 128}, True),
        ("ubatch", "-ub 64", 128, {"batch": 128}, False),
        ("threads", "-t -1", 8, {}, True),
        ("threads", "-t 4", 8, {}, False),
        ("model_id", "--alias one,two", "one", {}, True),
        ("model_id", "--alias one,two", "one,two", {}, True),
        ("model_id", "--alias one", "two", {}, False),
        ("template", "--chat-template chatml", "0123", {}, True),
        ("template", "--chat-template chatml", "built-in chatml", {}, True),
        ("template", "--chat-template chatml", "built-in llama2", {}, False),
        ("template", "--chat-template mine", "3fd30542fe3f", {}, False),
        ("template", "--chat-template {{x}}", "fd805e2acba5", {}, True),
        ("template", "--chat-template {{x}}", "0123", {}, False),
        ("temperature", "--temp 0.1", 0.1, {}, True),
        ("temperature", "--temp 0.1", 0.2, {}, False),
        ("seed", "-s -1", 4294967295, {}, True),
        ("samplers", "--samplers top_k", ["top_k"], {}, True),
        ("samplers", "--samplers top_k", ["top_k", "xtc"], {}, False),
        ("auth", "--api-key k", False, {}, False),
        ("flash_attention", "-fa auto", "off", {}, True),
        ("slots", "-np 2", 4, {}, False),
        ("slots", "-np -1", 4, {}, True),
        ("slot_similarity", "-sps 0.2504", 0.25, {}, True),
        ("slot_similarity", "-sps 0.26", 0.25, {}, False),
        ("tensor_overrides", "-ot up_exps=CPU", ["blk.0.ffn_up_exps.weight=CPU"], {}, True),
        ("tensor_overrides", "-ot up_exps=GPU", ["blk.0.ffn_up_exps.weight=CPU"], {}, False),
        ("tensor_overrides", "-ot norm=CPU", ["blk.0.ffn_up_exps.weight=CPU"], {}, False),
        ("experts_on_cpu", "--n-cpu-moe 40", "all", {}, True),
        ("experts_on_cpu", "--n-cpu-moe 1", "all", {}, False),
        ("experts_on_cpu", "--cpu-moe", 1, {}, False),
        ("template_variables", '--chat-template-kwargs {"clear_thinking":true}',
         ["enable_thinking=true", "clear_thinking=true"], {}, True),
        ("template_variables", '--chat-template-kwargs {"clear_thinking":true}',
         ["clear_thinking=false"], {}, False),
        ("tools", "--agent", ["read_file"], {}, True),
        ("tools", "--agent", [], {}, False),
        ("tools", "--tools write_file,read_file", ["read_file", "write_file"], {}, True),
        ("tools", "--tools read_file", [], {}, False),
        ("grammar", "--json-schema {}", "root ::= x", {}, True),
        ("grammar", "--json-schema {}", "", {}, False),
        ("grammar", "--grammar root", "root", {}, True),
    ],
)  # fmt: skip
def test_what_is_granted(name: str, words: str, seen: Any, state: Any, ok: bool) -> None:
    assert compare(name, words, seen, **state)[0] is ok


@pytest.mark.parametrize(
    ("name", "words", "seen", "said"),
    [
        ("context", "-c 8k", 256, "-c 8k is read as 8, and context is 256"),
        ("temperature", "--temp 0,7", 0.0, "--temp 0,7 is read as 0, and temperature is 0"),
        ("top_k", "--top-k 4x", 4, "--top-k 4x is read as 4, and top_k is 4"),
        ("slots", "-np 2x", 2, "-np 2x is read as 2, and slots is 2"),
        ("batch", "-b 1e3", 1, "-b 1e3 is read as 1, and batch is 1"),
        ("batch", "-b 1_000", 1, "-b 1_000 is read as 1, and batch is 1"),
        ("seed", "-s 42.5", 42, "-s 42.5 is read as 42, and seed is 42"),
    ],
)
def test_a_number_that_is_cut_short_is_told_though_the_build_takes_it(
    name: str, words: str, seen: Any, said: str
) -> None:
    assert compare(name, words, seen) == (False, said)


def test_what_is_said_of_what_is_not_granted() -> None:
    ok, said = compare("kv_unified", "-kvu", False)
    assert (ok, said) == (False, "-kvu asks for kv_unified on, and it is off")
    ok, said = compare("samplers", "--samplers temp", ["top_k", "xtc"])
    assert said == "--samplers temp asks for samplers temperature, and it is top_k;xtc"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "on"), (False, "off"), ([], "none"), (("a", "b"), "a;b"), (0.1, "0.1"), (1e6, "1e+06"),
     (7, "7"), ("f16", "f16"), (2.0, "2"), (["\n", "é"], "\\n;é"), ("a\tb", "a\\tb")],
)  # fmt: skip
def test_a_value_in_a_report(value: Any, text: str) -> None:
    assert spoken(value) == text


def test_single_precision_is_the_same_number() -> None:
    assert same(0.8, 0.800000011920929)
    assert not same(0.8, 0.8001)
    assert same(1, 1.0)
    assert same([0], [0])
    assert not same("on", "off")


@given(st.integers(-(10**9), 10**9), st.text(alphabet="kKmMx,.e ", max_size=4))
def test_builds_read_the_number_that_a_value_begins_with(number: int, rest: str) -> None:
    assert wish("top_k", argument("--top-k", f"{number}{rest}")) == number
