"""What must hold of a cell: by the contract for its load request, or by its own command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.flags.arguments import Argument
from harness.model import Check, DemandedBy, LaunchPlan
from harness.settings.base import EFFECT, EffectiveState, Situation
from harness.settings.speculation.contract import Expectation
from harness.settings.state import SETTINGS, SPECULATION, asked
from harness.verdicts.checks import STARTS, check_plan


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What is demanded of one cell.

    Attributes:
        situation: What its load request is made in.
        contract: By setting, what the contract demands; empty where the command line alone does.
    """

    situation: Situation
    contract: Mapping[str, Any]

    @property
    def shortfall(self) -> str | None:
        """What of it cannot be had on this build, host and model."""
        return self._speculation.shortfall

    @property
    def _speculation(self) -> Expectation:
        demand = self.contract.get(SPECULATION)
        return demand if isinstance(demand, Expectation) else Expectation()

    def of_plan(self, plan: LaunchPlan, arguments: Sequence[Argument]) -> list[Check]:
        """What can be said before anything is started."""
        return check_plan(
            plan, arguments, self.situation.capabilities, self.situation.request, self._speculation
        )

    def by_setting(self, arguments: Sequence[Argument]) -> Mapping[str, Any]:
        """Every demand: what a command line asks for is to be effective, whoever wrote it."""
        return {**asked(arguments), **self.contract}

    def of_state(self, state: EffectiveState, arguments: Sequence[Argument]) -> list[Check]:
        """What is effective against what is demanded, as far as it is seen.

        A demand of the command line is a check only where it is not granted.
        """
        return [
            check
            for name, demand in self.by_setting(arguments).items()
            if name in state
            for check in SETTINGS[name].compare(demand, state, arguments)
            if not check.ok or check.name != EFFECT
        ]

    def decides(self, check: str) -> bool:
        """Whether a bad check of this name is a failure; else it is a remark."""
        return bool(self.contract) or check in {STARTS, EFFECT}


def demands_of(demanded_by: DemandedBy, situation: Situation) -> Demands:
    """What is demanded of a cell."""
    if demanded_by is DemandedBy.COMMAND_LINE:
        return Demands(situation=situation, contract={})
    rows = {name: setting.expected(situation) for name, setting in SETTINGS.items()}
    return Demands(
        situation=situation,
        contract={name: row for name, row in rows.items() if row is not None},
    )
