"""What must hold of a cell: by the contract for its load request, or by its subject's own word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.flags.arguments import Argument
from harness.model import Check, DemandedBy, LaunchPlan
from harness.settings.base import EFFECT, EffectiveState, Situation
from harness.settings.speculation.contract import Expectation
from harness.settings.state import SETTINGS, SPECULATION, asked
from harness.settings.value import same, spoken
from harness.verdicts.checks import MIN_NOT_ABOVE_MAX, STARTS, check_plan
from harness.verdicts.stated import Stated, read_stated


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What is demanded of one cell.

    Attributes:
        situation: What its load request is made in.
        demanded_by: Who says it.
        contract: By setting, what the contract demands; empty where others do.
        stated: By setting, what the subject says of its plan; empty where the contract holds.
    """

    situation: Situation
    demanded_by: DemandedBy
    contract: Mapping[str, Any] = field(default_factory=dict)
    stated: Stated = field(default_factory=dict)

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

    def of_subject(self, plan: LaunchPlan, subject: str) -> "Demands":
        """These with what the plan's subject says of it, unless the contract holds.

        Raises:
            SubjectError: It names a setting that there is not.
        """
        if self.demanded_by is DemandedBy.CONTRACT:
            return self
        return replace(self, stated=read_stated(plan.expects, subject))

    def by_setting(self, arguments: Sequence[Argument]) -> Mapping[str, Any]:
        """Every demand: what a command line asks for is to be effective, whoever wrote it."""
        return {**asked(arguments), **self.contract, **self.stated}

    def of_state(
        self, state: EffectiveState, arguments: Sequence[Argument], demanded: Mapping[str, Any]
    ) -> list[Check]:
        """What is effective against what is demanded by setting, as far as it is seen.

        A demand of the command line is a check only where it is not granted.
        """
        return [
            check
            for name, demand in demanded.items()
            if name in state
            for check in (
                SETTINGS[name].compare(demand, state, arguments)
                if name == SPECULATION or name not in self.stated
                else [_stated_value(name, demand, state[name])]
            )
            if not check.ok or check.name != EFFECT
        ]

    def not_seen(self, state: EffectiveState) -> tuple[str, ...]:
        """What the subject says, and no witness can tell."""
        return tuple(f"expects {name}" for name in self.stated if name not in state)

    def decides(self, check: str) -> bool:
        """Whether a bad check of this name is a failure; else it is a remark."""
        if self.demanded_by is DemandedBy.SUBJECT:
            return check != MIN_NOT_ABOVE_MAX
        return self.demanded_by is DemandedBy.CONTRACT or check in {STARTS, EFFECT}


def _stated_value(name: str, value: Any, seen: Any) -> Check:
    return Check(
        name=EFFECT,
        expected=f"{name} {spoken(value)}",
        observed=f"the subject expects {name} {spoken(value)}, and it is {spoken(seen)}",
        ok=same(value, seen),
    )


def demands_of(demanded_by: DemandedBy, situation: Situation) -> Demands:
    """What is demanded of a cell."""
    if demanded_by is not DemandedBy.CONTRACT:
        return Demands(situation=situation, demanded_by=demanded_by)
    rows = {name: setting.expected(situation) for name, setting in SETTINGS.items()}
    return Demands(
        situation=situation,
        demanded_by=demanded_by,
        contract={name: row for name, row in rows.items() if row is not None},
    )
