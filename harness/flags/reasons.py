"""What a build says when it refuses something only while it loads, and whose fault that is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.flags.arguments import Argument
from harness.flags.families import DRAFT_MODEL, SPEC_TYPE, Family

_CACHE_V: Final = Family(flags=("--cache-type-v", "-ctv"), variables=("LLAMA_ARG_CACHE_TYPE_V",))


@dataclass(frozen=True, kw_only=True)
class _Reason:
    """Words of a log, and the families one of whose arguments they are about.

    Attributes:
        by_value: Whether its value is the narrowest word at fault, not its flag.
    """

    pattern: re.Pattern[str]
    families: tuple[Family, ...]
    by_value: bool = False


_REASONS: Final = (
    _Reason(pattern=re.compile(r"V cache.* requires flash_attn"), families=(_CACHE_V,)),
    _Reason(
        pattern=re.compile(r"MTP layers|MTP context|initialize MTP"),
        families=(SPEC_TYPE,),
        by_value=True,
    ),
    _Reason(pattern=re.compile(r"draft model"), families=(DRAFT_MODEL,)),
)


def blamed(message: str, arguments: Sequence[Argument]) -> str | None:
    """The word of a command line that a reason is about; None where that is not known."""
    for reason in _REASONS:
        if reason.pattern.search(message):
            for argument in reversed(arguments):
                if any(family.is_set_by(argument) for family in reason.families):
                    return argument.value if reason.by_value else argument.flag
    return None
