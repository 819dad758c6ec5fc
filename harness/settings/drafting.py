"""Drafting: how short and how sure a draft may be, and the cache of the model that drafts."""

from typing import Any, Final

from harness.flags.families import (
    DRAFT_MIN,
    DRAFT_P_MIN,
    NGRAM_MOD_MATCH,
    NGRAM_MOD_MIN,
    Family,
)
from harness.settings.observation import Observation
from harness.settings.said import LinePattern
from harness.settings.value import (
    Reading,
    ValueSetting,
    at,
    integer,
    logged,
    number,
    word,
)

_TYPE_K: Final = Family(
    flags=("--spec-draft-type-k", "--cache-type-k-draft", "-ctkd"),
    variables=("LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_K", "LLAMA_ARG_CACHE_TYPE_K_DRAFT"),
)
_TYPE_V: Final = Family(
    flags=("--spec-draft-type-v", "--cache-type-v-draft", "-ctvd"),
    variables=("LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_V", "LLAMA_ARG_CACHE_TYPE_V_DRAFT"),
)


def _of_the_draft(pattern: str) -> Reading:
    """A witness: what the log says after it has said all of the model itself."""
    of_line = LinePattern(pattern)

    def read(observation: Observation) -> Any:
        found = observation.rest.last(of_line)
        return None if found is None else found[1]

    return Reading(witness="startup-log", read=read)


def _answered(key: str) -> Reading:
    """A witness up to b8929."""
    return Reading(
        witness="completion",
        read=lambda seen: at(seen.completion, "generation_settings", key),
    )


SETTINGS: Final = (
    ValueSetting(
        name="draft_min",
        families=(DRAFT_MIN,),
        asks=integer,
        readings=(
            _answered("speculative.n_min"),
            logged(r"n_max=\d+, n_min=(\d+), p_min", int, main=False),
        ),
    ),
    ValueSetting(
        name="draft_p_min",
        families=(DRAFT_P_MIN,),
        asks=number,
        readings=(
            _answered("speculative.p_min"),
            logged(r"n_max=\d+, n_min=\d+, p_min=([\d.]+)", float, main=False),
        ),
    ),
    ValueSetting(
        name="draft_cache_type_k",
        families=(_TYPE_K,),
        asks=word,
        readings=(_of_the_draft(r"\bK \((\w+)\)"),),
    ),
    ValueSetting(
        name="draft_cache_type_v",
        families=(_TYPE_V,),
        asks=word,
        readings=(_of_the_draft(r"\bV \((\w+)\)"),),
    ),
    ValueSetting(
        name="ngram_match",
        families=(NGRAM_MOD_MATCH,),
        asks=integer,
        readings=(logged(r"initialized ngram_mod with n=(\d+)|n_match=(\d+)", int, main=False),),
    ),
    ValueSetting(
        name="ngram_min",
        families=(NGRAM_MOD_MIN,),
        asks=integer,
        readings=(logged(r"n_match=\d+, n_max=\d+, n_min=(\d+)", int, main=False),),
    ),
)
