"""Cache: the types of the KV cache, flash attention, and what is kept of earlier prompts."""

from typing import Final

from harness.flags.arguments import Argument
from harness.flags.families import FLASH, Family
from harness.model import Basis
from harness.settings.observation import Observation
from harness.settings.said import LinePattern
from harness.settings.value import (
    ANYTHING,
    Reading,
    ValueSetting,
    at,
    integer,
    logged,
    switch,
    tried_log,
    word,
)

_TYPE_K: Final = Family(flags=("--cache-type-k", "-ctk"), variables=("LLAMA_ARG_CACHE_TYPE_K",))
_TYPE_V: Final = Family(flags=("--cache-type-v", "-ctv"), variables=("LLAMA_ARG_CACHE_TYPE_V",))
_PROMPTS: Final = Family(flags=("--cache-ram", "-cram"), variables=("LLAMA_ARG_CACHE_RAM",))
_CHECKPOINTS: Final = Family(
    flags=("--ctx-checkpoints", "-ctxcp", "--swa-checkpoints"),
    variables=("LLAMA_ARG_CTX_CHECKPOINTS", "LLAMA_ARG_SWA_CHECKPOINTS"),
)
_SPACING: Final = Family(
    flags=("--checkpoint-min-step", "-cms"), variables=("LLAMA_ARG_CHECKPOINT_MIN_SPACING_NT",)
)
_REUSE: Final = Family(flags=("--cache-reuse",), variables=("LLAMA_ARG_CACHE_REUSE",))
_CACHED: Final = Family(
    flags=("--cache-prompt",),
    variables=("LLAMA_ARG_CACHE_PROMPT",),
    negations=("--no-cache-prompt",),
    negating_variables=("LLAMA_ARG_NO_CACHE_PROMPT",),
)
_ASKED_OF_FLASH: Final = LinePattern(r"llama_(?:context|init_from_model): flash_attn +=\s+(\w+)")
_RESOLVED_FLASH: Final = LinePattern(r"Flash Attention (?:was auto, set to )?(enabled|disabled)")
_KNOWS_ITS_SLOT_SINCE: Final = 7716
"""The first build that can be told to cache no prompts; before, that a prompt is read again may be
for the slot that it is given to (b8018 is seen to give it to the slot that knows it)."""
_NO_PROMPTS: Final = LinePattern(r"prompt cache is disabled")
_ON_OFF: Final = {"1": "on", "enabled": "on", "0": "off", "disabled": "off"}
_PROMPT_CACHE: Final = LinePattern(r"prompt cache is enabled, size limit: (\d+|no limit)")
_UNLIMITED: Final = -1
_PROMPT_CACHE_SINCE: Final = 6723


def _asks_flash(argument: Argument) -> str | None:
    """``on`` or ``off``; a bare switch before Sep 2025."""
    if argument.value == "auto":
        return ANYTHING
    return {True: "on", False: "off", None: None}[switch(FLASH)(argument)]


def _flash(observation: Observation) -> str | None:
    asked = observation.main.last(_ASKED_OF_FLASH)
    if asked is not None and asked[1] in _ON_OFF:
        return _ON_OFF[asked[1]]
    resolved = observation.main.last(_RESOLVED_FLASH)
    return None if resolved is None else _ON_OFF[resolved[1]]


def _prompt_cache(observation: Observation) -> int | None:
    """MiB; 0 where there is none, -1 where it has no limit."""
    if observation.startup.last(_NO_PROMPTS):
        return 0
    limit = observation.startup.last(_PROMPT_CACHE)
    if limit is None:
        older = (observation.build_number or _PROMPT_CACHE_SINCE) < _PROMPT_CACHE_SINCE
        return 0 if older and observation.main.text else None
    return int(limit[1]) if limit[1].isdecimal() else _UNLIMITED


def _cached(observation: Observation) -> bool | None:
    """Whether it read less of a prompt that it knew than at the first time."""
    first = at(observation.completion, "timings", "prompt_n")
    again = observation.probed.read_again if observation.probed else None
    if not isinstance(first, int) or again is None:
        return None
    number = 0 if observation.fork else observation.build_number or 0
    knows_its_slot = number >= _KNOWS_ITS_SLOT_SINCE
    return again < first or (False if knows_its_slot else None)


SETTINGS: Final = (
    ValueSetting(
        name="cache_type_k",
        families=(_TYPE_K,),
        asks=word,
        readings=(logged(r"\bK \((\w+)\)"),),
    ),
    ValueSetting(
        name="cache_type_v",
        families=(_TYPE_V,),
        asks=word,
        readings=(logged(r"\bV \((\w+)\)"),),
    ),
    ValueSetting(
        name="flash_attention",
        families=(FLASH,),
        asks=_asks_flash,
        readings=(Reading(witness="startup-log", read=_flash),),
    ),
    ValueSetting(
        name="prompt_cache",
        families=(_PROMPTS,),
        asks=integer,
        readings=(Reading(witness="startup-log", read=_prompt_cache),),
    ),
    ValueSetting(
        name="context_checkpoints",
        families=(_CHECKPOINTS,),
        asks=integer,
        readings=(logged(r"context checkpoints enabled, max = (\d+)", int, main=False),),
    ),
    ValueSetting(
        name="checkpoint_spacing",
        families=(_SPACING,),
        asks=integer,
        readings=(logged(r"context checkpoints enabled, .*min spacing = (\d+)", int, main=False),),
    ),
    ValueSetting(
        name="prompts_cached",
        families=(_CACHED,),
        asks=switch(_CACHED),
        readings=(Reading(witness="request", read=_cached, basis=Basis.BEHAVIOUR),),
    ),
    ValueSetting(
        name="cache_reuse",
        families=(_REUSE,),
        asks=integer,
        readings=(tried_log(r"trying to reuse chunks with size > (\d+)", int),),
    ),
)
