"""What real builds of every era showed, setting by setting, against what they were asked for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from harness.flags.arguments import read_arguments
from harness.model import Basis, Evidence
from harness.settings.base import DisagreementError
from harness.settings.state import (
    SETTINGS,
    SPECULATION,
    agree,
    asked,
    effective_state,
    not_seen,
)
from harness.settings.state import testify as evidence_of
from harness.settings.value import ValueSetting, Wish
from tests.unit.era import capabilities
from tests.unit.settings.record import LINES
from tests.unit.settings.recorded import BUILDS, FORK, UPSTREAM, Recording, recording, recordings

OWN, WRITTEN_OUT, THINKING = "cc145ac59732", "21b1d9c74a21", "f2188e82f25f"
"""Digests of the tiny model's own template, the one that is asked for, and that of the experts."""
SAMPLERS: Final = [
    *("penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature")
]
NOT_TOLD: Final = None

DEFAULTS: Final[Mapping[str, Any]] = {
    "context": 8192, "context_per_slot": 8192, "context_trained": 8192, "keep": 0, "slots": 4,
    "kv_unified": True, "slot_similarity": 0.1, "slot_saving": False, "batch": 2048,
    "ubatch": 512, "cache_type_k": "f16", "cache_type_v": "f16", "flash_attention": "on",
    "prompt_cache": 8192, "context_checkpoints": 32, "checkpoint_spacing": 256,
    "prompts_cached": True, "mmap": True, "direct_io": False, "mlock": False, "warmup": True,
    "fit": True, "fit_target": 1024, "lora": [], "multimodal": False,
    "rope_freq_base": 10000.0, "rope_freq_scale": 1.0,
    "temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "top_n_sigma": -1.0,
    "xtc_probability": 0.0, "xtc_threshold": 0.1, "typical_p": 1.0, "repeat_last_n": 64,
    "repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "dry_multiplier": 0.0, "dry_base": 1.75, "dry_allowed_length": 2,
    "dry_sequence_breakers": ["\n", ":", '"', "*"], "dynatemp_range": 0.0,
    "dynatemp_exponent": 1.0, "mirostat": 0, "mirostat_tau": 5.0, "mirostat_eta": 0.1,
    "samplers": SAMPLERS, "seed": 2**32 - 1, "n_predict": -1, "ignore_eos": False,
    "backend_sampling": False, "logit_bias": [], "grammar": "", "stop": [], "jinja": True,
    "template": OWN, "prefill": True, "reasoning_format": "deepseek", "model": "tiny-llama",
    "model_id": "tiny-llama.gguf", "aliases": [], "host": "127.0.0.1", "auth": False,
    "auth_models": False, "api_prefix": "", "props_endpoint": False, "embeddings": False,
    "reranking": False, "ui": True, "threads": 1, "threads_batch": 1, "verbosity": 5,
    "verbose": False, "tags": [], "tools": [], "mcp_proxy": False,
}  # fmt: skip
"""What b9464 does when nothing is asked for."""

BEFORE_B9464: Final = {"context_checkpoints": NOT_TOLD, "checkpoint_spacing": NOT_TOLD}
SINCE_B10435: Final = {
    "load_mode": "mmap", "model_id": "PATH", "aliases": ["PATH"], "checkpoint_spacing": 8192,
    "adaptive_target": -1.0, "adaptive_decay": 0.9, "reasoning_budget": -1,
    "dry_penalty_last_n": 64,
}  # fmt: skip
OF_BUILD: Final[Mapping[str, Mapping[str, Any]]] = {
    "py0.3.16": {
        **BEFORE_B9464,
        "context": 4096, "context_per_slot": 4096, "slots": 1, "kv_unified": False,
        "flash_attention": "off", "jinja": False, "reasoning_format": "auto",
        "model_id": "PATH", "draft_p_min": 0.75, "draft_min": 0, "prompt_cache": 0,
        "verbose": NOT_TOLD,
    },
    "b8929": {**BEFORE_B9464, "draft_p_min": 0.75, "draft_min": 0},
    "b9246": BEFORE_B9464,
    "b9464": {},
    "b10435": SINCE_B10435,
    "b11434": SINCE_B10435,
    FORK: {
        "slots": 1, "jinja": False, "model_id": "PATH", "adaptive_target": -1.0,
        "adaptive_decay": 0.9, "log_file": "llama.log", "verbose": NOT_TOLD,
        "slot_saving": NOT_TOLD, "n_predict": NOT_TOLD,
        "samplers": [
            *("dry", "top_k", "tfs_z", "typ_p", "top_p", "min_p", "xtc", "top_n_sigma"),
            *("temperature", "adaptive_p"),
        ],
    },
}  # fmt: skip
"""What differs on a build; None where nothing tells it there."""

