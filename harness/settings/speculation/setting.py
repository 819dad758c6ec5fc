"""Speculation as a setting: seven witnesses, of which two must support what is on."""

from collections.abc import Mapping, Sequence

from harness.flags import families
from harness.flags.arguments import Argument
from harness.model import Check, DraftRange, Evidence, Speculation
from harness.settings.base import EffectiveState, Situation
from harness.settings.observation import Observation
from harness.settings.speculation.agreement import agree
from harness.settings.speculation.asked import asked_for
from harness.settings.speculation.comparison import compare
from harness.settings.speculation.contract import Expectation, expect
from harness.settings.speculation.testimony import testify


class SpeculationSetting:
    """See ``testimony`` for the witnesses and ``agreement`` for what they agree on."""

    name = "speculation"
    families = (
        *families.SPECULATION_SWITCHES,
        families.REMOTE_DRAFT_MODEL,
        families.DRAFT_MAX,
        families.NGRAM_MOD_MAX,
    )

    def asked(self, arguments: Sequence[Argument]) -> Expectation | None:
        """The implementations that the arguments want on, and perhaps others."""
        wanted = asked_for(arguments)
        return Expectation(implementations=wanted, exactly=False) if wanted else None

    def expected(self, situation: Situation) -> Expectation:
        """What the contract's row for the load request's mode says."""
        return expect(situation.request, situation.capabilities, situation.host, situation.model)

    def testify(self, observation: Observation) -> tuple[Evidence, ...]:
        """The evidence of every witness, the silent ones included."""
        return () if observation.router is not None else testify(observation)

    def agree(self, evidence: Sequence[Evidence]) -> Speculation | None:
        """What drafts, and how far; None for a router, whose models draft on their own.

        Raises:
            DisagreementError: Witnesses contradict each other, or none of them speaks.
        """
        return agree(evidence) if evidence else None

    def compare(
        self, demand: Expectation, state: EffectiveState, arguments: Sequence[Argument]
    ) -> Sequence[Check]:
        """See ``harness.settings.speculation.comparison``."""
        return compare(demand, state[self.name], arguments)

    def supporters(
        self,
        value: Speculation,
        evidence: Sequence[Evidence],  # noqa: ARG002 - the value holds what supports it
    ) -> Mapping[str, Sequence[str]]:
        """For each implementation that is on."""
        return value.witnessed_by

    def show(self, value: Speculation) -> str:
        """``draft-mtp 0…8 + ngram-mod 48…64``."""
        ranges = [
            f"{name} {_range(length)}" for name, length in sorted(value.implementations.items())
        ]
        idle = [f"{name} idle" for name in value.idle]
        return " + ".join([*ranges, *idle]) or "no speculation"


def _range(length: DraftRange) -> str:
    low = "" if length.n_min is None else str(length.n_min)
    return f"{low}…{'?' if length.n_max is None else length.n_max}"
