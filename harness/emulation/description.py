"""From a description (TOML) and a recorded ``--help`` to what an emulated server runs on."""

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Final, Literal

import msgspec

from harness.emulation.command_line import CommandLine, Kind, OptionRow
from harness.emulation.eras import ERAS
from harness.emulation.faults import FAULTS
from harness.errors import CatalogueError
from harness.flags.capabilities import Capabilities, Option, parse_help

EraName = Literal["b8929", "b9093", "b9246", "b11434"]

_FLOATS: Final = frozenset(
    {
        "--adaptive-decay",
        "--adaptive-target",
        "--dry-base",
        "--dry-multiplier",
        "--dynatemp-exp",
        "--dynatemp-range",
        "--frequency-penalty",
        "--min-p",
        "--mirostat-ent",
        "--mirostat-lr",
        "--presence-penalty",
        "--repeat-penalty",
        "--rope-freq-base",
        "--rope-freq-scale",
        "--rope-scale",
        "--temp",
        "--top-nsigma",
        "--top-p",
        "--typical",
        "--video-fps",
        "--xtc-probability",
        "--xtc-threshold",
        "--yarn-attn-factor",
        "--yarn-beta-fast",
        "--yarn-beta-slow",
        "--yarn-ext-factor",
    }
)
_INTEGER_PLACEHOLDERS: Final = frozenset({"N", "PORT", "INDEX", "SECONDS", "SEED", "<0...100>"})
_NUMBER_PLACEHOLDERS: Final = frozenset({"P", "SIMILARITY"})
_TWO_PLACEHOLDERS: Final = frozenset({"START END", "TARGET DRAFT"})
_LAYER_FLAGS: Final = frozenset({"-ngl", "-ngld", "--spec-draft-ngl"})
_SWITCH_OR_WORD: Final = frozenset({"[on|off|auto]", "[on|off]"})

_SETS: Final = {
    "--model": "model",
    "--model-draft": "draft_model",
    "--port": "port",
    "--ctx-size": "context",
    "--spec-type": "types",
    "--spec-default": "default-speculation",
    "--draft-max": "n_max",
    "--draft-min": "n_min",
    "--spec-draft-n-max": "n_max",
    "--spec-draft-n-min": "n_min",
    "--spec-ngram-size-n": "ngram_match",
    "--spec-ngram-mod-n-match": "ngram_match",
    "--spec-ngram-mod-n-min": "ngram_min",
    "--spec-ngram-mod-n-max": "ngram_max",
    "--spec-ngram-simple-size-m": "simple_size",
    "--metrics": "metrics",
    "--slots": "slots",
}
_DEFAULTS: Final = ("n_max", "n_min", "ngram_match", "ngram_min", "ngram_max", "simple_size")

_SIZE_RANGE: Final = (1, 1024, "ngram size N must be between 1 and 1024 inclusive")


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
    if description.fault and description.fault not in FAULTS:
        known = ", ".join(FAULTS)
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


def option_rows(capabilities: Capabilities) -> tuple[OptionRow, ...]:
    """The options of a help text as the parser needs them."""
    return tuple(_row(option, capabilities) for option in capabilities.options)


def command_line(era: str, capabilities: Capabilities | None = None) -> CommandLine:
    """The command line of a real build's era.

    Args:
        era: One of ``ERAS``.
        capabilities: What its ``--help`` says; the recorded text's if not given.
    """
    capabilities = capabilities or parse_help(recorded_help(era))
    rows = option_rows(capabilities)
    return CommandLine(rows, ERAS[era], default_lengths(capabilities))


def default_lengths(capabilities: Capabilities) -> dict[str, int]:
    """The defaults of the lengths, as the help text states them."""
    found = {}
    for option in capabilities.options:
        setting = _setting(option)
        if setting in _DEFAULTS and not option.removed and (option.default or "").isdecimal():
            found[setting] = int(option.default or 0)
    return found


