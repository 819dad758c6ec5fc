"""llama-server's command line: arguments and environment to settings, or the error it prints."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from harness.emulation.eras import Era

Kind = Literal["switch", "pair", "integer", "number", "text", "choice", "types", "two"]

_INTEGER: Final = re.compile(r"\s*[+-]?\d+")
_NUMBER: Final = re.compile(
    r"\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.IGNORECASE
)
INT_MIN: Final = -(2**31)
INT_MAX: Final = 2**31 - 1
_TRUTHY: Final = frozenset({"on", "enabled", "true", "1"})
_FALSY: Final = frozenset({"off", "disabled", "false", "0"})

NGRAM_DEFAULT: Final = (24, 48, 64)
"""n_match, n_min and n_max of ngram-mod under ``--spec-default``."""


class ArgumentError(Exception):
    """What the server prints before it exits with status 1."""


@dataclass(frozen=True, kw_only=True)
class OptionRow:
    """One option as the parser needs it.

    Attributes:
        spellings: All flags that name it.
        kind: How its value is read.
        choices: What kinds ``choice`` and ``types`` accept.
        lowest: Smallest integer accepted.
        highest: Largest integer accepted.
        reason: What the server says of a value outside; or, of a removed option, what replaces it.
        removed: The option is only kept to say that it was removed.
        env: The variable that sets it.
        sets: The setting that it changes; empty where the emulation has no use for it.
    """

    spellings: tuple[str, ...]
    kind: Kind
    choices: tuple[str, ...] = ()
    lowest: int = INT_MIN
    highest: int = INT_MAX
    reason: str = "invalid value"
    removed: bool = False
    env: str = ""
    sets: str = ""


@dataclass(kw_only=True)
class ServerSettings:
    """What the server was told to do; filled in while it is read, so it is not frozen.

    Attributes:
        types: As given, in order; the last alone counts where they do not add up.
    """

    model: str = ""
    draft_model: str = ""
    port: int = 8080
    context: int = 0
    types: list[str] = field(default_factory=list)
    n_max: int = 16
    n_min: int = 0
    ngram_match: int = 24
    ngram_min: int = 48
    ngram_max: int = 64
    simple_size: int = 48
    metrics: bool = False
    slots: bool = True
    warnings: list[str] = field(default_factory=list)


class CommandLine:
    """Reads command lines as one era's server does."""

    def __init__(
        self, rows: Sequence[OptionRow], era: Era, defaults: Mapping[str, int] | None = None
    ) -> None:
        self._rows = rows
        self._era = era
        self._defaults = dict(defaults or {})
        self._by_flag = {flag: row for row in rows for flag in row.spellings}
        self._by_flag |= {flag: row for row in rows if not row.removed for flag in row.spellings}

    def read(self, argv: Sequence[str], env: Mapping[str, str]) -> ServerSettings:
        """The settings; variables first, so that arguments win over them.

        Raises:
            ArgumentError: The server refuses one; the message is what it prints.
        """
        settings = ServerSettings()
        for name, length in self._defaults.items():
            setattr(settings, name, length)
        for known in self._rows:
            if known.env and known.env in env:
                try:
                    self._apply_variable(known, env[known.env], settings)
                except ValueError as error:
                    raise ArgumentError(
                        f'error while handling environment variable "{known.env}": {error}\n\n'
                    ) from error
        seen: set[str] = set()
        words = iter(argv)
        for word in words:
            flag = word.replace("_", "-") if word.startswith("--") else word
            row = self._by_flag.get(flag)
            if row is None:
                raise ArgumentError(f"error: invalid argument: {flag}")
            self._note_repetition(flag, seen, settings)
            if row.env and row.env in env:
                settings.warnings.append(
                    f"warn: {row.env} environment variable is set, but will be overwritten by "
                    f"command line argument {flag}"
                )
            try:
                self._apply_words(row, flag, words, settings)
            except ValueError as error:
                raise ArgumentError(
                    f'error while handling argument "{flag}": {error}\n\nusage:\n'
                    f"{', '.join(row.spellings)}\n\n\nto show complete usage, run with -h"
                ) from error
        return settings

    def _note_repetition(self, flag: str, seen: set[str], settings: ServerSettings) -> None:
        if flag in seen and not (flag == "--spec-type" and self._era.types_add_up):
            settings.warnings.append(
                f"DEPRECATED: argument '{flag}' specified multiple times, use comma-separated "
                "values instead (only last value will be used)"
            )
        seen.add(flag)

    def _apply_variable(self, row: OptionRow, value: str, settings: ServerSettings) -> None:
        match row.kind:
            case "switch":
                if value in _TRUTHY:
                    self._apply(row, "", settings)
            case "pair":
                if value not in _TRUTHY | _FALSY:
                    raise ValueError(f"invalid boolean value: {value}")
                self._apply(row, "" if value in _TRUTHY else "no", settings)
            case "two":
                return
            case _:
                self._apply(row, value, settings)

    def _apply_words(
        self, row: OptionRow, flag: str, words: Iterator[str], settings: ServerSettings
    ) -> None:
        if row.kind in {"switch", "pair"}:
            self._apply(row, "no" if flag.startswith("--no-") else "", settings)
            return
        value = next(words, None)
        if value is None or (row.kind == "two" and next(words, None) is None):
            raise ValueError("expected value for argument")
        self._apply(row, value, settings)

    def _apply(self, row: OptionRow, text: str, settings: ServerSettings) -> None:
        value = read_value(row, text)
        if row.removed:
            raise ValueError(f"the argument has been removed. {row.reason}")
        match row.sets:
            case "":
                return
            case "types":
                self._add_types(text, settings)
            case "default-speculation":
                self._set_default_speculation(settings)
            case "metrics" | "slots" as name:
                setattr(settings, name, text == "")
            case name:
                setattr(settings, name, value)

    def _add_types(self, text: str, settings: ServerSettings) -> None:
        if not self._era.types_add_up:
            settings.types[:] = [text]
            return
        names = text.split(",")
        settings.types += ["none"] if "none" in names else names

    def _set_default_speculation(self, settings: ServerSettings) -> None:
        if self._era.types_add_up:
            settings.types.append("ngram-mod")
        else:
            settings.types[:] = ["ngram-mod"]
        if self._era.shared_lengths:
            settings.ngram_match, settings.n_min, settings.n_max = NGRAM_DEFAULT
        else:
            settings.ngram_match, settings.ngram_min, settings.ngram_max = NGRAM_DEFAULT


