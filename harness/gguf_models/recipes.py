"""What the tiny models are: names, metadata and the digests of their bytes.

A model *claims* a size in its metadata; its tensors are as small as the builds accept. All of them
always continue with the same token, so that every draft is right and the number of tokens drafted
per step is the effective draft length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

PLAIN_MODEL: Final = "tiny-llama"
"""Every build loads it."""


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


@dataclass(frozen=True, kw_only=True)
class Recipe:
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
        return self.architecture is not Architecture.LLAMA


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """One model: its file, and what goes with it.

    Attributes:
        file: The file.
        fallback: The file that stands for this model on builds without ``draft-mtp``.
        draft: Name of the draft model that fits: same vocabulary.
    """

    file: Recipe
    fallback: Recipe | None = None
    draft: str | None = None


def _llama(name: str, size_label: str, parameters: int, sha256: str) -> Recipe:
    return Recipe(
        name=name,
        architecture=Architecture.LLAMA,
        size_label=size_label,
        parameters=parameters,
        sha256=sha256,
    )


def _mtp(name: str, billions: int, *, sha256: str, fallback_sha256: str) -> ModelRecipe:
    file, fallback = (
        Recipe(
            name=name,
            architecture=architecture,
            size_label=f"{billions}B",
            parameters=billions * 10**9,
            sha256=digest,
        )
        for architecture, digest in (
            (Architecture.QWEN35, sha256),
            (Architecture.GLM4MOE, fallback_sha256),
        )
    )
    return ModelRecipe(file=file, fallback=fallback, draft="tiny-draft")


MODELS: Final[Mapping[str, ModelRecipe]] = {
    model.file.name: model
    for model in (
        ModelRecipe(
            file=_llama(
                "tiny-llama",
                "8B",
                8 * 10**9,
                "2cfec4a6b96af262ff19c026f3f93869e818812d15d2756a28c5490b20807834",
            ),
            draft="tiny-draft",
        ),
        ModelRecipe(
            file=_llama(
                "tiny-draft",
                "500M",
                5 * 10**8,
                "b8f3ccc03068f9b3bf76937eea41812dbade6f6b2f6559738698d95dcdb3ef80",
            )
        ),
        _mtp(
            "tiny-mtp",
            4,
            sha256="3b72bc2441a001a112e52da987f08c96706304dfd94656d1afd32043b39f03cb",
            fallback_sha256="c2a66b707e980b0753e30413602934330fb71ed2a7c3ddfcc1baf9001623c393",
        ),
        _mtp(
            "tiny-mtp-3b",
            3,
            sha256="a287487d6081c6ce7f7f283b8de3f00055dab451528b9786b3162720e3a6f6f4",
            fallback_sha256="ba4c8a53aff346bea88c34f3d7c2f49d891f3752283ea92b0839e2f5d6c1cfa7",
        ),
        _mtp(
            "tiny-mtp-1b",
            1,
            sha256="9902faeaf707715cbb7ada62232be13c692ecbca9d74e939c41508f1cd5a9c6b",
            fallback_sha256="5897b423936f90f93a07426175056b43a1589f0ac5037ac120c7ae82ad368a68",
        ),
    )
}
"""All models, by the name a load request uses."""