NEVER_TOLD: Final[Mapping[str, frozenset[str]]] = {
    build: frozenset(names.split())
    for build, names in {
        "py0.3.16": "context_checkpoints checkpoint_spacing tools tags slot_similarity fit_target"
        " aliases verbosity direct_io backend_sampling fit mcp_proxy load_mode"
        " adaptive_target adaptive_decay reasoning_budget pooling fit_outcome",
        "b8929": "context_checkpoints checkpoint_spacing mcp_proxy verbosity load_mode"
        " adaptive_target adaptive_decay",
        "b9246": "context_checkpoints load_mode adaptive_target adaptive_decay checkpoint_spacing",
        "b9464": "load_mode adaptive_target adaptive_decay",
        FORK: "threads threads_batch context_checkpoints checkpoint_spacing xtc_probability"
        " xtc_threshold tools tags slot_similarity fit_target aliases host verbosity direct_io"
        " mmap warmup kv_unified context_trained backend_sampling fit mcp_proxy load_mode"
        " top_n_sigma metrics slots_endpoint cache_reuse pooling experts_on_cpu draft_p_min"
        " tensor_overrides reasoning_budget threads_http draft_min ngram_min",
    }.items()
}
"""Settings that a build has not, or of which nothing tells there."""

_OF_A_SMALL_CONTEXT: Final = {
    "context": 512, "context_per_slot": 512, "slots": 1, "kv_unified": False, "batch": 512,
    "context_shift": False,
}  # fmt: skip
_OF_VECTORS: Final = {
    **_OF_A_SMALL_CONTEXT,
    "context": 256, "context_per_slot": 256, "batch": 128, "ubatch": 128, "embeddings": True,
}  # fmt: skip
_EXPERTS: Final = [
    f"blk.{block}.ffn_{part}_exps.weight=CPU" for block in (0, 1) for part in ("down", "gate", "up")
]
CHANGED: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": {},
    "asked": {
        "context": 1024, "context_per_slot": 1024, "slots": 2, "kv_unified": True, "batch": 256,
        "ubatch": 128, "cache_type_k": "q8_0", "cache_type_v": "q8_0", "flash_attention": "on",
        "prompt_cache": 512, "context_checkpoints": 3, "mmap": False, "direct_io": True,
        "load_mode": "dio", "warmup": False, "fit": False, "fit_target": NOT_TOLD,
        "context_shift": True, "rope_freq_base": 20000.0, "rope_freq_scale": 0.5,
        "template": WRITTEN_OUT, "jinja": True, "reasoning_format": "none", "temperature": 0.5,
        "top_k": 7, "top_p": 0.75, "min_p": 0.25, "top_n_sigma": 2.0, "xtc_probability": 0.125,
        "xtc_threshold": 0.25, "typical_p": 0.875, "repeat_last_n": 32, "repeat_penalty": 1.25,
        "presence_penalty": 0.25, "frequency_penalty": 0.5, "dry_multiplier": 0.75,
        "dry_base": 2.5, "dry_allowed_length": 3, "dynatemp_range": 0.375,
        "dynatemp_exponent": 1.5, "mirostat": 2, "mirostat_tau": 4.5, "mirostat_eta": 0.25,
        "samplers": ["top_k", "temperature"], "seed": 42, "n_predict": 17,
    },
    "served": {
        **_OF_A_SMALL_CONTEXT,
        "flash_attention": "off", "prompt_cache": 0, "mlock": True, "mmap": False,
        "load_mode": "mlock", "jinja": False, "template": "built-in llama2", "prefill": False,
        "reasoning_format": "deepseek", "model_id": "one", "aliases": ["one", "two"],
        "auth": True, "auth_models": True, "api_prefix": "/v", "metrics": True,
        "slots_endpoint": True, "props_endpoint": True, "ui": False, "verbosity": 5,
        "verbose": NOT_TOLD,
    },
    "managed": {
        **_OF_A_SMALL_CONTEXT,
        "keep": 5, "slot_similarity": 0.25, "slot_saving": True, "checkpoint_spacing": 64,
        "prompts_cached": False, "verbose": True, "verbosity": 2**31 - 1,
        "log_file": "server.log", "threads_http": 3, "tags": ["a", "b"], "mcp_proxy": True,
        "fit_target": 512, "adaptive_target": 0.25, "adaptive_decay": 0.75, "ignore_eos": True,
        "logit_bias": ["71+1"], "stop": ["STOP"], "dry_penalty_last_n": 33,
        "dry_sequence_breakers": ["x"],
        "tools": [
            *("edit_file", "exec_shell_command", "file_glob_search", "get_info", "grep_search"),
            *("read_file", "write_file"),
        ],
    },
    "chat": {
        **_OF_A_SMALL_CONTEXT,
        "model": "tiny-moe", "template": THINKING, "thinking": True, "jinja": True,
        "template_variables": [
            *("enable_thinking=true", 'reasoning_effort="low"', "preserve_thinking=true"),
            "clear_thinking=false",
        ],
        "reasoning_effort": "low", "reasoning_budget": 7, "prefill": False,
        "grammar": 'root ::= "a"+', "experts_on_cpu": "all", "tensor_overrides": _EXPERTS,
        "verbose": False,
    },
    "experts": {
        **_OF_A_SMALL_CONTEXT,
        "model": "tiny-moe", "template": THINKING, "thinking": False, "context_per_slot": 256,
        "template_variables": [
            *("enable_thinking=false", "preserve_thinking=true", "clear_thinking=false"),
        ],
        "reasoning_effort": "default", "reasoning_budget": -1, "experts_on_cpu": 1,
        "tensor_overrides": [*_EXPERTS[:3], "output_norm.weight=CPU"], "cache_reuse": 16,
        "backend_sampling": True,
    },
    "ngram": {
        **_OF_A_SMALL_CONTEXT, "ngram_match": 20, "ngram_min": 40,
    },
    "unlimited": {
        "context": 8448, "context_per_slot": 2816, "slots": 3, "kv_unified": False,
        "prompt_cache": -1, "slots_endpoint": False,
    },
    "embedding": {**_OF_VECTORS, "pooling": "mean"},
    "reranking": {**_OF_VECTORS, "pooling": "rank", "reranking": True},
    "drafting": {
        **_OF_A_SMALL_CONTEXT, "cache_type_k": "q8_0", "draft_cache_type_k": "q4_0",
        "draft_cache_type_v": "q5_1", "draft_p_min": 0.5, "draft_min": 1,
    },
    "card": {
        **_OF_A_SMALL_CONTEXT,
        "devices": ["CUDA1"], "gpu_layers": "1/2", "main_gpu": "CUDA1",
        "split_mode": "one device", "kv_placement": ["CPU"], "fit_outcome": "nothing changed",
        "tensor_overrides": ["output_norm.weight=CUDA_Host"],
    },
    "cards": {
        **_OF_A_SMALL_CONTEXT,
        "devices": ["CUDA0", "CUDA1"], "gpu_layers": "2/2", "split_mode": "layer",
        "tensor_split": [2, 0], "kv_placement": ["CUDA0"], "fit_outcome": "nothing changed",
        "fit_target": NOT_TOLD, "draft_devices": ["CUDA1"], "draft_gpu_layers": "1/2",
        "draft_cache_type_k": "f16", "draft_cache_type_v": "f16", "draft_p_min": 0.0,
        "draft_min": 0,
    },
}  # fmt: skip
"""What each command line changes on a build that has all of its flags."""

