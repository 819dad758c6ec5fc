"""What a setting is: one thing that a server can be set to, and what on it tells so."""

from collections.abc import Mapping
from typing import Any, Protocol

from harness.settings.observation import Observation

EffectiveState = Mapping[str, Any]
"""What a server is set to: by setting name, the value that its witnesses agree on. A setting that
nobody tells is not in it."""


class DisagreementError(Exception):
    """Two witnesses contradict each other, or none can say; the harness cannot tell."""


class Setting(Protocol):
    """One setting; a module of this room that holds it says all about it.

    Attributes:
        name: The key in effective states.
    """

    name: str

    def effective(self, observation: Observation) -> Any:
        """The value that the witnesses agree on; None where none of them tells.

        Raises:
            DisagreementError: They contradict each other.
        """

    def show(self, value: Any) -> str:
        """One short text."""
