"""Every setting there is, and what a server is set to by them."""

from collections.abc import Collection
from typing import Final

from harness.settings.base import EffectiveState, Setting
from harness.settings.cache import Cache
from harness.settings.context import Context
from harness.settings.observation import Observation
from harness.settings.served_files import ChatTemplate, Model
from harness.settings.speculation.setting import SpeculationSetting

SETTINGS: Final[tuple[Setting, ...]] = (
    SpeculationSetting(),
    Model(),
    Context(),
    Cache(),
    ChatTemplate(),
)
"""In the order in which they are shown."""

NOTHING_LOADED: Final = "nothing loaded"


def effective_state(
    observation: Observation, *, but: Collection[str] = frozenset()
) -> EffectiveState:
    """What a server is set to.

    Args:
        observation: The server, looked at once.
        but: Names of settings to leave out.

    Raises:
        DisagreementError: The witnesses of a setting contradict each other.
    """
    told = (setting for setting in SETTINGS if setting.name not in but)
    values = {setting.name: setting.effective(observation) for setting in told}
    return {name: value for name, value in values.items() if value is not None}


def show_state(state: EffectiveState | None) -> str:
    """Every setting in one line; ``nothing loaded`` without a server."""
    if state is None:
        return NOTHING_LOADED
    return ", ".join(show_one(setting, state) for setting in SETTINGS if setting.name in state)


def show_one(setting: Setting, state: EffectiveState) -> str:
    """One setting of a state."""
    return setting.show(state[setting.name])
