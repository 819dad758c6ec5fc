"""The reference subject: the generator as it should be, and its historical variants."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.subjects.reference.generator import ReferenceSubject
from harness.subjects.reference.guards import Guards, LoadedState
from harness.subjects.reference.variants import variant

__all__ = ["Guards", "LoadedState", "ReferenceSubject", "open"]


@contextmanager
def open(spec_rest: str) -> Iterator[ReferenceSubject]:  # noqa: A001 - every subject module has it
    """Open the fixed generator (``""``) or a historical variant (``"@A"``).

    Raises:
        UsageError: No such variant.
    """
    yield variant(spec_rest)
