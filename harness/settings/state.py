"""Every setting there is, and what a server is set to by them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from harness.flags.arguments import Argument
from harness.model import Evidence
from harness.settings import (
    batches,
    cache,
    chat,
    context,
    drafting,
    loading,
    sampling,
    serving,
    slots,
)
from harness.settings.base import EffectiveState, Setting
from harness.settings.observation import Observation
from harness.settings.speculation.setting import SpeculationSetting

SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        SpeculationSetting(),
        *chain.from_iterable(
            room.SETTINGS
            for room in (
                *(context, slots, batches, cache, loading),
                *(drafting, sampling, chat, serving),
            )
        ),
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
    demands = {name: setting.asked(arguments) for name, setting in SETTINGS.items()}
    return {name: demand for name, demand in demands.items() if demand is not None}


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
