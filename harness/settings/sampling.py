"""Sampling: what a request inherits that says nothing of it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.flags.arguments import Argument
from harness.flags.families import Family
from harness.model import Basis
from harness.settings.base import EffectiveState
from harness.settings.observation import Observation, Probed
from harness.settings.value import (
    ANYTHING,
    Reading,
    ValueSetting,
    at,
    integer,
    number,
    probed,
    switch,
)

_LIMIT_SHOWN_SINCE: Final = 8929
"""Of the catalogue's builds the first whose answers show it."""
_LETTERS: Final = {
    "d": "dry", "k": "top_k", "y": "typ_p", "p": "top_p", "s": "top_n_sigma", "m": "min_p",
    "t": "temperature", "x": "xtc", "i": "infill", "e": "penalties", "a": "adaptive_p",
}  # fmt: skip
_NAMES: Final = {
    "typical_p": "typ_p",
    "typical": "typ_p",
    "temp": "temperature",
    "nucleus": "top_p",
}
_SAMPLERS: Final = Family(flags=("--samplers",), variables=("LLAMA_ARG_SAMPLERS",))
_SEQUENCE: Final = Family(flags=("--sampling-seq", "--sampler-seq"))
_N_PREDICT: Final = Family(
    flags=("--predict", "--n-predict", "-n"), variables=("LLAMA_ARG_N_PREDICT",)
)
_SEED: Final = Family(flags=("--seed", "-s"))
_RANDOM_SEED: Final = 2**32 - 1
_NO_LIMIT: Final = -1
_LIMIT_SINCE: Final = 8929
"""Of the catalogue's builds the first whose answers tell the command line's limit."""
_IGNORE_EOS: Final = Family(flags=("--ignore-eos",))
_BACKEND: Final = Family(
    flags=("--backend-sampling", "-bs"), variables=("LLAMA_ARG_BACKEND_SAMPLING",)
)
_GRAMMAR: Final = Family(flags=("--grammar",))
_GRAMMAR_FILE: Final = Family(flags=("--grammar-file",))
_SCHEMA: Final = Family(flags=("--json-schema", "-j", "--json-schema-file", "-jf"))
_SOME_GRAMMAR: Final = "some grammar"
_BIAS: Final = re.compile(r"(\d+)([+-][\d.]+)")


def _inherited(key: str) -> tuple[Reading, ...]:
    """Witnesses: ``/props``, and the answer to a request that says nothing of it."""

    def answered(observation: Observation) -> Any:
        return at(observation.probed.defaults, key) if observation.probed else None

    return (
        Reading(
            witness="props",
            read=lambda seen: at(seen.properties, "default_generation_settings", "params", key),
        ),
        Reading(witness="request", read=answered, basis=Basis.BEHAVIOUR),
    )


def _asks_samplers(argument: Argument) -> list[str] | None:
    if _SEQUENCE.is_set_by(argument):
        return [_LETTERS.get(letter, letter) for letter in argument.value]
    words = [word.strip().lower().replace("-", "_") for word in argument.value.split(";")]
    return [_NAMES.get(word, word) for word in words if word]


def _setting(
    name: str,
    flags: tuple[str, ...],
    asks: Callable[[Argument], Any] = number,
    variables: tuple[str, ...] = (),
) -> ValueSetting:
    return ValueSetting(
        name=name,
        families=(Family(flags=flags, variables=variables),),
        asks=asks,
        readings=_inherited(name),
    )


def _asks_last(argument: Argument) -> int | str | None:
    """Tokens; those of the context where there are fewer than none."""
    count = integer(argument)
    return ANYTHING if count is not None and count < 0 else count


def _asks_seed(argument: Argument) -> int | str | None:
    seed = integer(argument)
    return ANYTHING if seed is not None and seed % (_RANDOM_SEED + 1) == _RANDOM_SEED else seed


def _samplers(reading: Reading) -> Reading:
    def read(observation: Observation) -> list[str] | None:
        told = reading.read(observation)
        named = isinstance(told, list)
        return [_NAMES.get(str(name), str(name)) for name in told if name] if named else None

    return replace(reading, read=read)


def _asks_biases(argument: Argument) -> list[str] | None:
    """Token and bias of each; a comma separates them since 2026."""
    found = [_BIAS.fullmatch(word.strip()) for word in argument.value.split(",")]
    return [_bias(int(one[1]), float(one[2])) for one in found if one] if all(found) else None


def _bias(token: object, bias: object) -> str:
    return f"{token}{bias:+g}" if isinstance(bias, int | float) else f"{token}-inf"


def _biases(tried: Probed) -> list[str] | None:
    """Without those that stand for ``--ignore-eos``."""
    entries = tried.defaults.get("logit_bias")
    if not isinstance(entries, list):
        return None
    told = [one for one in entries if isinstance(one, Mapping) and one.get("bias") is not None]
    return [_bias(one.get("token"), one["bias"]) for one in told]