_SHIFTS: Final = {"context_shift": True}
_NOT_RERANKING: Final = {**_SHIFTS, "batch": 256, "embeddings": False, "reranking": False}
_BEFORE_LOAD_MODE: Final = {"mmap": True}
_FIRST_TOOLS: Final = [
    *("apply_diff", "edit_file", "exec_shell_command", "file_glob_search", "grep_search"),
    *("read_file", "write_file"),
]
_NO_BIAS: Final = {"logit_bias": [], "dry_sequence_breakers": DEFAULTS["dry_sequence_breakers"]}
_LINKED_WITHOUT_UI: Final = {"ui": False}
"""Compiled without its UI, b9246 has two defaults, and the order of linking decides."""
_MORE_TOOLS: Final = {"tools": sorted([*_FIRST_TOOLS, "get_datetime"])}
_NO_EFFORT: Final = {
    "template_variables": ["enable_thinking=true", "preserve_thinking=true"],
    "reasoning_effort": "default", "model_id": "tiny-moe.gguf",
}  # fmt: skip
_FEW_VARIABLES: Final = {
    "template_variables": ["enable_thinking=false"], "context_per_slot": 512,
}  # fmt: skip
_WITHOUT_JINJA: Final = {
    "context_per_slot": 512, "template_variables": NOT_TOLD, "reasoning_effort": NOT_TOLD,
    "thinking": NOT_TOLD, **_SHIFTS,
}  # fmt: skip
EXCEPTIONS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("py0.3.16", "asked"): {
        "context_per_slot": 512, "top_n_sigma": -1.0, "prompts_cached": NOT_TOLD, "verbose": False,
        "prompt_cache": 0,
    },
    ("py0.3.16", "served"): {
        **_BEFORE_LOAD_MODE, "flash_attention": "on", "model_id": "one,two", "prefill": True,
    },
    ("py0.3.16", "managed"): {
        **_NO_BIAS, **_SHIFTS, "prompts_cached": True, "verbose": NOT_TOLD,
    },
    ("py0.3.16", "chat"): {**_NO_EFFORT, **_SHIFTS, "model_id": "PATH"},
    ("py0.3.16", "experts"): _WITHOUT_JINJA,
    ("py0.3.16", "unlimited"): {
        "context": 8192, "context_per_slot": 2752, "prompts_cached": NOT_TOLD,
        "n_predict": NOT_TOLD, "prompt_cache": 0,
    },
    ("py0.3.16", "embedding"): {**_SHIFTS, "batch": 256},
    ("py0.3.16", "reranking"): _NOT_RERANKING,
    ("py0.3.16", "drafting"): {**_SHIFTS, "flash_attention": "on", "n_predict": NOT_TOLD},
    ("py0.3.16", "ngram"): {
        **_SHIFTS, "draft_min": 40, "ngram_match": NOT_TOLD, "ngram_min": NOT_TOLD,
    },
    ("py0.3.16", "card"): _SHIFTS,
    ("py0.3.16", "cards"): {**_SHIFTS, "n_predict": NOT_TOLD, "draft_p_min": 0.75},
    ("b8929", "cards"): {"draft_p_min": 0.75},
    ("b9246", "card"): _LINKED_WITHOUT_UI,
    ("b9246", "cards"): {**_LINKED_WITHOUT_UI, "draft_devices": ["CUDA0", "CUDA1"]},
    ("b8929", "ngram"): {"draft_min": 40, "ngram_min": NOT_TOLD},
    ("b8929", "served"): {**_BEFORE_LOAD_MODE, "prefill": True},
    ("b8929", "managed"): {**_NO_BIAS, "tools": _FIRST_TOOLS},
    ("b8929", "chat"): _NO_EFFORT,
    ("b8929", "experts"): {**_FEW_VARIABLES, "model_id": "tiny-moe.gguf"},
    ("b9246", "served"): _BEFORE_LOAD_MODE,
    ("b9246", "managed"): {**_NO_BIAS, **_MORE_TOOLS},
    ("b9246", "chat"): _NO_EFFORT,
    ("b9246", "experts"): {**_FEW_VARIABLES, "model_id": "tiny-moe.gguf"},
    ("b9464", "served"): _BEFORE_LOAD_MODE,
    ("b9464", "managed"): {**_NO_BIAS, **_MORE_TOOLS},
    ("b9464", "chat"): _NO_EFFORT,
    ("b9464", "experts"): {**_FEW_VARIABLES, "model_id": "tiny-moe.gguf"},
    ("b10435", "managed"): {
        "tools": sorted([*CHANGED["managed"]["tools"], "get_datetime"]),
    },
    ("b10435", "chat"): {"template_variables": CHANGED["chat"]["template_variables"][:3]},
    ("b10435", "experts"): _FEW_VARIABLES,
    ("b11434", "unlimited"): {"context": 24576, "context_per_slot": 8192},
    (FORK, "asked"): {
        "slots": 1, "dry_multiplier": 0.0, "dry_base": 1.75, "dry_allowed_length": 2,
        "verbose": False,
    },
    (FORK, "served"): {
        "ui": True,
        "model_id": "PATH", "auth_models": False, "api_prefix": "", "props_endpoint": False,
        "prefill": True,
    },
    (FORK, "managed"): {
        **_NO_BIAS, **_SHIFTS, "keep": 0, "stop": [], "log_file": "server.log.log",
        "adaptive_target": -1.0, "adaptive_decay": 0.9, "prompts_cached": True,
        "verbose": NOT_TOLD, "dry_penalty_last_n": NOT_TOLD,
    },
    (FORK, "chat"): {**_NO_EFFORT, **_SHIFTS, "model_id": "PATH"},
    (FORK, "experts"): _WITHOUT_JINJA,
    (FORK, "unlimited"): {"context": 8192, "context_per_slot": 8192, "slots": 1},
    (FORK, "embedding"): {**_SHIFTS, "batch": 256},
    (FORK, "reranking"): _NOT_RERANKING,
    (FORK, "ngram"): _SHIFTS,
    (FORK, "drafting"): {
        **_SHIFTS, "draft_cache_type_k": "q8_0", "draft_cache_type_v": "f16",
    },
}  # fmt: skip
"""Where a build has not all of its flags, or does something else with them."""