def read_value(row: OptionRow, text: str) -> int | str:
    """A value as C++ reads it: a number may be followed by anything.

    Raises:
        ValueError: The option does not take it; the message is the server's reason.
    """
    readers: Mapping[str, Callable[[OptionRow, str], int | str]] = {
        "integer": _integer,
        "number": _number,
        "choice": _choice,
        "types": _types,
    }
    reader = readers.get(row.kind)
    return text if reader is None else reader(row, text)


def _integer(row: OptionRow, text: str) -> int:
    if text in row.choices:
        return -1
    found = _INTEGER.match(text)
    if found is None or not INT_MIN <= int(found[0]) <= INT_MAX:
        raise ValueError("stoi")
    value = int(found[0])
    if row.removed or row.lowest <= value <= row.highest:
        return value
    raise ValueError(row.reason)


def _number(_: OptionRow, text: str) -> str:
    if not _NUMBER.match(text):
        raise ValueError("stof")
    return text


def _choice(row: OptionRow, text: str) -> str:
    if text not in row.choices:
        raise ValueError(row.reason)
    return text


def _types(row: OptionRow, text: str) -> str:
    for name in text.split(","):
        if name not in row.choices:
            raise ValueError(f"unknown speculative type: {name}")
        if name == "none":
            break
    return text
