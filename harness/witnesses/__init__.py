"""Evidence on what a running server does: observe it once, let every witness testify, agree."""

from harness.witnesses.agreement import DisagreementError, agree
from harness.witnesses.observation import Observation, observe, observing_environment
from harness.witnesses.testimony import WITNESSES, testify

__all__ = [
    "WITNESSES",
    "DisagreementError",
    "Observation",
    "agree",
    "observe",
    "observing_environment",
    "testify",
]
