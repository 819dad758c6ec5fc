"""What drifted, pinned to what it was."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from harness.flags.capabilities import Capabilities
from harness.settings.state import SETTINGS
from harness.settings.value import ValueSetting
from harness.verdicts.drift import Drift

_PINNED: Final = (
    *("slots", "kv_unified", "context", "context_shift", "batch", "ubatch", "cache_type_k"),
    *("cache_type_v", "flash_attention", "prompt_cache", "jinja", "reasoning_format"),
    *("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n", "samplers"),
    *("presence_penalty", "frequency_penalty", "dry_multiplier", "xtc_probability"),
)
"""Settings that a command line can pin, and whose drift changes what a user gets."""


def pinned(
    drifts: Iterable[Drift], capabilities: Capabilities
) -> Sequence[tuple[Drift, tuple[str, ...]]]:
    """The drifts that can be pinned, each with the words that do it on a build."""
    found = []
    for one in drifts:
        setting = SETTINGS.get(one.setting)
        if one.setting in _PINNED and isinstance(setting, ValueSetting):
            words = _words(setting, one.before, capabilities)
            if words is not None:
                found.append((one, words))
    return found


def _words(setting: ValueSetting, value: Any, capabilities: Capabilities) -> tuple[str, ...] | None:
    for family in setting.families:
        flags = family.negations if value is False else family.flags
        live = next((flag for flag in flags if capabilities.offers(flag)), None)
        if live is None:
            continue
        if isinstance(value, bool):
            return (live,)
        text = (
            ";".join(value)
            if isinstance(value, list)
            else f"{value:g}"
            if isinstance(value, float)
            else str(value)
        )
        return (live, text)
    return None
