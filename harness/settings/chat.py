"""Chat: how messages become a prompt."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness.flags.arguments import Argument
from harness.flags.families import (
    REASONING,
    REASONING_BUDGET,
    REASONING_EFFORT,
    TEMPLATE_VARIABLES,
    Family,
)
from harness.gguf_models.models import TEMPLATE_VARIABLES as KNOWN_VARIABLES
from harness.settings.base import EffectiveState
from harness.settings.observation import PREFILL, Observation, Probed
from harness.settings.said import LinePattern
from harness.settings.value import (
    ANYTHING,
    NOTHING,
    Reading,
    ValueSetting,
    at,
    integer,
    probed,
    switch,
    tried_log,
    word,
)

_JINJA: Final = Family(
    flags=("--jinja",),
    variables=("LLAMA_ARG_JINJA",),
    negations=("--no-jinja",),
    negating_variables=("LLAMA_ARG_NO_JINJA",),
)
_FORMAT: Final = Family(flags=("--reasoning-format",), variables=("LLAMA_ARG_THINK",))
_PREFILL: Final = Family(
    flags=("--prefill-assistant",),
    variables=("LLAMA_ARG_PREFILL_ASSISTANT",),
    negations=("--no-prefill-assistant",),
    negating_variables=("LLAMA_ARG_NO_PREFILL_ASSISTANT",),
)
_THINKING: Final = "enable_thinking"
_THINKS: Final = LinePattern(r"chat template, thinking = ([01])")
_TOLD: Final = re.compile(r"\[(\w+) ([^\]]*)\]")
"""How the template of the harness's model repeats a variable."""
_TEMPLATE: Final = Family(flags=("--chat-template",), variables=("LLAMA_ARG_CHAT_TEMPLATE",))
_TEMPLATE_FILE: Final = Family(
    flags=("--chat-template-file",), variables=("LLAMA_ARG_CHAT_TEMPLATE_FILE",)
)
_DEFAULT: Final = "default"
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
    if asked.startswith(_BUILT_IN) and not seen.startswith(_BUILT_IN):
        return seen != _digest(asked.removeprefix(_BUILT_IN))
    return seen == asked


def _template(observation: Observation) -> str | None:
    """The text's digest; where there is no Jinja to read a text, a name is that of a built-in."""
    text = at(observation.properties, "chat_template")
    if text is None:
        return None
    without_jinja = observation.probed is not None and not observation.probed.jinja
    return f"{_BUILT_IN}{text}" if without_jinja and "{" not in str(text) else _digest(text)


def _reasoning(observation: Observation) -> Any:
    return at(observation.completion, "generation_settings", "reasoning_format")


def _asks_reasoning(argument: Argument) -> str | None:
    return ANYTHING if argument.value == "auto" else word(argument)


def _thinks(tried: Probed) -> bool | None:
    """Whether a plain chat's prompt is that of one that is to think."""
    plain, thinking, not_thinking = map(tried.prompts.get, ("default", "thinking", "not thinking"))
    if plain is None or thinking == not_thinking or plain not in {thinking, not_thinking}:
        return None
    return plain == thinking


def _logged_thinking(observation: Observation) -> bool | None:
    """What is logged of it, which is always 0 where a template cannot think."""
    logged = observation.startup.last(_THINKS)
    if logged is None:
        return None
    can = observation.probed is not None and _thinks(observation.probed) is not None
    return logged[1] == "1" if can else None


def _asks_thinking(argument: Argument) -> bool | str | None:
    if not TEMPLATE_VARIABLES.is_set_by(argument):
        return ANYTHING if argument.value == "auto" else switch(REASONING)(argument)
    variables = _variables(argument)
    if variables is None or variables.keys() != {_THINKING}:
        return NOTHING
    wanted = variables[_THINKING]
    return wanted if isinstance(wanted, bool) else None


def _variables(argument: Argument) -> Mapping[str, Any] | None:
    try:
        variables = json.loads(argument.value)
    except ValueError:
        return None
    return variables if isinstance(variables, Mapping) else None


def _asks_variables(argument: Argument) -> str | None:
    """Name and value of each, where the harness's template tells all of them."""
    variables = _variables(argument)
    if not variables or variables.keys() == {_THINKING}:
        return None
    if not variables.keys() <= {_THINKING, *KNOWN_VARIABLES}:
        return None
    return ";".join(f"{name}={json.dumps(value)}" for name, value in variables.items())


def _told_variables(tried: Probed) -> dict[str, str]:
    """What the harness's template says of its variables, as JSON."""
    return dict(_TOLD.findall(tried.prompts.get("default", "")))


def _template_variables(tried: Probed) -> list[str] | None:
    told = {name: value for name, value in _told_variables(tried).items() if value != "null"}
    if not _told_variables(tried):
        return None
    thinks = _thinks(tried)
    thinking = {} if thinks is None else {_THINKING: json.dumps(thinks)}
    return [f"{name}={value}" for name, value in {**thinking, **told}.items()]


def _effort(tried: Probed) -> str | None:
    told = _told_variables(tried).get("reasoning_effort")
    return None if told is None else told.strip('"').replace("null", _DEFAULT)


def _prefills(tried: Probed) -> bool | None:
    prompt = tried.prompts.get("prefill")
    return None if prompt is None else prompt.endswith(PREFILL)


SETTINGS: Final = (
    ValueSetting(
        name="jinja",
        families=(_JINJA,),
        asks=switch(_JINJA),
        readings=(probed(lambda tried: tried.jinja, "request-with-tools"),),
    ),
    ValueSetting(
        name="thinking",
        families=(REASONING, TEMPLATE_VARIABLES),
        asks=_asks_thinking,
        readings=(
            Reading(witness="startup-log", read=_logged_thinking),
            probed(_thinks, "template"),
        ),
    ),
    ValueSetting(
        name="template_variables",
        families=(TEMPLATE_VARIABLES,),
        asks=_asks_variables,
        readings=(probed(_template_variables, "template"),),
        grants=lambda asked, seen, _: {*asked.split(";")} <= {*seen},
    ),
    ValueSetting(
        name="reasoning_effort",
        families=(REASONING_EFFORT,),
        asks=word,
        readings=(probed(_effort, "template"),),
    ),
    ValueSetting(
        name="reasoning_budget",
        families=(REASONING_BUDGET,),
        asks=integer,
        readings=(tried_log(r"reasoning budget: tokens=(-?\d+)", int),),
    ),
    ValueSetting(
        name="prefill",
        families=(_PREFILL,),
        asks=switch(_PREFILL),
        readings=(probed(_prefills, "template"),),
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
        families=(_FORMAT,),
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