WITHOUT_EFFECT: Final[Mapping[tuple[str, str], set[str]]] = {
    **{
        (build, "managed"): {"logit_bias", "dry_sequence_breakers"}
        for build in ("py0.3.16", "b8929", "b9246", "b9464")
    },
    (FORK, "managed"): {"keep", "stop", "log_file"},
}
"""What a build takes and does not do, seen by hand as well."""

DRAFTING: Final = {"drafting": ["draft-simple"], "cards": ["draft-simple"], "ngram": ["ngram-mod"]}
WITHOUT_NGRAM: Final = "py0.3.16"
OF_THE_HOST: Final = frozenset({"threads_http"})
OF_THE_CONTEXT: Final = frozenset({"dry_penalty_last_n"})
"""As many tokens as the context has, before b10435."""


def expected(one: Recording) -> Mapping[str, Any]:
    whole = {
        **DEFAULTS,
        **OF_BUILD[one.build],
        **CHANGED[one.name],
        **EXCEPTIONS.get((one.build, one.name), {}),
    }
    untold = NEVER_TOLD.get(one.build, frozenset())
    return {
        name: value for name, value in whole.items() if name not in untold and value is not None
    }


every_recording = pytest.mark.parametrize("one", recordings(), ids=str)


@every_recording
def test_what_is_effective(one: Recording) -> None:
    state = {**effective_state(one.observation)}
    drafts = state.pop(SPECULATION).implementations
    known = (one.build, one.name) != (WITHOUT_NGRAM, "ngram")
    assert [*drafts] == (DRAFTING.get(one.name, []) if known else [])
    wanted = expected(one)
    for name in (OF_THE_HOST | OF_THE_CONTEXT) - wanted.keys():
        state.pop(name, None)
    assert state == wanted


