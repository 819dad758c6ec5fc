"""Every setting there is, and what a server is set to by them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from harness.flags.arguments import Argument
from harness.model import Evidence
from harness.settings import (
    batches,
    cache,
    chat,
    context,
    devices,
    drafting,
    loading,
    sampling,
    serving,
    slots,
)
from harness.settings.base import EffectiveState, Setting
from harness.settings.observation import Observation
from harness.settings.router import MODEL_IDS, RoutedModels
from harness.settings.speculation.setting import SpeculationSetting

_OF_ONE_MODEL: Final = tuple(
    chain.from_iterable(
        theme.SETTINGS
        for theme in (
            *(context, slots, batches, cache, loading, devices),
            *(drafting, sampling, chat, serving),
        )
    )
)


def _of_a_routed_model(observation: Observation, words: Collection[str]) -> EffectiveState:
    """What ``/props`` and ``/slots`` tell of one model of a router, of what it is given."""
    about = [
        setting
        for setting in _OF_ONE_MODEL
        if setting.name not in _OF_THE_ROUTER
        and any(word in family for family in setting.shown_with for word in words)
    ]
    values = {setting.name: setting.agree(setting.testify(observation)) for setting in about}
    return {name: value for name, value in values.items() if value is not None}


_OF_THE_ROUTER: Final = frozenset({"model", "model_id", "host", "port"})
"""What the router gives each of its models."""

SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        SpeculationSetting(),
        *_OF_ONE_MODEL,
        MODEL_IDS,
        RoutedModels(read=_of_a_routed_model),
    )
}
"""By name, in the order in which they are shown."""

NOTHING_LOADED: Final = "nothing loaded"

SPECULATION: Final = SpeculationSetting.name
OF_ONE_LAUNCH: Final = frozenset({"port"})
"""Settings that differ from launch to launch."""

Seen = Mapping[str, tuple[Evidence, ...]]
"""By setting, what each witness saw."""


def testify(observation: Observation) -> Seen:
    """What the witnesses of every setting saw of a server, looked at once."""
    return {name: setting.testify(observation) for name, setting in SETTINGS.items()}


def agree(seen: Seen) -> EffectiveState:
    """What a server is set to.

    Raises:
        DisagreementError: The witnesses of a setting contradict each other.
    """
    values = {name: SETTINGS[name].agree(evidence) for name, evidence in seen.items()}
    return {name: value for name, value in values.items() if value is not None}


def effective_state(observation: Observation) -> EffectiveState:
    """What a server is set to, but for what differs from launch to launch.

    Raises:
        DisagreementError: The witnesses of a setting contradict each other.
    """
    told = agree(testify(observation))
    return {name: value for name, value in told.items() if name not in OF_ONE_LAUNCH}


def asked(arguments: Sequence[Argument]) -> Mapping[str, object]:
    """By setting, what a command line demands."""
    words = {word for argument in arguments for word in argument.all_spellings}
    about = set(chain.from_iterable(_set_by().get(word, ()) for word in words))
    # In the order of all settings, which is that of reports.
    demands = ((name, SETTINGS[name].asked(arguments)) for name in SETTINGS if name in about)
    return {name: demand for name, demand in demands if demand is not None}


@lru_cache(maxsize=1)
def _set_by() -> Mapping[str, frozenset[str]]:
    """By flag or variable, the settings that it sets: of some hundred, a command line has few."""
    found: dict[str, set[str]] = {}
    for name, setting in SETTINGS.items():
        for family in setting.families:
            for word in family.words:
                found.setdefault(word, set()).add(name)
    return {word: frozenset(names) for word, names in found.items()}


def not_seen(
    arguments: Iterable[Argument], demands: Collection[str], state: EffectiveState
) -> tuple[str, ...]:
    """What was asked for and no witness can tell, as it was written."""
    told = [SETTINGS[name] for name in demands if name in state]
    words = (
        argument.flag
        for argument in arguments
        if not any(family.is_set_by(argument) for setting in told for family in setting.families)
    )
    return tuple(dict.fromkeys(words))


def show_state(state: EffectiveState | None, names: Collection[str] | None = None) -> str:
    """Some settings in one line, or all; ``nothing loaded`` without a server."""
    if state is None:
        return NOTHING_LOADED
    shown = (name for name in SETTINGS if name in state and (names is None or name in names))
    return ", ".join(SETTINGS[name].show(state[name]) for name in shown)


def differing(one: EffectiveState, other: EffectiveState) -> frozenset[str]:
    """The settings in which two states are not equal."""
    return frozenset(name for name in SETTINGS if one.get(name) != other.get(name))