def _asks_grammar(argument: Argument) -> str | None:
    """The text of a grammar; some grammar where it is made from a schema."""
    if _SCHEMA.is_set_by(argument):
        return _SOME_GRAMMAR
    if _GRAMMAR.is_set_by(argument):
        return argument.value or None
    try:
        return Path(argument.value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        return None


def _grants_grammar(asked: str, seen: Any, _: EffectiveState) -> bool:
    return bool(seen) if asked == _SOME_GRAMMAR else asked.strip() == str(seen).strip()


def _limit(observation: Observation) -> Any:
    """Older builds say that there is no limit where they keep to the command line's."""
    limit = observation.probed.defaults.get("n_predict") if observation.probed else None
    tells = (observation.build_number or 0) >= _LIMIT_SINCE
    return limit if tells or limit != _NO_LIMIT else None


def _stops(observation: Observation) -> list[str] | None:
    stops = at(observation.completion, "generation_settings", "stop")
    return stops if isinstance(stops, list) else None


def _where_told(reading: Reading) -> Reading:
    """A reading of ``n_predict``: older builds keep to a limit that their answers do not show."""

    def read(observation: Observation) -> Any:
        told = reading.read(observation)
        hidden = told == -1 and (observation.build_number or 0) < _LIMIT_SHOWN_SINCE
        return None if hidden else told

    return replace(reading, read=read)


SETTINGS: Final = (
    _setting("temperature", ("--temp", "--temperature"), variables=("LLAMA_ARG_TEMPERATURE",)),
    _setting("top_k", ("--top-k",), integer, variables=("LLAMA_ARG_TOP_K",)),
    _setting("top_p", ("--top-p",), variables=("LLAMA_ARG_TOP_P",)),
    _setting("min_p", ("--min-p",), variables=("LLAMA_ARG_MIN_P",)),
    _setting("top_n_sigma", ("--top-nsigma", "--top-n-sigma")),
    _setting("xtc_probability", ("--xtc-probability",)),
    _setting("xtc_threshold", ("--xtc-threshold",)),
    _setting("typical_p", ("--typical", "--typical-p")),
    _setting("repeat_last_n", ("--repeat-last-n",), _asks_last),
    _setting("repeat_penalty", ("--repeat-penalty",), variables=("LLAMA_ARG_REPEAT_PENALTY",)),
    _setting(
        "presence_penalty", ("--presence-penalty",), variables=("LLAMA_ARG_PRESENCE_PENALTY",)
    ),
    _setting(
        "frequency_penalty", ("--frequency-penalty",), variables=("LLAMA_ARG_FREQUENCY_PENALTY",)
    ),
    _setting("dry_multiplier", ("--dry-multiplier",)),
    _setting("dry_base", ("--dry-base",)),
    _setting("dry_allowed_length", ("--dry-allowed-length",), integer),
    _setting("dry_penalty_last_n", ("--dry-penalty-last-n",), _asks_last),
    ValueSetting(
        name="dry_sequence_breakers",
        families=(Family(flags=("--dry-sequence-breaker",)),),
        asks=lambda argument: [] if argument.value == "none" else [argument.value],
        adds_up=True,
        readings=_inherited("dry_sequence_breakers"),
    ),
    _setting("adaptive_target", ("--adaptive-target",)),
    _setting("adaptive_decay", ("--adaptive-decay",)),
    _setting("dynatemp_range", ("--dynatemp-range",)),
    _setting("dynatemp_exponent", ("--dynatemp-exp",)),
    _setting("mirostat", ("--mirostat",), integer),
    _setting("mirostat_tau", ("--mirostat-ent",)),
    _setting("mirostat_eta", ("--mirostat-lr",)),
    ValueSetting(
        name="samplers",
        families=(_SAMPLERS, _SEQUENCE),
        asks=_asks_samplers,
        readings=tuple(map(_samplers, _inherited("samplers"))),
    ),
    ValueSetting(name="seed", families=(_SEED,), asks=_asks_seed, readings=_inherited("seed")),
    ValueSetting(
        name="n_predict",
        families=(_N_PREDICT,),
        asks=integer,
        readings=(
            Reading(witness="request", read=_limit, basis=Basis.BEHAVIOUR),
            probed(lambda tried: tried.limited, "slots"),
        ),
    ),
    ValueSetting(
        name="ignore_eos",
        families=(_IGNORE_EOS,),
        asks=switch(_IGNORE_EOS),
        readings=_inherited("ignore_eos"),
    ),
    ValueSetting(
        name="backend_sampling",
        families=(_BACKEND,),
        asks=switch(_BACKEND),
        readings=_inherited("backend_sampling"),
    ),
    ValueSetting(
        name="logit_bias",
        families=(Family(flags=("--logit-bias", "-l")),),
        asks=_asks_biases,
        adds_up=True,
        readings=(probed(_biases),),
    ),
    ValueSetting(
        name="grammar",
        families=(_GRAMMAR, _GRAMMAR_FILE, _SCHEMA),
        asks=_asks_grammar,
        readings=(probed(lambda tried: tried.defaults.get("grammar")),),
        grants=_grants_grammar,
    ),
    ValueSetting(
        name="stop",
        families=(Family(flags=("--reverse-prompt", "-r")),),
        asks=lambda argument: [argument.value],
        adds_up=True,
        readings=(Reading(witness="completion", read=_stops),),
    ),
)
