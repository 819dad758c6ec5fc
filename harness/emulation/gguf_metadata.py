"""The one fact an emulated server needs of a model file: whether it has an MTP head."""

import struct
from typing import IO, Final

_MAGIC: Final = b"GGUF"
_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING: Final = 8
_ARRAY: Final = 9
_UINT32: Final = 4
_HEAD_KEY: Final = ".nextn_predict_layers"


class UnreadableModelError(Exception):
    """The file is no model; the message is the server's log line."""


def has_mtp_head(path: str) -> bool:
    """Whether the model file carries an MTP (nextn) head.

    Raises:
        UnreadableModelError: It cannot be read.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib would double the start-up time
            return _has_mtp_head(file)
    except (OSError, struct.error, KeyError) as error:
        raise UnreadableModelError(f"failed to open GGUF file {path}") from error


def _has_mtp_head(file: IO[bytes]) -> bool:
    if file.read(4) != _MAGIC:
        raise UnreadableModelError("error loading model: invalid magic characters")
    _, _, count = struct.unpack("<IQQ", file.read(20))
    for _ in range(count):
        key = _string(file)
        (kind,) = struct.unpack("<I", file.read(4))
        if key.endswith(_HEAD_KEY) and kind == _UINT32:
            return bool(struct.unpack("<I", file.read(4))[0])
        _skip(file, kind)
    return False


def _string(file: IO[bytes]) -> str:
    (size,) = struct.unpack("<Q", file.read(8))
    return file.read(size).decode("utf-8", "replace")


def _skip(file: IO[bytes], kind: int) -> None:
    if kind == _STRING:
        _string(file)
    elif kind == _ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        if inner in {_STRING, _ARRAY}:
            for _ in range(count):
                _skip(file, inner)
        else:
            file.seek(_SIZES[inner] * count, 1)
    else:
        file.seek(_SIZES[kind], 1)