@every_recording
def test_what_is_asked_for_is_found_granted(one: Recording) -> None:
    state = effective_state(one.observation)
    demands = asked(one.arguments)
    assert bool(demands) is (one.name != "plain")
    refused = {
        name
        for name in demands.keys() & state.keys()
        for check in SETTINGS[name].compare(demands[name], state, one.arguments)
        if not check.ok
    }
    assert refused == WITHOUT_EFFECT.get((one.build, one.name), set())


@every_recording
def test_another_value_is_found_not_granted_and_its_flag_is_blamed(one: Recording) -> None:
    state = effective_state(one.observation)
    for name, wish in asked(one.arguments).items():
        if isinstance(wish, Wish) and name in state and wish.value != "anything":
            # A batch that is too large is cut, and granted: one too small is not.
            smaller = name in {"batch", "ubatch"}
            other = replace(wish, value=wish.value - 1 if smaller else _other(wish.value))
            (check,) = SETTINGS[name].compare(other, state, one.arguments)
            assert not check.ok, check
            assert check.argument in {wish.argument.flag, wish.argument.value}
            assert check.name == "effect"
            assert check.observed.startswith(" ".join(wish.argument.words))


ELSE: Final = {"CPU": "a device", "a device": "CPU"}


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case [int() | float(), *_]:
            return value[::-1]
        case list():
            return [*value, "xtc"]
    # Any number above that of all layers means all of them.
    return ELSE.get(value, "0" if str(value).isdecimal() else f"{value}x")


