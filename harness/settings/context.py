"""Context: tokens in all and in one slot, what stretches it, and what happens at its end."""

from typing import Final

from harness.flags.arguments import Argument
from harness.flags.families import CONTEXT_SHIFT, Family
from harness.model import Basis
from harness.settings.base import EffectiveState
from harness.settings.observation import ROOM_LEFT, Observation
from harness.settings.value import (
    Reading,
    ValueSetting,
    at,
    from_properties,
    integer,
    logged,
    nothing,
    number,
    of_context,
    positive,
    probed,
    switch,
)

_CONTEXT: Final = Family(flags=("--ctx-size", "-c"), variables=("LLAMA_ARG_CTX_SIZE",))
_PER_SLOT: Final = Family(
    flags=("--kv-unified-per-slot",), variables=("LLAMA_ARG_KV_UNIFIED_PER_SLOT",)
)
_FREQ_BASE: Final = Family(flags=("--rope-freq-base",), variables=("LLAMA_ARG_ROPE_FREQ_BASE",))
_FREQ_SCALE: Final = Family(flags=("--rope-freq-scale",), variables=("LLAMA_ARG_ROPE_FREQ_SCALE",))
_SCALE: Final = Family(flags=("--rope-scale",), variables=("LLAMA_ARG_ROPE_SCALE",))
"""The same as a frequency scale of one part in so many."""
_KEEP: Final = Family(flags=("--keep",))
_ROUNDED_TO: Final = 256
"""Builds round the context of a slot up to a multiple of this."""


def _slot(observation: Observation) -> int | None:
    tokens = (observation.slot or {}).get("n_ctx")
    return tokens if isinstance(tokens, int) else None


def _full(observation: Observation) -> tuple[int, int] | None:
    return observation.probed.full if observation.probed else None


def _taken(observation: Observation) -> int | None:
    """The context of a slot that read a prompt as long as it says it is."""
    full, slot = _full(observation), _slot(observation)
    if full is None or slot is None:
        return None
    return slot if full[0] == slot - ROOM_LEFT else full[0]


def _shifts(observation: Observation) -> bool | None:
    """Whether it wrote on when its context was full."""
    full = _full(observation)
    return None if full is None or not full[0] else full[1] > ROOM_LEFT


def _asks_scale(argument: Argument) -> float | None:
    scale = number(argument)
    return 1 / scale if scale and _SCALE.is_set_by(argument) else scale


def _holds(asked: int, seen: int, state: EffectiveState) -> bool:
    slots: int = state.get("slots", 1)
    return asked <= seen < asked + _ROUNDED_TO * slots


SETTINGS: Final = (
    ValueSetting(
        name="context",
        families=(_CONTEXT,),
        asks=positive,
        readings=(of_context("n_ctx", int),),
        grants=_holds,
    ),
    ValueSetting(
        name="context_per_slot",
        families=(_PER_SLOT,),
        follows=(_CONTEXT,),
        asks=positive,
        readings=(
            Reading(witness="slots", read=_slot),
            from_properties("default_generation_settings", "n_ctx", kind=int),
            probed(lambda tried: tried.limit, "refusal"),
            Reading(witness="full-prompt", read=_taken, basis=Basis.BEHAVIOUR),
        ),
    ),
    ValueSetting(
        name="context_trained",
        families=(),
        asks=nothing,
        readings=(logged(r"print_info: n_ctx_train +=\s+(\d+)", int),),
    ),
    ValueSetting(
        name="context_shift",
        families=(CONTEXT_SHIFT,),
        asks=switch(CONTEXT_SHIFT),
        readings=(Reading(witness="full-prompt", read=_shifts, basis=Basis.BEHAVIOUR),),
    ),
    ValueSetting(
        name="keep",
        families=(_KEEP,),
        asks=integer,
        readings=(
            Reading(
                witness="completion",
                read=lambda seen: at(seen.completion, "generation_settings", "n_keep"),
            ),
            probed(lambda tried: tried.defaults.get("n_keep")),
        ),
        # All of the prompt is -1, or how many tokens that is.
        grants=lambda asked, seen, _: asked == seen or asked < 0 < seen,
    ),
    ValueSetting(
        name="rope_freq_base",
        families=(_FREQ_BASE,),
        asks=number,
        readings=(of_context("freq_base", float),),
    ),
    ValueSetting(
        name="rope_freq_scale",
        families=(_FREQ_SCALE, _SCALE),
        asks=_asks_scale,
        readings=(of_context("freq_scale", float),),
    ),
)
