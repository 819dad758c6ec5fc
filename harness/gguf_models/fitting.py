"""Which tiny model a command line needs."""

from collections.abc import Iterable
from typing import Final

from harness.flags.families import DRAFT_MODEL, OF_EXPERTS_AND_THINKING, REMOTE_DRAFT_MODEL
from harness.gguf_models.models import EXPERTS_MODEL, PLAIN_MODEL

_MTP_MODEL: Final = "tiny-mtp"


def fitting_model(words: Iterable[str]) -> str:
    """A model that has what command lines want: an MTP head, a draft model, or experts.

    Args:
        words: Their arguments, with names and values of variables and what stands in presets.
    """
    found = frozenset(words)
    wants_mtp = any("mtp" in word for word in found)
    wants_draft = any(
        word in family or word in family.variables
        for word in found
        for family in (DRAFT_MODEL, REMOTE_DRAFT_MODEL)
    )
    if wants_mtp and not wants_draft:
        return _MTP_MODEL
    wants_experts = any("exps" in word for word in found) or any(
        word in family for word in found for family in OF_EXPERTS_AND_THINKING
    )
    return EXPERTS_MODEL if wants_experts else PLAIN_MODEL
