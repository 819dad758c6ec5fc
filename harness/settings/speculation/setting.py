"""Speculation as a setting: seven witnesses, of which two must support what is on."""

from harness.model import DraftRange, Speculation
from harness.settings.observation import Observation
from harness.settings.speculation.agreement import agree
from harness.settings.speculation.testimony import testify


class SpeculationSetting:
    """See ``testimony`` for the witnesses and ``agreement`` for what they agree on."""

    name = "speculation"

    def effective(self, observation: Observation) -> Speculation:
        """What drafts, and how far.

        Raises:
            DisagreementError: Witnesses contradict each other, or none of them speaks.
        """
        return agree(testify(observation))

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