@every_recording
def test_what_nothing_tells_is_not_seen(one: Recording) -> None:
    state = effective_state(one.observation)
    demands = asked(one.arguments)
    told = {
        flag
        for name in demands.keys() & state.keys()
        for family in SETTINGS[name].families
        for flag in family.flags + family.negations
    }
    flags = {argument.flag for argument in one.arguments}
    assert set(not_seen(one.arguments, demands, state)) == flags - told


@pytest.mark.parametrize(
    ("build", "name", "unseen"),
    [
        ("py0.3.16", "asked", ("--swa-checkpoints",)),
        ("b8929", "asked", ("--swa-checkpoints",)),
        ("b9464", "asked", ()),
        ("b11434", "asked", ()),
        ("b11434", "served", ()),
        ("py0.3.16", "served", ("-lv",)),
        ("b8929", "served", ("-lv",)),
        (FORK, "plain", ()),
        (FORK, "served", ("--metrics", "-t", "-tb")),
    ],
)  # fmt: skip
def test_what_is_not_seen_is_named_as_it_was_written(
    build: str, name: str, unseen: tuple[str, ...]
) -> None:
    one = recording(build, name)
    assert not_seen(one.arguments, asked(one.arguments), effective_state(one.observation)) == unseen


def test_every_flag_that_a_recording_asks_with_is_of_some_setting() -> None:
    for line in LINES.values():
        argv = [word for words in line for word in words]
        for argument in read_arguments(argv, capabilities("b9464")):
            if argument.option is not None:
                assert any(
                    family.is_set_by(argument)
                    for setting in SETTINGS.values()
                    for family in setting.families
                ), argument.flag


