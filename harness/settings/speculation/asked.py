"""What an argument list itself asks for, whoever wrote it: its speculation."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness.flags import families
from harness.flags.arguments import Argument
from harness.settings.speculation.contract import (
    DRAFT_MTP,
    DRAFT_SIMPLE,
    NGRAM_MOD,
    NGRAM_MOD_N_MAX,
    ExpectedDraft,
)
from harness.settings.value import integer

_NAMES: Final = {"mtp": DRAFT_MTP, "draft": DRAFT_SIMPLE}


def asked_for(arguments: Sequence[Argument]) -> Mapping[str, ExpectedDraft]:
    """The implementations that the arguments want on, with the draft lengths they name.

    Every ``--spec-type`` counts, also where a build lets the last one win: two of them are meant
    to be both.
    """
    names: list[str] = []
    length = ngram_length = None
    for argument in arguments:
        value = argument.value
        if families.SPEC_TYPE.is_set_by(argument):
            names += [_NAMES.get(word.strip(), word.strip()) for word in value.split(",")]
        elif families.SPEC_DEFAULT.is_set_by(argument):
            names.append(NGRAM_MOD)
            ngram_length = NGRAM_MOD_N_MAX
        elif families.DRAFT_MODEL.is_set_by(argument):
            names.append(DRAFT_SIMPLE)
        elif families.MTP_SWITCH.is_set_by(argument):
            names.append(DRAFT_MTP)
        elif families.DRAFT_MAX.is_set_by(argument):
            length = _length(argument)
        elif families.NGRAM_MOD_MAX.is_set_by(argument):
            ngram_length = _length(argument)
    wanted = [name for name in dict.fromkeys(names) if name and name != "none"]
    if wanted == [NGRAM_MOD] and ngram_length is None:
        ngram_length = length  # legacy builds share one draft length
    lengths = {NGRAM_MOD: ngram_length, DRAFT_MTP: length, DRAFT_SIMPLE: length}
    return {name: ExpectedDraft(n_max=lengths.get(name)) for name in wanted}


def _length(argument: Argument) -> int | None:
    count = integer(argument)
    return None if count is None or count < 0 else count
