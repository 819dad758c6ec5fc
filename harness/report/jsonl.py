"""Results as JSON Lines: one line per cell, each complete on its own."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.config.json_schema import schema_of
from harness.errors import UsageError, writing
from harness.model import (
    RESULT_SCHEMA,
    CellResult,
    Check,
    DraftRange,
    Evidence,
    HostProfile,
    Replacement,
)
from harness.settings.state import SPECULATION

_BEFORE_IT_HAD_A_NUMBER: Final = 1
_FORMER_NAMES: Final = {"context": "context_per_slot", "cache": "cache_type_k"}
"""What settings were called in lines of schema 1."""


_NONE: Final = msgspec.Raw(b"[]")


class _Form(msgspec.Struct):
    """The schema of a line, and those parts of it that thousands of lines have in common."""

    schema: int = _BEFORE_IT_HAD_A_NUMBER
    host: msgspec.Raw = msgspec.Raw(b"null")
    checks: msgspec.Raw = _NONE
    witnessed_by: msgspec.Raw = msgspec.Raw(b"{}")
    witnesses: msgspec.Raw = _NONE
    replaced: msgspec.Raw = _NONE


def encode_result(result: CellResult) -> bytes:
    """One line, without its end."""
    return msgspec.json.encode(result)


def decode_result(line: bytes) -> CellResult:
    """Read one line back, of this or an earlier version of the harness.

    Raises:
        msgspec.ValidationError: It is no result.
    """
    try:
        form = msgspec.json.decode(line, type=_Form)
        if form.schema > RESULT_SCHEMA:
            raise msgspec.ValidationError(
                f"it is of schema {form.schema}, and this version reads {RESULT_SCHEMA} and below"
            )
        result = _typed(msgspec.json.decode(line, type=CellResult), form.schema)
    except UnicodeDecodeError as error:
        raise msgspec.ValidationError(f"not UTF-8: {error}") from error
    return replace(
        result,
        host=_shared(bytes(form.host), HostProfile | None),
        checks=_each_shared(form.checks, Check),
        witnessed_by=_shared(bytes(form.witnessed_by), Mapping[str, tuple[str, ...]]),
        witnesses=_each_shared(form.witnesses, Evidence),
        replaced=_each_shared(form.replaced, Replacement),
    )


def _typed(result: CellResult, schema: int) -> CellResult:
    """The result with the values of its settings as their settings hold them."""
    effective = result.effective
    if effective is not None:
        if schema < RESULT_SCHEMA:
            effective = _by_setting(effective)
        drafts = msgspec.convert(effective.get(SPECULATION, {}), dict[str, DraftRange])
        effective = {**effective, SPECULATION: drafts}
    attempts = tuple(_typed(attempt, schema) for attempt in result.attempts)
    return replace(result, schema=RESULT_SCHEMA, effective=effective, attempts=attempts)


def _each_shared(array: msgspec.Raw, kind: Any) -> tuple[Any, ...]:
    parts = msgspec.json.decode(array, type=list[msgspec.Raw])
    return tuple(_shared(bytes(part), kind) for part in parts)


@lru_cache(maxsize=2048)
def _shared(part: bytes, kind: Any) -> Any:
    """One value for all parts that are equal: they are two thirds of a result."""
    return msgspec.json.decode(part, type=kind)


def _by_setting(effective: Mapping[str, Any]) -> Mapping[str, Any]:
    """What lines of schema 1 hold: at first the implementations that were on, later settings."""
    if SPECULATION not in effective:
        return {SPECULATION: effective}
    return {_FORMER_NAMES.get(name, name): value for name, value in effective.items()}


def result_schema() -> bytes:
    """The JSON Schema of a line as it is written, as kept in ``docs``."""
    return schema_of((CellResult,), title="llama-harness result", complete=True)


def read_results(paths: Iterable[Path]) -> Iterator[CellResult]:
    """Every result of some files; a last line that was cut off in the middle is left out.

    Raises:
        UsageError: A file cannot be read or is no results file.
    """
    for path in paths:
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield decode_result(line)
            except msgspec.MsgspecError as error:
                if number == len(lines):
                    return
                raise UsageError(f"{path}:{number}: not a result line: {error}") from error


def merge_results(paths: Sequence[Path]) -> tuple[CellResult, ...]:
    """The results of all files, each cell where it first comes.

    Where a cell is in several files, the last file wins.

    Raises:
        UsageError: A file cannot be read or is no results file.
    """
    merged: dict[object, CellResult] = {}
    for result in read_results(paths):
        merged[result.build, result.subject, result.environment, result.request] = result
    return tuple(merged.values())


class JsonLinesWriter:
    """Writes results to a file, each handed to the system before the next cell is reported."""

    def __init__(self, path: Path) -> None:
        """Open the file; what an earlier run left in it is gone.

        Raises:
            UsageError: It cannot be written.
        """
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered, so that a full disk is met by the result that it has no room for.
            self._stream = path.open("wb", buffering=0)

    def write(self, result: CellResult) -> None:
        """Append one result.

        Raises:
            UsageError: The file cannot be written.
        """
        line = memoryview(encode_result(result) + b"\n")
        written = 0
        with writing(self._path):
            try:
                while written < len(line):
                    written += self._stream.write(line[written:])
            except OSError:
                # A part of a line is of no use; what came before it is whole.
                with suppress(OSError):
                    self._stream.truncate(self._stream.tell() - written)
                raise

    def close(self) -> None:
        """Force what was written to the disk, where the file lies on one, and close the file."""
        with suppress(OSError):
            os.fsync(self._stream.fileno())
        self._stream.close()
