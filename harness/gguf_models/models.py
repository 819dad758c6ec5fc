"""What the tiny models are: names, metadata and the digests of their bytes.

A model *claims* a size in its metadata; its tensors are as small as the builds accept. All of them
always continue with the same token, so that every draft is right and the number of tokens drafted
per step is the effective draft length.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from itertools import groupby
from typing import Final

import msgspec

PLAIN_MODEL: Final = "tiny-llama"
"""Every build loads it."""

EXPERTS_MODEL: Final = "tiny-moe"
"""It has experts, and a chat template that thinks and says what it was given."""

TEMPLATE_VARIABLES: Final = ("reasoning_effort", "preserve_thinking", "clear_thinking")
"""What that template repeats, each in brackets with its JSON; null where not given."""

DRAFT_MODEL: Final = "tiny-draft"
"""Fits all others: same vocabulary."""


class Architecture(Enum):
    """The network a file holds, by its ``general.architecture``."""

    LLAMA = "llama"
    """One block, no MTP. Every build loads it."""
    QWEN35 = "qwen35"
    """With an MTP block: loads from ggml-org/llama.cpp PR 22673 (seen in b9204) on, and only there:
    builds that know the architecture without MTP refuse the extra tensors (``wrong number of
    tensors``), older ones the architecture (``unknown model architecture``)."""
    GLM4MOE = "glm4moe"
    """With an MTP block that builds without MTP load and leave alone, as they do for GLM-4.5."""
    QWEN3MOE = "qwen3moe"
    """Two blocks of experts, no MTP, and a chat template that can think: every upstream build loads
    it."""

    @property
    def has_mtp(self) -> bool:
        """Whether it has an MTP (nextn) block."""
        return self in {Architecture.QWEN35, Architecture.GLM4MOE}


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file to write.

    Attributes:
        name: ``general.name``, and the file's name.
        architecture: The network.
        size_label: ``general.size_label``, what applications read a model's size from.
        parameters: ``general.parameter_count``, the same as a number.
        sha256: Digest of the whole file.
    """

    name: str
    architecture: Architecture
    size_label: str
    parameters: int
    sha256: str

    @property
    def has_mtp(self) -> bool:
        """Whether the file carries an MTP (nextn) block."""
        return self.architecture.has_mtp


def _models() -> Mapping[str, tuple[ModelFile, ...]]:
    text = resources.files("harness.gguf_models").joinpath("models.toml").read_text("utf-8")
    files = msgspec.convert(tomllib.loads(text)["file"], list[ModelFile])
    return {name: tuple(group) for name, group in groupby(files, lambda file: file.name)}


MODELS: Final = _models()
"""All models, by the name a load request uses: the file, and the fallback where there is one."""
