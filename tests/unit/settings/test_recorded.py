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

OWN, WRITTEN_OUT = "cc145ac59732", "21b1d9c74a21"
"""Digests of the tiny model's own template, and of the one that is asked for."""
SAMPLERS: Final = [
    *("penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature")
]
NOT_TOLD: Final = None

DEFAULTS: Final[Mapping[str, Any]] = {
    "context": 8192, "context_per_slot": 8192, "context_trained": 8192, "slots": 4,
    "kv_unified": True, "batch": 2048, "ubatch": 512, "cache_type_k": "f16",
    "cache_type_v": "f16", "flash_attention": "on", "prompt_cache": 8192, "mmap": True,
    "direct_io": False, "mlock": False, "warmup": True, "fit": True,
    "rope_freq_base": 10000.0, "rope_freq_scale": 1.0,
    "temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "top_n_sigma": -1.0,
    "xtc_probability": 0.0, "xtc_threshold": 0.1, "typical_p": 1.0, "repeat_last_n": 64,
    "repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "dry_multiplier": 0.0, "dry_base": 1.75, "dry_allowed_length": 2, "dynatemp_range": 0.0,
    "dynatemp_exponent": 1.0, "mirostat": 0, "mirostat_tau": 5.0, "mirostat_eta": 0.1,
    "samplers": SAMPLERS, "seed": 2**32 - 1, "n_predict": -1, "jinja": True, "template": OWN,
    "reasoning_format": "deepseek", "model": "tiny-llama", "model_id": "tiny-llama.gguf",
    "aliases": [], "host": "127.0.0.1", "auth": False, "auth_models": False, "api_prefix": "",
    "props_endpoint": False, "embeddings": False, "reranking": False, "ui": True,
    "threads": 1, "threads_batch": 1, "context_checkpoints": 32, "verbosity": 4,
}  # fmt: skip
"""What b9464 does when nothing is asked for."""

BEFORE_B9246 = {"context_checkpoints": NOT_TOLD, "verbosity": NOT_TOLD}
SINCE_B10435 = {"load_mode": "mmap", "model_id": "PATH", "aliases": ["PATH"]}
OF_BUILD: Final[Mapping[str, Mapping[str, Any]]] = {
    "py0.3.16": {
        **BEFORE_B9246,
        "context": 4096, "context_per_slot": 4096, "slots": 1, "kv_unified": False,
        "flash_attention": "off", "jinja": False, "reasoning_format": "auto",
        "model_id": "PATH",
        **dict.fromkeys(("prompt_cache", "direct_io", "fit", "n_predict", "aliases", "ui")),
    },
    "b8929": BEFORE_B9246,
    "b9093": BEFORE_B9246,
    "b9246": {"context_checkpoints": NOT_TOLD},
    "b9464": {},
    "b10435": SINCE_B10435,
    "b11434": SINCE_B10435,
    FORK: {
        "slots": 1, "jinja": False, "model_id": "PATH", "repeat_penalty": 1.0,
        "samplers": [
            *("dry", "top_k", "tfs_z", "typ_p", "top_p", "min_p", "xtc", "top_n_sigma"),
            *("temperature", "adaptive_p"),
        ],
        **dict.fromkeys(
            (
                *("context_trained", "kv_unified", "mmap", "direct_io", "warmup", "fit"),
                *("aliases", "host", "ui", "threads", "threads_batch", "context_checkpoints"),
                *("verbosity", "top_n_sigma", "xtc_probability", "xtc_threshold"),
            )
        ),
    },
}  # fmt: skip
"""What differs on a build; None where nothing tells it there."""

