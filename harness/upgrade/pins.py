"""What drifted, pinned to what it was."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Final

from harness.flags import families
from harness.flags.capabilities import Option
from harness.model import CellResult
from harness.settings.state import SETTINGS
from harness.settings.value import ValueSetting
from harness.upgrade.era import Era, Words
from harness.upgrade.proof import Proof, Side
from harness.upgrade.sources import DefaultChange, default_changes
from harness.upgrade.speculation import length_flag
from harness.verdicts.drift import OF_THE_HARNESS, Drift

_PINNED: Final = (
    *("slots", "kv_unified", "context", "context_shift", "batch", "ubatch", "cache_type_k"),
    *("cache_type_v", "flash_attention", "prompt_cache", "context_checkpoints", "jinja"),
    *("checkpoint_spacing", "draft_min", "draft_p_min", "ngram_min", "ngram_match"),
    *("reasoning_format", "prefill", "slots_endpoint", "warmup", "temperature", "top_k", "top_p"),
    *("min_p", "repeat_penalty", "repeat_last_n", "samplers", "presence_penalty"),
    *("frequency_penalty", "dry_multiplier", "dry_penalty_last_n", "xtc_probability"),
)
"""Settings that a command line can pin, and whose drift changes what a user gets."""

_LAST: Final = ("dry_penalty_last_n", "repeat_last_n")
"""Tokens that are looked back at; -1 is the whole context."""
_MODEL_ID: Final = "model_id"
_LENGTHS: Final = {"n_max": "--draft-max", "n_min": "--draft-min"}


def pins(proof: Proof, old: Side, new: Side) -> tuple[tuple[str, Words], ...]:
    """The settings that drifted and can be pinned, each with the words that do it."""
    found = [
        *((one.setting, _words(one, proof.old, old, new.era)) for one in proof.drifted),
        *((one.option, one.pin(new.era)) for one in unseen_changes(proof, old, new)),
    ]
    return tuple((setting, words) for setting, words in found if words is not None)


def unseen_changes(proof: Proof, old: Side, new: Side) -> Iterator[DefaultChange]:
    """Defaults that changed between two builds, of which no launch shows anything."""
    states = (proof.old.effective or {}, proof.new.effective or {})
    shown = {name for name in states[0] if name in states[1] and name not in OF_THE_HARNESS}
    seen = {
        flag
        for name in shown
        for family in SETTINGS[name].families
        for flag in (*family.flags, *family.negations)
    }
    for change in default_changes(old.era, new.era, (*old.arguments, *new.arguments)):
        if seen.isdisjoint(change.flags):
            yield change


def _words(drift: Drift, before: CellResult, old: Side, new: Era) -> Words | None:
    type_, _, length = drift.setting.partition(" ")
    if length:
        flag = length_flag(_LENGTHS[length], type_, new)
        return None if flag is None else (flag, str(drift.before))
    if drift.setting == _MODEL_ID:
        return _alias(drift, old.line.words, before)
    setting = SETTINGS.get(drift.setting)
    if drift.setting not in _PINNED or not isinstance(setting, ValueSetting):
        return None
    return _spelled(setting, drift, before.effective or {}, new)


def _as_written(drift: Drift, state: Mapping[str, Any], option: Option) -> Any:
    """The value that a default was, not what came of it under the harness's own model.

    None where nothing says it.
    """
    if drift.setting == "context" and drift.before == state.get("context_trained"):
        return 0
    if drift.setting in _LAST and drift.before == state.get("context"):
        return -1 if "-1" in option.description else None
    return drift.before


def _alias(drift: Drift, words: Sequence[str], before: CellResult) -> Words | None:
    """The model's id as it was, where it was the name of the model's file."""
    flags = families.MODEL.flags
    named = next((value for flag, value in pairwise(words) if flag in flags), None)
    ours = (PurePath(value).name for flag, value in pairwise(before.argv) if flag in flags)
    if named is None or drift.before not in {*ours, PurePath(named).name}:
        return None
    return "--alias", PurePath(named).name


def _spelled(
    setting: ValueSetting, drift: Drift, state: Mapping[str, Any], new: Era
) -> Words | None:
    for family in setting.families:
        flags = family.negations if drift.before is False else family.flags
        live = next((flag for flag in flags if new.option(flag) is not None), None)
        option = new.option(live) if live else None
        if live is None or option is None:
            continue
        if not option.takes_value:
            return (live,) if isinstance(drift.before, bool) or drift.before == "on" else None
        value = _as_written(drift, state, option)
        return None if value is None else (live, _text(value))
    return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ";".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
