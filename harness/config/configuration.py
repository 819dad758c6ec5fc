"""The user's settings, layer over layer: defaults, a file, environment variables, command line.

The file is ``llama-harness.toml``, or the table ``[tool.llama-harness]`` of ``pyproject.toml``, in
the working directory or one above it, up to the repository's top. The command line is the last
layer; it is laid over these by the command it belongs to.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from harness.config.paths import exists, expanded, is_file, working_directory
from harness.config.toml_lines import line_of_field
from harness.errors import ConfigurationError

FILE: Final = "llama-harness.toml"
PROJECT_FILE: Final = "pyproject.toml"
PROJECT_TABLE: Final = ("tool", "llama-harness")
FILE_VARIABLE: Final = "LLAMA_HARNESS_CONFIG"
VARIABLE_PREFIX: Final = "LLAMA_HARNESS_"
DEFAULT: Final = "default"
UNSET: Final = "-"
"""Shown for a setting without a value."""

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Count = Annotated[int, msgspec.Meta(ge=0, le=100)]
Source = Literal["package", "release", "git", "image", "local"]
Length = int | Literal["default"]


class Axes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """The axes of a matrix, under the names that a file gives them; empty means the default.

    Attributes:
        builds: Globs of build ids, instead of a profile.
        draft_lengths: Tokens, or ``default`` for not given.
    """

    builds: tuple[NonEmpty, ...] = ()
    environments: tuple[NonEmpty, ...] = ()
    subjects: tuple[NonEmpty, ...] = ()
    modes: tuple[NonEmpty, ...] = ()
    draft_lengths: tuple[Length, ...] = ()
    models: tuple[NonEmpty, ...] = ()


class Settings(Axes, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Every setting.

    Attributes:
        profile: A profile of the catalogue or of ``profiles``; ``smoke`` if empty.
        profiles: Axes by name, for ``--profile NAME``.
        sources: Kinds of source that builds may come from, in this order; the catalogue's order
            if empty.
        cache: The store's directory; the user's cache directory if empty.
        health_timeout: Seconds a server may take to become healthy.
        retries: How often a bad cell is run again, alone.
        ledger: File of known divergences; the harness's own if empty.
        workers: Processes side by side; as cores and cells allow if None.
    """

    profile: str = ""
    profiles: Mapping[str, Axes] = msgspec.field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    cache: str = ""
    health_timeout: Seconds = 60.0
    retries: Count = 1
    ledger: str = ""
    workers: Count | None = None


KEYS: Final = tuple(one.encode_name for one in msgspec.structs.fields(Settings))
AXES: Final = tuple(one.encode_name for one in msgspec.structs.fields(Axes))
_PATHS: Final = ("cache", "ledger")
_SPLIT: Final = (*AXES, "sources")
"""Lists, which a variable writes with commas between."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Settings, and where each came from.

    Attributes:
        origins: ``FILE:LINE`` or a variable's name, by key; keys with their default are absent.
        file: The file that was read; None where there is none.
    """

    settings: Settings
    origins: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None

    def origin(self, key: str) -> str:
        """Where a value came from."""
        return self.origins.get(key, DEFAULT)

    def value(self, key: str) -> Any:
        """A setting, by the name that a file gives it."""
        return getattr(self.settings, key.replace("-", "_"))


def load_configuration(
    directory: Path | None = None, environ: Mapping[str, str] | None = None
) -> Configuration:
    """Read the file and the variables.

    Args:
        directory: Where to look for a file first; the working directory if None.
        environ: The variables; the process's own if None.

    Raises:
        ConfigurationError: A file or a variable is wrong; the message names file, line and key.
    """
    environ = os.environ if environ is None else environ
    file = _find(directory or working_directory(), environ)
    layers = [*([_from_file(file)] if file else []), _from_variables(environ)]
    values = {key: value for layer in layers for key, value in layer.values.items()}
    origins = {key: origin for layer in layers for key, origin in layer.origins.items()}
    return Configuration(settings=msgspec.convert(values, Settings), origins=origins, file=file)


@dataclass(frozen=True, kw_only=True)
class _FileText:
    """The text of a file, and what stands before our keys in it."""

    file: Path
    text: str
    prefix: str

    def line(self, key: str) -> str:
        """``FILE:LINE`` of a key."""
        return f"{self.file}:{line_of_field(self.text, f'{self.prefix}{key}')}"


@dataclass(frozen=True, kw_only=True)
class _Layer:
    values: Mapping[str, Any]
    origins: Mapping[str, str]


