"""Chat: how messages become a prompt."""

import hashlib
from pathlib import Path
from typing import Any, Final

from harness.flags.arguments import Argument
from harness.flags.families import Family
from harness.model import Basis
from harness.settings.base import EffectiveState
from harness.settings.observation import Observation
from harness.settings.value import ANYTHING, Reading, ValueSetting, at, switch, word

_JINJA: Final = Family(
    flags=("--jinja",),
    variables=("LLAMA_ARG_JINJA",),
    negations=("--no-jinja",),
    negating_variables=("LLAMA_ARG_NO_JINJA",),
)
_REASONING: Final = Family(flags=("--reasoning-format",), variables=("LLAMA_ARG_THINK",))
_TEMPLATE: Final = Family(flags=("--chat-template",), variables=("LLAMA_ARG_CHAT_TEMPLATE",))
_TEMPLATE_FILE: Final = Family(
    flags=("--chat-template-file",), variables=("LLAMA_ARG_CHAT_TEMPLATE_FILE",)
)
_DIGEST_LENGTH: Final = 12
_BUILT_IN: Final = "built-in "


def _digest(text: object) -> str:
    return hashlib.sha256(str(text).strip().encode()).hexdigest()[:_DIGEST_LENGTH]


def _asks_template(argument: Argument) -> str | None:
    """The digest of a template that is written out; else the name of one that is built in."""
    if _TEMPLATE_FILE.is_set_by(argument):
        try:
            return _digest(Path(argument.value).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValueError):
            return None
    return _digest(argument.value) if "{" in argument.value else _BUILT_IN + argument.value


def _grants_template(asked: str, seen: str, _: EffectiveState) -> bool:
    """A name that is not built in is taken for the text of a template."""
    named = asked.removeprefix(_BUILT_IN)
    return seen == asked if named == asked else seen != _digest(named)


def _template(observation: Observation) -> str | None:
    text = at(observation.properties, "chat_template")
    return None if text is None else _digest(text)


def _reasoning(observation: Observation) -> Any:
    return at(observation.completion, "generation_settings", "reasoning_format")


def _asks_reasoning(argument: Argument) -> str | None:
    return ANYTHING if argument.value == "auto" else word(argument)


SETTINGS: Final = (
    ValueSetting(
        name="jinja",
        families=(_JINJA,),
        asks=switch(_JINJA),
        readings=(
            Reading(
                witness="request-with-tools",
                read=lambda seen: seen.probed.jinja if seen.probed else None,
                basis=Basis.BEHAVIOUR,
            ),
        ),
    ),
    ValueSetting(
        name="template",
        families=(_TEMPLATE, _TEMPLATE_FILE),
        asks=_asks_template,
        readings=(Reading(witness="props", read=_template),),
        grants=_grants_template,
        by_value=True,
    ),
    ValueSetting(
        name="reasoning_format",
        families=(_REASONING,),
        asks=_asks_reasoning,
        readings=(
            Reading(witness="completion", read=_reasoning),
            Reading(
                witness="request",
                read=lambda seen: (
                    at(seen.probed.defaults, "reasoning_format") if seen.probed else None
                ),
            ),
        ),
    ),
)
