"""What the generator must know of a model: whether it has an MTP head, and its size."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from harness.config.gguf_header import Scalar, read_metadata

MTP_SIZE: Final = 3_000_000_000
"""Parameters from which on an MTP head gives more than it costs."""

_MARKER: Final = re.compile(r"-mtp(?![a-z0-9])", re.IGNORECASE)
_SIZE: Final = re.compile(
    r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([mbt])(?![a-z0-9])", re.IGNORECASE
)
_UNITS: Final = {"m": 1e6, "b": 1e9, "t": 1e12}


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of a model.

    Attributes:
        has_mtp: Whether it has an MTP head.
        parameters: Parameter count; None where nothing tells.
    """

    has_mtp: bool
    parameters: int | None

    @property
    def is_small(self) -> bool:
        """Whether it is known to be too small for MTP to pay."""
        return self.parameters is not None and self.parameters < MTP_SIZE


def model_facts(identifier: str, path: Path) -> ModelFacts:
    """Facts from the file's metadata; from the names where there is no file yet.

    Args:
        identifier: What the user calls the model, ``organisation/name`` or a plain name.
        path: The GGUF file.

    Raises:
        ModelError: The file is there but cannot be read.
    """
    try:
        found = path.stat()
    except OSError:
        return facts_from_names(identifier, path.name)
    return _facts_of_file(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _facts_of_file(path: Path, changed_ns: int, size: int) -> ModelFacts:  # noqa: ARG001
    """Read once for each state of a file: a matrix asks for every cell."""
    return facts_from_metadata(read_metadata(path))


def facts_from_metadata(metadata: Mapping[str, Scalar]) -> ModelFacts:
    """``{arch}.nextn_predict_layers``; ``general.parameter_count``, else the size label."""
    layers = metadata.get(f"{metadata.get('general.architecture')}.nextn_predict_layers", 0)
    count = metadata.get("general.parameter_count")
    label = metadata.get("general.size_label")
    return ModelFacts(
        has_mtp=isinstance(layers, int) and layers > 0,
        parameters=count
        if isinstance(count, int) and count > 0
        else size_in_name(label if isinstance(label, str) else ""),
    )


def facts_from_names(identifier: str, file_name: str = "") -> ModelFacts:
    """The ``-MTP`` marker and a size such as ``4B`` in the identifier's last segment or the file.

    The organisation does not count: ``lab-mtp/some-model`` says nothing about the model.
    """
    segment = identifier.replace("\\", "/").rstrip("/").rpartition("/")[2]
    names = (segment, file_name)
    return ModelFacts(
        has_mtp=any(_MARKER.search(name) for name in names),
        parameters=next((size for name in names if (size := size_in_name(name))), None),
    )


def size_in_name(name: str) -> int | None:
    """``4B``, ``500M``, ``8x7B`` as a parameter count; the first one that stands alone."""
    match = _SIZE.search(name)
    if match is None:
        return None
    return round(int(match[1] or 1) * float(match[2]) * _UNITS[match[3].lower()])
