"""What a build says when it refuses something only while it loads, and whose fault that is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.flags.arguments import Argument
from harness.flags.families import DRAFT_MODEL, FLASH, SPEC_TYPE, Family

_PLAIN: Final = frozenset({"f32", "f16", "bf16"})
_CACHE_V: Final = Family(flags=("--cache-type-v", "-ctv"), variables=("LLAMA_ARG_CACHE_TYPE_V",))

_OVERRIDE: Final = Family(
    flags=("--override-tensor", "-ot"), variables=("LLAMA_ARG_OVERRIDE_TENSOR",)
)
_OVERRIDE_DRAFT: Final = Family(
    flags=("--spec-draft-override-tensor", "--override-tensor-draft", "-otd")
)
_PARALLEL: Final = Family(flags=("--parallel", "-np"), variables=("LLAMA_ARG_N_PARALLEL",))
_TEMPLATE: Final = Family(
    flags=("--chat-template-file", "--chat-template"),
    variables=("LLAMA_ARG_CHAT_TEMPLATE_FILE", "LLAMA_ARG_CHAT_TEMPLATE"),
)


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
    _Reason(pattern=re.compile(r"n_seq_max must be"), families=(_PARALLEL,)),
    _Reason(
        pattern=re.compile(r"MTP layers|MTP context|initialize MTP"),
        families=(SPEC_TYPE,),
        by_value=True,
    ),
    _Reason(pattern=re.compile(r"regular expression|regex"), families=(_OVERRIDE_DRAFT, _OVERRIDE)),
    _Reason(pattern=re.compile(r"chat template"), families=(_TEMPLATE,), by_value=True),
    _Reason(pattern=re.compile(r"draft model"), families=(DRAFT_MODEL,)),
)


def suspected(arguments: Sequence[Argument]) -> tuple[str, str] | None:
    """What makes builds crash without a word, and the word of a command line that is to blame."""
    flash = [one for one in arguments if FLASH.is_set_by(one)]
    quantised = [one for one in arguments if _CACHE_V.is_set_by(one) and one.value not in _PLAIN]
    if quantised and flash and flash[-1].value in {"off", "0", "false"}:
        return "a quantised V cache needs flash attention", quantised[-1].flag
    return None


def blamed(message: str, arguments: Sequence[Argument]) -> str | None:
    """The word of a command line that a reason is about; None where that is not known."""
    for reason in _REASONS:
        if reason.pattern.search(message):
            for argument in reversed(arguments):
                if any(family.is_set_by(argument) for family in reason.families):
                    return argument.value if reason.by_value else argument.flag
    return None
