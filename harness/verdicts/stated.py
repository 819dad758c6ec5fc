"""What a subject says must hold of its launch, read into demands of settings."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from harness.errors import SubjectError
from harness.settings.speculation.contract import Expectation, ExpectedDraft
from harness.settings.state import SETTINGS, SPECULATION

Stated = Mapping[str, Any]
"""By setting, the demand for speculation, the value for every other."""


def read_stated(expects: Mapping[str, Any], origin: str) -> Stated:
    """Read what a subject expects; ``context: {per_slot: N}`` is the same as ``context_per_slot``.

    Args:
        expects: By setting, what it is to be.
        origin: Who says so, for errors.

    Raises:
        SubjectError: No setting has that name, or it cannot have that value.
    """
    return {
        name: _draft_ranges(value, origin) if name == SPECULATION else value
        for name, value in _flat(expects, origin)
    }


def _flat(expects: Mapping[str, Any], origin: str) -> Iterator[tuple[str, Any]]:
    for name, value in expects.items():
        parts = value if isinstance(value, Mapping) and name != SPECULATION else {"": value}
        for part, inner in parts.items():
            full = "_".join(filter(None, [name, part])).replace("-", "_")
            if full not in SETTINGS:
                near = fnmatch.filter(SETTINGS, f"*{name}*") or list(SETTINGS)
                raise SubjectError(
                    f"{origin}: expects {full!r}, and no setting has that name; there are "
                    f"{', '.join(near)}"
                )
            yield full, inner


def _draft_ranges(value: Any, origin: str) -> Expectation:
    try:
        ranges = msgspec.convert(value, dict[str, ExpectedDraft])
    except msgspec.ValidationError as error:
        raise SubjectError(f"{origin}: expects a {SPECULATION} that is none: {error}") from error
    return Expectation(implementations=ranges)