WITNESSES: Final[Mapping[tuple[str, ...], str]] = {
    ("startup-log",): "context context_trained rope_freq_base rope_freq_scale batch ubatch"
    " cache_type_k cache_type_v flash_attention prompt_cache context_checkpoints"
    " checkpoint_spacing direct_io load_mode warmup fit fit_target tensor_overrides"
    " experts_on_cpu host threads threads_batch verbosity threads_http draft_p_min"
    " draft_cache_type_k draft_cache_type_v draft_min ngram_match ngram_min pooling split_mode"
    " main_gpu kv_placement fit_outcome",
    ("startup-log", "startup-log"): "kv_unified",
    ("startup-log", "buffers"): "mmap devices draft_devices",
    ("startup-log", "layers"): "gpu_layers draft_gpu_layers",
    ("layers",): "tensor_split",
    ("startup-log", "template"): "thinking",
    ("slots", "props", "refusal", "full-prompt"): "context_per_slot",
    ("props", "slots", "startup-log"): "slots",
    ("props", "startup-log"): "multimodal",
    ("props", "request"): "temperature top_k top_p min_p top_n_sigma xtc_probability xtc_threshold"
    " typical_p repeat_last_n repeat_penalty presence_penalty frequency_penalty dry_multiplier"
    " dry_base dry_allowed_length dry_penalty_last_n adaptive_target adaptive_decay"
    " dynatemp_range dynatemp_exponent mirostat mirostat_tau mirostat_eta samplers seed ignore_eos"
    " backend_sampling",
    ("props",): "template model ui mcp_proxy",
    ("completion", "request"): "keep reasoning_format",
    ("completion",): "stop",
    ("full-prompt",): "context_shift",
    ("run-log",): "slot_similarity reasoning_budget cache_reuse",
    ("request",): "slot_saving prompts_cached dry_sequence_breakers n_predict logit_bias grammar"
    " api_prefix metrics slots_endpoint embeddings reranking tools",
    ("request", "startup-log"): "port",
    ("request", "props"): "props_endpoint",
    ("request-with-tools",): "jinja verbose",
    ("request-without-key",): "auth auth_models",
    ("locked-memory", "startup-log"): "mlock",
    ("lora-adapters",): "lora",
    ("open-files",): "log_file",
    ("template",): "template_variables reasoning_effort prefill",
    ("models", "props"): "model_id",
    ("models",): "aliases tags",
    (): "model_ids models",
}
"""Who speaks on the newest build; nobody of what only a router has."""


def test_who_speaks_on_the_newest_build() -> None:
    speaking: dict[str, tuple[str, ...]] = {}
    for one in recordings("b11434"):
        for name, evidence in evidence_of(one.observation).items():
            told = tuple(each.witness for each in evidence if each.speaks)
            speaking[name] = max(speaking.get(name, ()), told, key=len)
    del speaking[SPECULATION]
    expected = {name: told for told, names in WITNESSES.items() for name in names.split()}
    assert speaking == expected


@every_recording
def test_a_witness_that_says_nothing_has_no_value_and_one_that_does_is_told(one: Recording) -> None:
    for name, evidence in evidence_of(one.observation).items():
        for each in evidence:
            assert each.setting == name
            if name != SPECULATION:
                assert each.speaks is (each.value is not None)
                assert each.detail == (SETTINGS[name].show(each.value) if each.speaks else "")


def told_twice() -> list[tuple[ValueSetting, tuple[Evidence, ...]]]:
    """Of each setting that has two witnesses of one basis somewhere, what they say there."""
    found: dict[str, tuple[ValueSetting, tuple[Evidence, ...]]] = {}
    for one in recordings():
        for name, evidence in evidence_of(one.observation).items():
            setting = SETTINGS[name]
            for basis in Basis:
                alike = tuple(each for each in evidence if each.speaks and each.basis is basis)
                if isinstance(setting, ValueSetting) and len(alike) > 1:
                    found.setdefault(name, (setting, alike))
    return [*found.values()]


