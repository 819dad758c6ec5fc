"""What must hold of a cell: by the contract for its load request, or by its own command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from harness.flags.arguments import Argument
from harness.flags.capabilities import Capabilities
from harness.model import Check, LaunchPlan, LoadRequest, Speculation
from harness.settings.speculation.asked import asked_for, missing
from harness.settings.speculation.contract import Expectation
from harness.verdicts.checks import STARTS, check_plan, check_state, check_witnesses

EFFECT: Final = "effect"
"""The check that something which a command line asks for is so."""


class Demands(Protocol):
    """What is demanded of one cell."""

    @property
    def shortfall(self) -> str | None:
        """What of it cannot be had on this build, host and model."""

    def of_plan(self, plan: LaunchPlan, arguments: Sequence[Argument]) -> list[Check]:
        """What can be said before anything is started."""

    def of_state(self, state: Speculation, arguments: Sequence[Argument]) -> list[Check]:
        """What is effective against what is demanded."""

    def of_witnesses(self, state: Speculation) -> list[Check]:
        """Whether enough witnesses support it; a bad check is the harness's failure."""

    def decides(self, check: str) -> bool:
        """Whether a bad check of this name is a failure; else it is a remark."""


@dataclass(frozen=True, kw_only=True)
class ContractDemands:
    """What a load request must mean here."""

    request: LoadRequest
    expectation: Expectation
    capabilities: Capabilities

    @property
    def shortfall(self) -> str | None:
        """See ``Demands``."""
        return self.expectation.shortfall

    def of_plan(self, plan: LaunchPlan, arguments: Sequence[Argument]) -> list[Check]:
        """See ``Demands``."""
        return check_plan(plan, arguments, self.capabilities, self.request, self.expectation)

    def of_state(self, state: Speculation, arguments: Sequence[Argument]) -> list[Check]:
        """See ``Demands``."""
        return check_state(state, self.expectation, self.request, arguments)

    def of_witnesses(self, state: Speculation) -> list[Check]:
        """See ``Demands``."""
        return check_witnesses(state, self.expectation)

    def decides(self, check: str) -> bool:  # noqa: ARG002 - every check of the contract does
        """See ``Demands``."""
        return True


@dataclass(frozen=True, kw_only=True)
class OwnDemands:
    """What a command line asks for itself: that it starts, and does so."""

    request: LoadRequest
    capabilities: Capabilities
    shortfall: str | None = None

    def of_plan(self, plan: LaunchPlan, arguments: Sequence[Argument]) -> list[Check]:
        """See ``Demands``."""
        open_to_all = Expectation(implementations=None)
        return check_plan(plan, arguments, self.capabilities, self.request, open_to_all)

    def of_state(self, state: Speculation, arguments: Sequence[Argument]) -> list[Check]:
        """See ``Demands``."""
        return [
            Check(name=EFFECT, expected="what is asked for is so", observed=lack, ok=False)
            for lack in missing(asked_for(arguments), state)
        ]

    def of_witnesses(self, state: Speculation) -> list[Check]:  # noqa: ARG002 - one suffices
        """See ``Demands``."""
        return []

    def decides(self, check: str) -> bool:
        """See ``Demands``."""
        return check in {STARTS, EFFECT}
