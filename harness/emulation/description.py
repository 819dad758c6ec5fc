"""From a description (TOML) and a recorded ``--help`` to what an emulated server runs on."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from harness.emulation.command_line import INT_MAX, INT_MIN, Kind, OptionRow
from harness.emulation.eras import Era
from harness.emulation.faults import Fault
from harness.errors import CatalogueError
from harness.flags.capabilities import Capabilities, Option, parse_help

EraName = Literal["b8929", "b9093", "b9246", "b11434"]

_LENGTHS: Final = ("n_max", "n_min", "ngram_match", "ngram_min", "ngram_max", "simple_size")


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an emulated build is.

    Attributes:
        era: The real build whose command line and behaviour it has, but for what follows.
        speculative_types: Tokens of ``--spec-type``, where they differ.
        type_list: Whether ``--spec-type`` takes several tokens, separated by commas.
        fault: What it does wrong; see ``harness.emulation.faults``.
    """

    era: EraName
    speculative_types: tuple[str, ...] = ()
    type_list: bool = False
    fault: str = ""


def read_description(file: Path) -> Description:
    """Read a description.

    Raises:
        CatalogueError: It cannot be read, or is wrong.
    """
    try:
        description = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Description)
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{file}: cannot be read as text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{file}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise CatalogueError(f"{file}: {error}") from error
    faults = known_faults()
    if description.fault and description.fault not in faults:
        known = ", ".join(faults)
        raise CatalogueError(
            f"{file}: field fault: no fault is named {description.fault!r}; there are {known}"
        )
    return description


def recorded_help(era: str) -> str:
    """The ``--help`` text that was recorded of a real build.

    Raises:
        CatalogueError: There is none.
    """
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "_fixtures" / "help", package.parent / "fixtures" / "help"):
        file = directory / f"{era}.txt"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise CatalogueError(f"no --help text of {era} is recorded; record it in fixtures/help")


def help_text(description: Description) -> str:
    """What the emulated build prints for ``--help``.

    Raises:
        CatalogueError: Its era has no recorded text, or one that cannot be adapted.
    """
    text = recorded_help(description.era)
    if not description.speculative_types:
        return text
    option = parse_help(text).option("--spec-type")
    placeholder = (option.placeholder if option else None) or ""
    if not placeholder or placeholder not in text:
        raise CatalogueError(f"the --help text of {description.era} lists no speculative types")
    separator = "," if description.type_list else "|"
    types = separator.join(description.speculative_types)
    return text.replace(placeholder, types if description.type_list else f"[{types}]", 1)


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the values of some options may be.

    Attributes:
        flag: A glob; one of an option's spellings fits it.
        lowest: Smallest integer accepted.
        highest: Largest integer accepted.
        reason: What the server says of a value outside.
        beside: Holds only where the build offers this option too.
    """

    flag: str = "*"
    lowest: int = INT_MIN
    highest: int = INT_MAX
    reason: str = "invalid value"
    beside: str = ""


class OptionFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a help text does not say of its options; see ``options.toml``."""

    floats: frozenset[str]
    kinds: Mapping[str, Kind]
    choices: Mapping[str, tuple[str, ...]]
    sets: Mapping[str, str]
    bounds: tuple[Bounds, ...]


def known_eras() -> Mapping[str, Era]:
    """By the build whose behaviour it is."""
    return msgspec.convert(_table("eras.toml"), dict[str, Era])


def known_faults() -> Mapping[str, Fault]:
    """Everything that a build can be made to do wrong, by name."""
    return msgspec.convert(_table("faults.toml"), dict[str, Fault])


def _table(name: str) -> Mapping[str, Any]:
    return tomllib.loads(resources.files("harness.emulation").joinpath(name).read_text("utf-8"))


def compiled(description: Description) -> bytes:
    """What ``harness.emulation.program`` reads, as JSON.

    Raises:
        CatalogueError: See ``help_text``.
    """
    text = help_text(description)
    capabilities = parse_help(text)
    era = known_eras()[description.era]
    rows = option_rows(capabilities)
    return json.dumps(
        {
            "help": text,
            "era": asdict(replace(era, types_add_up=era.types_add_up or description.type_list)),
            "version": f"version: 0 (emulated {description.era})",
            "defaults": default_lengths(capabilities.options, rows),
            "rows": [asdict(row) for row in rows],
            "fault": asdict(known_faults().get(description.fault, Fault())),
        }
    ).encode()


def default_lengths(options: Sequence[Option], rows: Sequence[OptionRow]) -> dict[str, int]:
    """The defaults of the lengths, as the help text states them."""
    return {
        row.sets: int(option.default or 0)
        for option, row in zip(options, rows, strict=True)
        if row.sets in _LENGTHS and (option.default or "").isdecimal()
    }


def option_rows(capabilities: Capabilities) -> tuple[OptionRow, ...]:
    """The options of a help text as the parser needs them."""
    facts = msgspec.convert(_table("options.toml"), OptionFacts)
    return tuple(_row(option, capabilities, facts) for option in capabilities.options)


def _row(option: Option, capabilities: Capabilities, facts: OptionFacts) -> OptionRow:
    kind = _kind(option, facts)
    bounds = next((one for one in facts.bounds if _fits(one, option, capabilities)), Bounds())
    choices = facts.choices.get(option.spellings[0])
    if choices is None and kind == "choice":
        choices = facts.choices.get(option.placeholder or "", option.choices)
    elif choices is None and kind == "types":
        choices = option.choices
    return OptionRow(
        spellings=option.spellings,
        kind=kind,
        choices=choices or (),
        lowest=bounds.lowest,
        highest=bounds.highest,
        reason=option.description.partition("removed. ")[2] if option.removed else bounds.reason,
        removed=option.removed,
        env=option.env or "",
        sets=""
        if option.removed
        else next((facts.sets[flag] for flag in option.spellings if flag in facts.sets), ""),
    )


def _fits(bounds: Bounds, option: Option, capabilities: Capabilities) -> bool:
    return any(fnmatchcase(flag, bounds.flag) for flag in option.spellings) and (
        not bounds.beside or capabilities.offers(bounds.beside)
    )


def _kind(option: Option, facts: OptionFacts) -> Kind:
    placeholder = option.placeholder
    if placeholder is None:
        is_pair = any(flag.startswith(("--no-", "-no")) for flag in option.spellings)
        return "pair" if is_pair else "switch"
    if "--spec-type" in option.spellings:
        is_list = "comma-separated" in option.description or "," in placeholder
        return "types" if is_list else "choice"
    if facts.floats & set(option.spellings):
        return "number"
    return facts.kinds.get(placeholder) or ("choice" if option.choices else "text")