def compiled(description: Description) -> bytes:
    """What ``harness.emulation.program`` reads, as JSON.

    Raises:
        CatalogueError: See ``help_text``.
    """
    text = help_text(description)
    capabilities = parse_help(text)
    era = {**asdict(ERAS[description.era])}
    if description.type_list:
        era["types_add_up"] = True
    return json.dumps(
        {
            "help": text,
            "era": era,
            "version": f"version: 0 (emulated {description.era})",
            "defaults": default_lengths(capabilities),
            "rows": [_sparse(row) for row in option_rows(capabilities)],
            "fault": description.fault,
        }
    ).encode()


def _sparse(row: OptionRow) -> dict[str, object]:
    default = OptionRow(spellings=row.spellings, kind=row.kind)
    fields = asdict(row)
    return {
        name: value
        for name, value in fields.items()
        if name in {"spellings", "kind"} or value != getattr(default, name)
    }


def _row(option: Option, capabilities: Capabilities) -> OptionRow:
    kind = _kind(option)
    lowest, highest, reason = _bounds(option, capabilities)
    choices = option.choices if kind in {"choice", "types"} else ()
    if _first(option) in _LAYER_FLAGS:
        choices = ("auto", "all")
    if kind == "choice" and option.placeholder in _SWITCH_OR_WORD:
        choices = ("on", "off", "auto", "enabled", "disabled", "true", "false", "1", "0", "-1")
    if option.removed:
        reason = option.description.partition("removed. ")[2]
    return OptionRow(
        spellings=option.spellings,
        kind=kind,
        choices=choices,
        lowest=lowest,
        highest=highest,
        reason=reason,
        removed=option.removed,
        env=option.env or "",
        sets="" if option.removed else _setting(option),
    )


def _kind(option: Option) -> Kind:
    placeholder = option.placeholder
    if placeholder is None:
        return (
            "pair"
            if any(flag.startswith(("--no-", "-no")) for flag in option.spellings)
            else ("switch")
        )
    if placeholder in _TWO_PLACEHOLDERS:
        return "two"
    if "--spec-type" in option.spellings:
        return (
            "types" if "comma-separated" in option.description or "," in placeholder else ("choice")
        )
    if _FLOATS & set(option.spellings) or placeholder in _NUMBER_PLACEHOLDERS:
        return "number"
    if placeholder in _INTEGER_PLACEHOLDERS or placeholder == "<0|1>":
        return "integer"
    return "choice" if option.choices else "text"


def _bounds(option: Option, capabilities: Capabilities) -> tuple[int, int, str]:
    flag = _first(option)
    lowest, highest, reason = -(2**31), 2**31 - 1, "invalid value"
    if flag.startswith("--spec-ngram-"):
        if flag.endswith("min-hits"):
            lowest, reason = 1, "ngram min hits must be at least 1"
        elif flag.endswith(("-n-min", "-n-max")):
            name = "n-min" if flag.endswith("min") else "n-max"
            lowest, highest = 0, 1024
            reason = f"ngram {name} must be between 0 and 1024 inclusive"
        else:
            lowest, highest, reason = _SIZE_RANGE
    elif flag == "--spec-type":
        reason = "unknown speculative decoding type without draft model"
    elif flag == "--reasoning-budget":
        lowest = -1
    elif "prio" in flag:
        lowest, highest = (0 if "draft" in flag or "batch" in flag else -1), 3
    elif {"--n-cpu-moe", "--n-cpu-moe-draft", "--n-cpu-ffn"} & set(option.spellings):
        lowest = 0
    elif flag == "--spec-draft-n-max" and capabilities.offers("--spec-draft-sampling"):
        # Refused since some build between b9464 and b11434; older ones take it and crash.
        lowest = 0
    return lowest, highest, reason


def _setting(option: Option) -> str:
    return next((_SETS[flag] for flag in option.spellings if flag in _SETS), "")


def _first(option: Option) -> str:
    return option.spellings[0]
