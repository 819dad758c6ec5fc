"""Which draft lengths are accepted, and which one holds where none is given."""

from typing import Final

from harness.errors import SubjectError
from harness.model import HostProfile

SHORTEST: Final = 1
LONGEST: Final = 16

DEFAULT_WITH_GPU: Final = 2
DEFAULT_WITHOUT_GPU: Final = 3


def draft_length(given: int | None, host: HostProfile) -> int:
    """The length to draft: the given one, or the platform's default.

    Raises:
        SubjectError: The given one is out of range.
    """
    if given is None:
        return DEFAULT_WITH_GPU if host.has_gpu else DEFAULT_WITHOUT_GPU
    if isinstance(given, bool) or not SHORTEST <= given <= LONGEST:
        raise SubjectError(
            f"reference: draft length {given} is refused; give {SHORTEST} to {LONGEST}, or none"
        )
    return given
