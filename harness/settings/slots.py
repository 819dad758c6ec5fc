"""Slots: how many requests are served at a time, and whether they share one context."""

from typing import Final

from harness.flags.families import Family
from harness.settings.value import (
    Reading,
    ValueSetting,
    from_properties,
    logged,
    number,
    of_context,
    positive,
    probed,
    switch,
    tried_log,
)

_SLOTS: Final = Family(flags=("--parallel", "-np"), variables=("LLAMA_ARG_N_PARALLEL",))
_UNIFIED: Final = Family(
    flags=("--kv-unified", "-kvu"),
    variables=("LLAMA_ARG_KV_UNIFIED",),
    negations=("--no-kv-unified", "-no-kvu"),
    negating_variables=("LLAMA_ARG_NO_KV_UNIFIED",),
)
_THOUSANDTH: Final = 1e-3
"""As exactly as the log writes it."""
_SIMILARITY: Final = Family(flags=("--slot-prompt-similarity", "-sps"))
_SAVING: Final = Family(flags=("--slot-save-path",))

SETTINGS: Final = (
    ValueSetting(
        name="slots",
        families=(_SLOTS,),
        asks=positive,
        readings=(
            from_properties("total_slots", kind=int),
            Reading(witness="slots", read=lambda seen: len(seen.slots) or None),
            logged(r"n_slots ?= ?(\d+)", int, main=False),
        ),
    ),
    ValueSetting(
        name="kv_unified",
        families=(_UNIFIED,),
        asks=switch(_UNIFIED),
        readings=(
            of_context("kv_unified", "true".__eq__),
            logged(r"n_slots = \d+, .*kv_unified = '(true|false)'", "true".__eq__, main=False),
        ),
    ),
    ValueSetting(
        name="slot_similarity",
        families=(_SIMILARITY,),
        asks=number,
        readings=(tried_log(r"by LCP similarity, .*\(> ([\d.]+) thold\)", float),),
        grants=lambda asked, seen, _: abs(asked - seen) < _THOUSANDTH,
    ),
    ValueSetting(
        name="slot_saving",
        families=(_SAVING,),
        asks=lambda argument: bool(argument.value),
        readings=(probed(lambda tried: tried.saves_slots),),
    ),
)
