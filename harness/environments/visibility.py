"""Which cards ``CUDA_VISIBLE_DEVICES`` leaves visible, as the CUDA driver reads it."""

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[+-]?[0-9]+")
_UUID_PREFIX = "GPU-"
SPACE = " \t\n\r\f\v"
"""What separates an entry from its comma, as C counts white space."""


def visible_indices(value: str | None, uuids: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the visible cards, in the order in which CUDA counts them.

    The list is indices or uuids, never both; a uuid may be cut short while it stays unique.
    The first entry that means no card (out of range, negative, unknown, ambiguous, empty) ends
    the list; a card named twice empties it. This is what the driver does and what PyTorch's
    ``torch.cuda._parse_visible_devices`` restates.

    Args:
        value: The variable; None where it is not set, which shows every card.
        uuids: The uuids of all cards in index order.
    """
    if value is None:
        return tuple(range(len(uuids)))
    by_uuid = value.startswith(_UUID_PREFIX)
    visible: list[int] = []
    for entry in value.split(","):
        named = entry.strip(SPACE)
        index = _by_uuid(named, uuids) if by_uuid else _by_number(named, uuids)
        if index is None:
            break
        if index in visible:
            return ()
        visible.append(index)
    return tuple(visible)


def _by_number(entry: str, uuids: Sequence[str]) -> int | None:
    # As strtol reads it: "1gpu" is 1, "-1" and "" are none.
    match = _NUMBER.match(entry)
    if match is None:
        return None
    number = int(match.group())
    return number if 0 <= number < len(uuids) else None


def _by_uuid(entry: str, uuids: Sequence[str]) -> int | None:
    if not entry.startswith(_UUID_PREFIX):
        return None
    matches = [index for index, uuid in enumerate(uuids) if uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None