def _find(directory: Path | None, environ: Mapping[str, str]) -> Path | None:
    if named := environ.get(FILE_VARIABLE):
        return expanded(named).absolute()
    for folder in (directory, *directory.parents) if directory else ():
        if is_file(folder / FILE):
            return folder / FILE
        project = folder / PROJECT_FILE
        if is_file(project) and _table_of(project, _read(project)[1]) is not None:
            return project
        if exists(folder / ".git"):
            break
    return None


def _read(file: Path) -> tuple[str, Mapping[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        return text, _parsed(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read as text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: not valid TOML: {error}") from error


@lru_cache(maxsize=4)
def _parsed(text: str) -> Mapping[str, Any]:
    """Parsed once: a run looks into its configuration several times."""
    return tomllib.loads(text)


def _table_of(file: Path, content: Mapping[str, Any]) -> Any:
    """What a file says to us; None where it is a project's file that says nothing."""
    if file.name != PROJECT_FILE:
        return content
    tool = content.get(PROJECT_TABLE[0], {})
    return tool.get(PROJECT_TABLE[1]) if isinstance(tool, dict) else None


def _from_file(file: Path) -> _Layer:
    text, content = _read(file)
    table = _table_of(file, content)
    prefix = ".".join(PROJECT_TABLE) + "." if file.name == PROJECT_FILE else ""
    source = _FileText(file=file, text=text, prefix=prefix)
    profiles = table.get("profiles") if isinstance(table, dict) else None
    for name, axes in profiles.items() if isinstance(profiles, dict) else ():
        _validate(source, f"profiles.{name}", axes, Axes)
    _validate(source, "", table or {}, Settings)
    values: dict[str, Any] = dict(table or {})
    for key in _PATHS:
        if values.get(key):
            values[key] = str(file.parent / expanded(values[key]))
    firsts: dict[str, str] = {"profiles": f"profiles.{next(iter(profiles))}"} if profiles else {}
    origins = {key: source.line(firsts.get(key, key)) for key in values}
    return _Layer(values=values, origins=origins)


def _validate(source: _FileText, above: str, table: Any, form: type[Axes]) -> None:
    try:
        msgspec.convert(table, form)
    except msgspec.ValidationError as error:
        place, message = _key_and_message(error, form)
        key = f"{above}.{place}".strip(".")
        where = source.line(key)
        raise ConfigurationError(f"{where}: {key or 'the table'}: {message}") from error


def _from_variables(environ: Mapping[str, str]) -> _Layer:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key in KEYS:
        variable = variable_of(key)
        text = environ.get(variable, "")
        if not text or key == "profiles":
            continue
        words = [word.strip() for word in text.split(",")] if key in _SPLIT else text
        try:
            read = msgspec.convert({key: _numbers(key, words)}, Settings, strict=False)
        except msgspec.ValidationError as error:
            _, message = _key_and_message(error, Settings)
            raise ConfigurationError(f"{variable}={text!r}: {message}") from error
        value = getattr(read, key.replace("-", "_"))
        values[key] = str(expanded(value).absolute()) if key in _PATHS else value
        origins[key] = variable
    return _Layer(values=values, origins=origins)


def variable_of(key: str) -> str:
    """The environment variable that sets a key."""
    return VARIABLE_PREFIX + key.upper().replace("-", "_")


def _numbers(key: str, words: str | Sequence[str]) -> Any:
    if key != "draft-lengths":
        return words
    return [int(word) if re.fullmatch(r"-?\d+", word) else word for word in words]


def _key_and_message(error: msgspec.ValidationError, form: type[Axes]) -> tuple[str, str]:
    """The key that is wrong, and what is wrong with it."""
    message, _, where = str(error).partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown is None:
        return key, message.replace("`", "")
    known = KEYS if form is Settings else AXES
    near = difflib.get_close_matches(unknown[1], known, n=1)
    advice = f"do you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{key}.{unknown[1]}".lstrip("."), f"no such key; {advice}"


def show(configuration: Configuration) -> Iterator[tuple[str, str, str]]:
    """Key, value and origin of every setting."""
    for key in KEYS:
        value = configuration.value(key)
        if isinstance(value, tuple | Mapping):
            text = ", ".join(map(str, value))
        elif isinstance(value, float):
            text = f"{value:g}"
        else:
            text = "" if value is None else str(value)
        yield key, text or UNSET, configuration.origin(key)
