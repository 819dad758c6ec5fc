"""Batches: tokens that are handed over together, and those that are computed together."""

from typing import Final

from harness.flags.families import Family
from harness.settings.base import EffectiveState
from harness.settings.value import ValueSetting, integer, of_context

_BATCH: Final = Family(flags=("--batch-size", "-b"), variables=("LLAMA_ARG_BATCH",))
_UBATCH: Final = Family(flags=("--ubatch-size", "-ub"), variables=("LLAMA_ARG_UBATCH",))


def _within_context(asked: int, seen: int, state: EffectiveState) -> bool:
    """A batch is never larger than the context."""
    context: int = state.get("context", asked)
    return seen == min(asked, context)


def _within_batch(asked: int, seen: int, state: EffectiveState) -> bool:
    batch: int = state.get("batch", asked)
    return seen == min(asked, batch)


SETTINGS: Final = (
    ValueSetting(
        name="batch",
        families=(_BATCH,),
        asks=integer,
        readings=(of_context("n_batch", int),),
        grants=_within_context,
    ),
    ValueSetting(
        name="ubatch",
        families=(_UBATCH,),
        asks=integer,
        readings=(of_context("n_ubatch", int),),
        grants=_within_batch,
    ),
)
