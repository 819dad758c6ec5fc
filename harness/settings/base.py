"""What a setting is: one thing that a server can be set to, and everything that is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from harness.flags.arguments import Argument
from harness.flags.capabilities import Capabilities
from harness.flags.families import Family
from harness.model import Check, Evidence, HostProfile, LoadRequest, TinyModel
from harness.settings.observation import Observation

EFFECT: Final = "effect"
"""The check that what a command line asks of a setting is so."""

EffectiveState = Mapping[str, Any]
"""What a server is set to: by setting name, the value that its witnesses agree on. A setting that
nobody tells is not in it."""


class DisagreementError(Exception):
    """Two witnesses contradict each other, or none can say; the harness cannot tell."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a load request is made in."""

    request: LoadRequest
    capabilities: Capabilities
    host: HostProfile
    model: TinyModel


class Setting(Protocol):
    """One setting; the module of this room that holds it says all about it.

    Attributes:
        name: The key in effective states, reports and checks.
        families: The flags and variables of every era that set it.
    """

    @property
    def name(self) -> str:
        """See ``Setting``."""

    @property
    def families(self) -> tuple[Family, ...]:
        """See ``Setting``."""

    def asked(self, arguments: Sequence[Argument]) -> Any:
        """What a command line demands of it; None where it asks for nothing."""

    def expected(self, situation: Situation) -> Any:
        """What the contract demands for a load request; None where it demands nothing."""

    def testify(self, observation: Observation) -> tuple[Evidence, ...]:
        """What each witness saw."""

    def agree(self, evidence: Sequence[Evidence]) -> Any:
        """The value that the witnesses agree on; None where none of them tells.

        Raises:
            DisagreementError: They contradict each other.
        """

    def compare(
        self, demand: Any, state: EffectiveState, arguments: Sequence[Argument]
    ) -> Sequence[Check]:
        """A demand against an effective state; a bad check names the argument to blame."""

    def supporters(self, value: Any, evidence: Sequence[Evidence]) -> Mapping[str, Sequence[str]]:
        """By what was seen, the witnesses that support it."""

    def show(self, value: Any) -> str:
        """One short text."""
