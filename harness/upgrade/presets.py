"""The preset of a router, whose keys are the flags of its models' command lines."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.flags.arguments import OFF, Argument
from harness.flags.capabilities import is_negative, opposites
from harness.upgrade.changes import Change, Kind, in_order, replaced
from harness.upgrade.era import (
    Era,
    Part,
    Words,
    as_variable,
    said_by,
)
from harness.upgrade.rewriting import changes_of

PRESET: Final = "--models-preset"
_SECTION: Final = re.compile(r"\s*\[(?P<name>.+)\]\s*")
_KEY: Final = re.compile(r"(?P<indent>\s*)(?P<key>[\w-]+)(?P<is>\s*=\s*)(?P<value>.*?)(?P<end>\s*)")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]+")


@dataclass(frozen=True, kw_only=True)
class RewrittenPreset:
    """The text of a preset for another build, and what of it is written otherwise."""

    text: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A key of a preset: the line that it stands in, and what it says."""

    number: int
    part: Part
    found: re.Match[str]


def rewrite_preset(text: str, old: Era, new: Era) -> RewrittenPreset:
    """Write the keys of a preset for another build; everything else of it stays."""
    if text and not text.endswith("\n"):
        whole = rewrite_preset(f"{text}\n", old, new)
        return replace(whole, text=whole.text.removesuffix("\n"))
    lines = [*text.splitlines(keepends=True)]
    changes: list[Change] = []
    for section in _sections(text, old, new):
        parts = [line.part for line in section]
        words = [word for part in parts for word in part.argument.words]
        found = changes_of(parts, words, old, new)
        mistakes = (_with_dashes(place, line, new) for place, line in enumerate(section))
        settled = {change.place for change in found if change.before}
        found += [one for one in mistakes if one and one.place not in settled]
        for change in in_order(found):
            near = section[max(change.place, 0)]
            keys = [key for one in change.after if (key := _key(one, near.part, new))]
            written = "".join(_written(near, key, value) for key, value in keys)
            lines[near.number] = written if change.before else lines[near.number] + written
            after = tuple((f"{key} = {value}",) for key, value in keys)
            changes.append(replace(change, after=after))
    return RewrittenPreset(text="".join(lines), changes=tuple(changes))


def _with_dashes(place: int, line: "_Line", new: Era) -> Change | None:
    """No build takes the underscores in a preset that it takes on a command line."""
    if "_" not in line.found["key"] or line.part.variable:
        return None
    why = f"{new.id} takes no underscore here"
    return replaced(place, line.part, (line.part.argument.words,), why, Kind.MISTAKE)


def _sections(text: str, old: Era, new: Era) -> Iterator[Sequence[_Line]]:
    """The keys of each section that a build has options for, or may have had."""
    keys: list[_Line] = []
    for number, line in enumerate(text.splitlines(keepends=True)):
        if line.lstrip().startswith(("#", ";")):
            continue
        found = _KEY.fullmatch(line)
        if _SECTION.fullmatch(line):
            yield keys
            keys = []
        elif found and (part := _part(found["key"], found["value"], old, new)):
            keys.append(_Line(number=number, part=part, found=found))
    yield keys


def _part(key: str, value: str, old: Era, new: Era) -> Part | None:
    written = (f"{key} = {value}",)
    if _VARIABLE.fullmatch(key):
        said = said_by(key, value, old) or said_by(key, value, new)
        named = (f"{key}={value}",)
        return None if said is None else Part(written=named, argument=said, variable=key)
    dashed = key.replace("_", "-")
    for era in (old, new):
        for flag in (f"--{dashed}", f"-{dashed}"):
            option = era.option(flag)
            if option is None:
                continue
            if option.takes_value:
                argument = Argument(flag=flag, values=(value,), option=option)
            else:
                off = value.lower() in OFF
                turned = opposites(option, flag)
                argument = Argument(flag=turned[0] if off else flag, values=(), option=option)
            return Part(written=written, argument=argument)
    return None


def _key(words: Words, part: Part, new: Era) -> tuple[str, str] | None:
    """The key and the value that say what a flag says."""
    option = new.option(words[0])
    variable = as_variable(words, new) if part.variable else None
    if variable is not None:
        return variable
    if option is None:
        return None
    if len(words) > 1:
        return words[0].lstrip("-"), words[1]
    if not is_negative(option, words[0]):
        return words[0].lstrip("-"), "on"
    positive = next((one for one in opposites(option, words[0]) if new.option(one)), None)
    return (positive.lstrip("-"), "off") if positive else (words[0].lstrip("-"), "on")


def _written(line: _Line, key: str, value: str) -> str:
    found = line.found
    return f"{found['indent']}{key}{found['is']}{value}{found['end']}"
