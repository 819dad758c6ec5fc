"""Files that are loaded beside a model and fit it alone: adapters, projectors, control vectors."""

from pathlib import Path
from typing import Final

from harness.config.gguf_header import read_metadata
from harness.errors import ModelError

COMPANION: Final = "fits the tiny models"
"""The name in the metadata of those that the harness writes."""


def fits_another_model(path: Path) -> bool:
    """Whether it is a GGUF file that no tiny model can be loaded with.

    A file that is no GGUF file is none: the build says what it thinks of it.
    """
    try:
        return read_metadata(path).get("general.name") != COMPANION
    except ModelError:
        return False
