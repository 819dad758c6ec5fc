"""What an argument list itself asks for, whoever wrote it: its speculation."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness.flags import families
from harness.flags.arguments import Argument
from harness.model import Speculation
from harness.settings.speculation.contract import (
    DRAFT_MTP,
    DRAFT_SIMPLE,
    NGRAM_MOD,
    NGRAM_MOD_N_MAX,
    ExpectedDraft,
)

_NAMES: Final = {"mtp": DRAFT_MTP, "draft": DRAFT_SIMPLE}


def asked_for(arguments: Sequence[Argument]) -> Mapping[str, ExpectedDraft]:
    """The implementations that the arguments want on, with the draft lengths they name.

    Every ``--spec-type`` counts, also where a build lets the last one win: two of them are meant
    to be both.
    """
    names: list[str] = []
    length = ngram_length = None
    for argument in arguments:
        value = argument.values[0] if argument.values else ""
        if argument.flag in families.SPEC_TYPE:
            names += [_NAMES.get(word.strip(), word.strip()) for word in value.split(",")]
        elif argument.flag in families.SPEC_DEFAULT:
            names.append(NGRAM_MOD)
            ngram_length = NGRAM_MOD_N_MAX
        elif argument.flag in families.DRAFT_MODEL:
            names.append(DRAFT_SIMPLE)
        elif argument.flag in families.MTP_SWITCH:
            names.append(DRAFT_MTP)
        elif argument.flag in families.DRAFT_MAX and value.isdigit():
            length = int(value)
        elif argument.flag in families.NGRAM_MOD_MAX and value.isdigit():
            ngram_length = int(value)
    wanted = [name for name in dict.fromkeys(names) if name and name != "none"]
    if wanted == [NGRAM_MOD] and ngram_length is None:
        ngram_length = length  # legacy builds share one draft length
    lengths = {NGRAM_MOD: ngram_length, DRAFT_MTP: length, DRAFT_SIMPLE: length}
    return {name: ExpectedDraft(n_max=lengths.get(name)) for name in wanted}


def missing(asked: Mapping[str, ExpectedDraft], state: Speculation) -> tuple[str, ...]:
    """What is asked for and not so, one sentence each."""
    said = []
    for name, draft in asked.items():
        effective = state.implementations.get(name)
        if effective is None:
            said.append(f"{name} is asked for and never drafts")
        elif None not in (draft.n_max, effective.n_max) and draft.n_max != effective.n_max:
            said.append(f"{name} drafts {effective.n_max} tokens at most, not {draft.n_max}")
    return tuple(said)