CHANGED: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": {},
    "asked": {
        "context": 1024, "context_per_slot": 1024, "slots": 2, "kv_unified": True, "batch": 256,
        "ubatch": 128, "cache_type_k": "q8_0", "cache_type_v": "q8_0", "flash_attention": "on",
        "prompt_cache": 512, "context_checkpoints": 3, "mmap": False, "direct_io": True,
        "load_mode": "dio", "warmup": False, "fit": False, "context_shift": True,
        "rope_freq_base": 20000.0, "rope_freq_scale": 0.5, "template": WRITTEN_OUT, "jinja": True,
        "reasoning_format": "none", "temperature": 0.5, "top_k": 7, "top_p": 0.75, "min_p": 0.25,
        "top_n_sigma": 2.0, "xtc_probability": 0.125, "xtc_threshold": 0.25, "typical_p": 0.875,
        "repeat_last_n": 32, "repeat_penalty": 1.25, "presence_penalty": 0.25,
        "frequency_penalty": 0.5, "dry_multiplier": 0.75, "dry_base": 2.5,
        "dry_allowed_length": 3, "dynatemp_range": 0.375, "dynatemp_exponent": 1.5,
        "mirostat": 2, "mirostat_tau": 4.5, "mirostat_eta": 0.25,
        "samplers": ["top_k", "temperature"], "seed": 42, "n_predict": 17,
    },
    "served": {
        "context": 512, "context_per_slot": 512, "slots": 1, "kv_unified": False, "batch": 512,
        "flash_attention": "off", "prompt_cache": 0, "mlock": True, "context_shift": False,
        "jinja": False, "template": "built-in llama2", "reasoning_format": "deepseek",
        "model_id": "one", "aliases": ["one", "two"], "auth": True, "auth_models": True,
        "api_prefix": "/v", "metrics": True, "slots_endpoint": True, "props_endpoint": True,
        "ui": False, "verbosity": 5,
    },
    "unlimited": {
        "context": 8448, "context_per_slot": 2816, "slots": 3, "kv_unified": False,
        "prompt_cache": -1, "slots_endpoint": False,
    },
    "embedding": {
        "context": 256, "context_per_slot": 256, "slots": 1, "kv_unified": False, "batch": 128,
        "ubatch": 128, "context_shift": False, "embeddings": True,
    },
    "reranking": {
        "context": 256, "context_per_slot": 256, "slots": 1, "kv_unified": False, "batch": 128,
        "ubatch": 128, "context_shift": False, "embeddings": True, "reranking": True,
    },
    "drafting": {
        "context": 512, "context_per_slot": 512, "slots": 1, "kv_unified": False, "batch": 512,
        "cache_type_k": "q8_0", "context_shift": False,
    },
}  # fmt: skip
"""What each command line changes on a build that has all of its flags."""

_WITHOUT_MMAP = {"mmap": False, "load_mode": "mlock"}
_SHIFTS = {"context_shift": True}
_NOT_RERANKING = {**_SHIFTS, "batch": 256, "embeddings": False, "reranking": False}
EXCEPTIONS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("py0.3.16", "asked"): {"context_per_slot": 512, "top_n_sigma": -1.0},
    ("py0.3.16", "served"): {"flash_attention": "on", "model_id": "one,two"},
    ("py0.3.16", "unlimited"): {"context": 8192, "context_per_slot": 2752},
    ("py0.3.16", "embedding"): {**_SHIFTS, "batch": 256},
    ("py0.3.16", "reranking"): _NOT_RERANKING,
    ("py0.3.16", "drafting"): {**_SHIFTS, "flash_attention": "on"},
    ("b10435", "served"): _WITHOUT_MMAP,
    ("b11434", "served"): _WITHOUT_MMAP,
    ("b11434", "unlimited"): {"context": 24576, "context_per_slot": 8192},
    (FORK, "asked"): {
        "slots": 1, "dry_multiplier": 0.0, "dry_base": 1.75, "dry_allowed_length": 2,
    },
    (FORK, "served"): {
        "model_id": "PATH", "auth_models": False, "api_prefix": "", "props_endpoint": False,
    },
    (FORK, "unlimited"): {"context": 8192, "context_per_slot": 8192, "slots": 1},
    (FORK, "embedding"): {**_SHIFTS, "batch": 256},
    (FORK, "reranking"): _NOT_RERANKING,
    (FORK, "drafting"): _SHIFTS,
}  # fmt: skip
"""Where a build has not all of its flags, or does something else with them."""

UNKNOWN: Final = {
    "py0.3.16": {"load_mode", "prompt_cache", "direct_io", "fit", "aliases", "ui"},
    **{build: {"load_mode"} for build in ("b8929", "b9093", "b9246", "b9464")},
    FORK: {"load_mode", "metrics", "slots_endpoint"},
}
"""Settings that a build has not, or of which nothing ever tells there."""


def expected(one: Recording) -> Mapping[str, Any]:
    of_build = OF_BUILD[one.build]
    untold = {name for name, value in of_build.items() if value is None}
    untold |= UNKNOWN.get(one.build, set())
    untold -= {"n_predict"} if one.name == "asked" else set()
    whole = {
        **DEFAULTS,
        **of_build,
        **CHANGED[one.name],
        **EXCEPTIONS.get((one.build, one.name), {}),
    }
    return {name: value for name, value in whole.items() if name not in untold}


every_recording = pytest.mark.parametrize("one", recordings(), ids=str)


@every_recording
def test_what_is_effective(one: Recording) -> None:
    state = {**effective_state(one.observation)}
    drafts = state.pop(SPECULATION).implementations
    assert [*drafts] == (["draft-simple"] if one.name == "drafting" else [])
    assert state == expected(one)


