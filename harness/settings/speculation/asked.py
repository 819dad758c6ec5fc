"""What an argument list itself asks for, whoever wrote it: its speculation."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness.flags.arguments import Argument
from harness.model import Speculation
from harness.settings.speculation.contract import (
    DRAFT_MTP,
    DRAFT_SIMPLE,
    NGRAM_MOD,
    NGRAM_MOD_N_MAX,
    ExpectedDraft,
)

_TYPE_FLAGS: Final = frozenset({"--spec-type"})
_DEFAULT_FLAGS: Final = frozenset({"--spec-default"})
_MODEL_FLAGS: Final = frozenset({"-md", "--model-draft", "--spec-draft-model"})
_LENGTH_FLAGS: Final = frozenset({"--draft-max", "--draft", "--draft-n", "--spec-draft-n-max"})
_NGRAM_LENGTH_FLAGS: Final = frozenset({"--spec-ngram-mod-n-max"})
_MTP_SWITCHES: Final = frozenset({"-mtp", "--multi-token-prediction"})
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
        if argument.flag in _TYPE_FLAGS:
            names += [_NAMES.get(word.strip(), word.strip()) for word in value.split(",")]
        elif argument.flag in _DEFAULT_FLAGS:
            names.append(NGRAM_MOD)
            ngram_length = NGRAM_MOD_N_MAX
        elif argument.flag in _MODEL_FLAGS:
            names.append(DRAFT_SIMPLE)
        elif argument.flag in _MTP_SWITCHES:
            names.append(DRAFT_MTP)
        elif argument.flag in _LENGTH_FLAGS and value.isdigit():
            length = int(value)
        elif argument.flag in _NGRAM_LENGTH_FLAGS and value.isdigit():
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
