"""Reads the metadata of a GGUF file: versions 2 and 3, scalars and strings, without numpy.

Arrays are stepped over; the file format is described in ggml's ``docs/gguf.md``. An emulated server
reads its model with it: the standard library alone, and without pathlib, which takes as long to
import as such a server takes to start.
"""

import os
import struct
from collections.abc import Mapping
from typing import BinaryIO, Final

from harness.errors import ModelError

Scalar = str | int | float | bool

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_FORMATS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_STRING: Final = 8
_ARRAY: Final = 9
_LONGEST_STRING: Final = 16 * 1024 * 1024
"""Bytes; anything longer is a damaged file, not metadata."""


class NotGgufError(ModelError):
    """A file begins unlike a GGUF file. Name another one, or fetch it again."""


def read_metadata(path: str | os.PathLike[str]) -> Mapping[str, Scalar]:
    """All scalar and string metadata by key.

    Raises:
        ModelError: The file cannot be read or is no GGUF file of a known version.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - without pathlib
            if file.read(len(_MAGIC)) != _MAGIC:
                raise NotGgufError(
                    f"model {path} is no usable GGUF file: it does not start with GGUF; "
                    "fetch it again"
                )
            return _read(file)
    except OSError as error:
        raise ModelError(f"model {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, struct.error) as error:
        raise ModelError(f"model {path} is no usable GGUF file: {error}; fetch it again") from error


def _read(file: BinaryIO) -> Mapping[str, Scalar]:
    version = _number(file, "<I")
    if version not in _VERSIONS:
        raise ValueError(f"it is of version {version}, not 2 or 3")
    _number(file, "<Q")
    values: dict[str, Scalar] = {}
    for _ in range(_number(file, "<Q")):
        key = _string(file)
        value = _value(file, _number(file, "<I"))
        if value is not None:
            values[key] = value
    return values


def _value(file: BinaryIO, kind: int) -> Scalar | None:
    match kind:
        case _ if kind == _STRING:
            return _string(file)
        case _ if kind == _ARRAY:
            _skip_array(file)
            return None
        case _ if kind in _FORMATS:
            return _scalar(file, _FORMATS[kind])
        case _:
            raise ValueError(f"it holds a value of unknown type {kind}")


def _skip_array(file: BinaryIO) -> None:
    kind, count = _number(file, "<I"), _number(file, "<Q")
    if kind in _FORMATS:
        file.seek(count * struct.calcsize(_FORMATS[kind]), 1)
        return
    for _ in range(count):
        _value(file, kind)


def _string(file: BinaryIO) -> str:
    length = _number(file, "<Q")
    if length > _LONGEST_STRING:
        raise ValueError(f"it holds a string of {length} bytes")
    data = file.read(length)
    if len(data) < length:
        raise ValueError("it ends within its metadata")
    return data.decode("utf-8", errors="replace")


def _number(file: BinaryIO, form: str) -> int:
    return int(_scalar(file, form))


def _scalar(file: BinaryIO, form: str) -> int | float | bool:
    data = file.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise ValueError("it ends within its metadata")
    value: int | float | bool = struct.unpack(form, data)[0]
    return value