@pytest.mark.parametrize(
    ("setting", "evidence"), told_twice(), ids=lambda one: getattr(one, "name", "evidence")
)
def test_two_witnesses_of_one_basis_that_differ_are_a_disagreement(
    setting: ValueSetting, evidence: tuple[Evidence, ...]
) -> None:
    assert setting.agree(evidence) is not None
    for place, each in enumerate(evidence):
        lie = replace(each, value=_other(each.value))
        with pytest.raises(DisagreementError, match=setting.name):
            setting.agree((*evidence[:place], lie, *evidence[place + 1 :]))


def test_the_settings_with_two_witnesses_of_one_basis() -> None:
    assert {setting.name for setting, _ in told_twice()} == {
        *("context_per_slot", "slots", "kv_unified", "mmap", "mlock", "model_id"),
        *("reasoning_format", "multimodal", "n_predict"),
        *("devices", "gpu_layers", "draft_devices", "draft_gpu_layers"),
    }


@every_recording
def test_behaviour_outranks_what_was_only_read(one: Recording) -> None:
    for name, evidence in evidence_of(one.observation).items():
        bases = {each.basis for each in evidence if each.speaks}
        if name == SPECULATION or len(bases) < 2:
            continue
        setting = SETTINGS[name]
        lied = [
            replace(each, value=_other(each.value)) if each.basis is Basis.SETTINGS else each
            for each in evidence
        ]
        assert setting.agree(lied) == setting.agree(evidence)


def test_a_setting_that_nobody_tells_is_not_in_the_state() -> None:
    silent = {name: tuple(replace(each, speaks=False, value=None) for each in evidence)
              for name, evidence in evidence_of(recording("b9246", "asked").observation).items()
              if name != SPECULATION}  # fmt: skip
    assert agree(silent) == {}


OUTRANKED: Final = {
    *((build, "dry_penalty_last_n", "request") for build in ("b8929", "b9246", "b9464")),
    ("py0.3.16", "dry_sequence_breakers", "request"),
    (FORK, "thinking", "template"),
}
"""What a build says and does not do, and who saw that."""


@every_recording
def test_supporters_are_those_that_tell_the_value(one: Recording) -> None:
    seen = evidence_of(one.observation)
    for name, value in effective_state(one.observation).items():
        if name == SPECULATION:
            continue
        told = SETTINGS[name].supporters(value, seen[name])
        speaking = tuple(each.witness for each in seen[name] if each.speaks)
        if told != {name: speaking}:
            assert (one.build, name, *told[name]) in OUTRANKED
        others = SETTINGS[name].supporters(_other(value), seen[name])
        assert set(others[name]).isdisjoint(told[name])


@pytest.mark.parametrize("build", UPSTREAM)
def test_a_draft_models_own_context_is_not_the_models(build: str) -> None:
    seen = recording(build, "drafting").observation
    whole, main = (
        [line for line in lines if "K (" in line] for lines in (seen.startup_lines, seen.main.lines)
    )
    assert "K (q8_0)" in main[-1]
    assert "K (q4_0)" in whole[-1]


def test_every_build_of_the_store_is_recorded() -> None:
    assert {one.build for one in recordings()} == set(BUILDS)
    assert {one.name for one in recordings("b9246")} == set(LINES)


def test_a_build_that_leaves_the_alias_empty_is_named_by_its_list_of_models() -> None:
    """As b7217 does without ``--alias``."""
    seen = recording("b11434", "plain").observation
    path = (seen.properties or {})["model_path"]
    properties = {**(seen.properties or {}), "model_alias": ""}
    observation = replace(seen, properties=properties, models=({"id": path},))
    assert effective_state(observation)["model_id"] == "PATH"
    assert "model_id" not in effective_state(replace(observation, models=()))


@pytest.mark.parametrize("number", [6332, 8660, 8929])
def test_a_page_that_was_not_compiled_in_says_nothing_of_the_setting(number: int) -> None:
    seen = replace(recording("b8929", "plain").observation, build_number=number)
    assert seen.probed is not None
    assert seen.probed.home == 404
    assert effective_state(seen)["ui"] is True
    properties = {**(seen.properties or {})}
    del properties["webui"]
    assert effective_state(replace(seen, properties=properties))["ui"] is False