@every_recording
def test_what_is_asked_for_is_found_granted(one: Recording) -> None:
    state = effective_state(one.observation)
    demands = asked(one.arguments)
    assert bool(demands) is (one.name != "plain")
    for name in demands.keys() & state.keys():
        for check in SETTINGS[name].compare(demands[name], state, one.arguments):
            assert check.ok, check


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
            assert check.argument == wish.argument.flag
            assert check.name == "effect"
            assert check.observed.startswith(" ".join(wish.argument.words))


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case list():
            return [*value, "xtc"]
    return f"{value}x"


@every_recording
def test_what_nothing_tells_is_not_seen(one: Recording) -> None:
    state = effective_state(one.observation)
    unseen = not_seen(one.arguments, asked(one.arguments), state)
    told = {flag for setting in SETTINGS.values() if setting.name in state
            for family in setting.families for flag in family.flags + family.negations}  # fmt: skip
    assert set(unseen).isdisjoint(told)
    assert set(unseen) | told >= {argument.flag for argument in one.arguments}


@pytest.mark.parametrize(
    ("build", "name", "unseen"),
    [
        ("py0.3.16", "asked", ("--swa-checkpoints",)),
        ("b8929", "asked", ("--swa-checkpoints",)),
        ("b9464", "asked", ()),
        ("b11434", "asked", ()),
        ("b11434", "served", ()),
        ("py0.3.16", "served", ("--no-webui", "-lv")),
        ("b9093", "served", ("-lv",)),
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


WITNESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "context_per_slot": ("slots", "props", "refusal", "full-prompt"),
    "slots": ("props", "slots", "startup-log"),
    "kv_unified": ("startup-log", "startup-log"),
    "mmap": ("startup-log", "buffers"),
    "mlock": ("locked-memory", "startup-log"),
    "reasoning_format": ("completion", "request"),
    "model_id": ("models", "props"),
    "port": ("request", "startup-log"),
    "props_endpoint": ("request", "props"),
    **dict.fromkeys(
        (
            "temperature", "top_k", "top_p", "min_p", "top_n_sigma", "xtc_probability",
            "xtc_threshold", "typical_p", "repeat_last_n", "repeat_penalty", "presence_penalty",
            "frequency_penalty", "dry_multiplier", "dry_base", "dry_allowed_length",
            "dynatemp_range", "dynatemp_exponent", "mirostat", "mirostat_tau", "mirostat_eta",
            "samplers", "seed",
        ),
        ("props", "request"),
    ),
    "n_predict": ("request",), "jinja": ("request-with-tools",), "template": ("props",),
    "model": ("props",), "aliases": ("models",), "auth": ("request-without-key",),
    "auth_models": ("request-without-key",), "api_prefix": ("request",), "metrics": ("request",),
    "slots_endpoint": ("request",), "embeddings": ("request",), "reranking": ("request",),
    "ui": ("props",), "context_shift": ("full-prompt",),
}  # fmt: skip
"""Who speaks on the newest build; the start-up log alone for every other setting."""


def test_who_speaks_on_the_newest_build() -> None:
    seen = evidence_of(recording("b11434", "served").observation)
    for name, evidence in seen.items():
        if name != SPECULATION:
            speaking = tuple(one.witness for one in evidence if one.speaks)
            assert speaking == WITNESSES.get(name, ("startup-log",)), name


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
        "reasoning_format",
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


@every_recording
def test_supporters_are_those_that_tell_the_value(one: Recording) -> None:
    seen = evidence_of(one.observation)
    for name, value in effective_state(one.observation).items():
        if name == SPECULATION:
            continue
        told = SETTINGS[name].supporters(value, seen[name])
        assert told == {name: tuple(each.witness for each in seen[name] if each.speaks)}
        assert SETTINGS[name].supporters(_other(value), seen[name]) == {name: ()}


@pytest.mark.parametrize("build", UPSTREAM)
def test_a_draft_models_own_context_is_not_the_models(build: str) -> None:
    seen = recording(build, "drafting").observation
    whole, main = (
        [line for line in lines if "K (" in line] for lines in (seen.startup_lines, seen.main_lines)
    )
    assert {"K (q8_0)" in line for line in main} == {True}
    assert main == whole[: len(main)]
    assert "K (f16)" in whole[-1]


def test_every_build_of_the_store_is_recorded() -> None:
    assert {one.build for one in recordings()} == set(BUILDS)
    assert {one.name for one in recordings("b9246")} == set(LINES)
