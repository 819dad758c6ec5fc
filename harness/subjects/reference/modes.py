"""What a user wrote as speculative mode to the canonical mode."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from harness.model import LoadRequest, Mode

ALIASES: Final[Mapping[str, Mode]] = MappingProxyType(
    {mode.value: mode for mode in Mode}
    | {
        "default": Mode.AUTO,
        "draft-mtp": Mode.MTP,
        "ngram-mod": Mode.NGRAM,
        "none": Mode.OFF,
        "disable": Mode.OFF,
        "disabled": Mode.OFF,
    }
)
"""Every accepted name, trimmed and in lower case."""

_PRECEDENCE: Final = (Mode.MTP, Mode.NGRAM, Mode.NGRAM_SIMPLE, Mode.DRAFT, Mode.OFF)
"""What a comma chain of several known modes collapses to, but for MTP with ngram."""

OWNING_FLAGS: Final = frozenset({"--spec-type", "--spec-default"})
"""A user who writes one of these by hand has taken speculation over."""


def canonical_mode(text: object, aliases: Mapping[str, Mode] = ALIASES) -> Mode | None:
    """The canonical mode; None (treated as auto) for None, blank text and what is no text.

    Unknown text is auto. A comma chain with both MTP and ngram-mod, in either order, is both;
    any other chain is the first of its modes in the order MTP, ngram, ngram-simple, draft, off.
    """
    if not isinstance(text, str) or not text.strip():
        return None
    pieces = [piece.strip() for piece in text.lower().split(",")]
    modes = {aliases.get(piece, Mode.AUTO) for piece in pieces if piece}
    if Mode.MTP_NGRAM in modes or {Mode.MTP, Mode.NGRAM} <= modes:
        return Mode.MTP_NGRAM
    return next((mode for mode in _PRECEDENCE if mode in modes), Mode.AUTO)


def owns_speculation(extra_args: tuple[str, ...]) -> bool:
    """Whether the user's own arguments choose the speculative type."""
    return any(argument.partition("=")[0] in OWNING_FLAGS for argument in extra_args)


def requested_mode(request: LoadRequest, aliases: Mapping[str, Mode] = ALIASES) -> Mode | None:
    """The canonical mode of a request; None where its extra arguments own speculation."""
    if owns_speculation(request.extra_args):
        return None
    return canonical_mode(request.mode, aliases) or Mode.AUTO
