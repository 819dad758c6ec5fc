"""Context: tokens in all and in one slot, what stretches it, and what happens at its end."""

from typing import Final

from harness.flags.families import CONTEXT_SHIFT, Family
from harness.model import Basis
from harness.settings.base import EffectiveState
from harness.settings.observation import ROOM_LEFT, Observation
from harness.settings.value import (
    Reading,
    ValueSetting,
    from_properties,
    logged,
    nothing,
    number,
    positive,
    switch,
)

_CONTEXT: Final = Family(flags=("--ctx-size", "-c"), variables=("LLAMA_ARG_CTX_SIZE",))
_FREQ_BASE: Final = Family(flags=("--rope-freq-base",), variables=("LLAMA_ARG_ROPE_FREQ_BASE",))
_FREQ_SCALE: Final = Family(flags=("--rope-freq-scale",), variables=("LLAMA_ARG_ROPE_FREQ_SCALE",))
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


def _holds(asked: int, seen: int, state: EffectiveState) -> bool:
    slots: int = state.get("slots", 1)
    return asked <= seen < asked + _ROUNDED_TO * slots


SETTINGS: Final = (
    ValueSetting(
        name="context",
        families=(_CONTEXT,),
        asks=positive,
        readings=(logged(r"llama_context: n_ctx +=\s+(\d+)", int),),
        grants=_holds,
    ),
    ValueSetting(
        name="context_per_slot",
        families=(),
        follows=(_CONTEXT,),
        asks=nothing,
        readings=(
            Reading(witness="slots", read=_slot),
            from_properties("default_generation_settings", "n_ctx"),
            Reading(
                witness="refusal",
                read=lambda seen: seen.probed.limit if seen.probed else None,
                basis=Basis.BEHAVIOUR,
            ),
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
        name="rope_freq_base",
        families=(_FREQ_BASE,),
        asks=number,
        readings=(logged(r"llama_context: freq_base +=\s+([\d.]+)", float),),
    ),
    ValueSetting(
        name="rope_freq_scale",
        families=(_FREQ_SCALE,),
        asks=number,
        readings=(logged(r"llama_context: freq_scale +=\s+([\d.e+-]+)", float),),
    ),
)
