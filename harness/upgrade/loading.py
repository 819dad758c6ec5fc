"""How a model is loaded: three switches that became the modes of one option."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.flags.capabilities import is_negative
from harness.flags.rules import Mode, rules
from harness.upgrade.changes import Change, Kind, added, dropped, replaced
from harness.upgrade.era import Era, Part, Words

_SWITCHES: Final = {"mmap": "--mmap", "mlock": "--mlock", "direct_io": "--direct-io"}
_PLAIN: Final = {"mmap": True, "mlock": False, "direct_io": False}
"""What holds where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What one part says of loading: a switch with its sign, or a mode."""

    switch: str = ""
    on: bool = True
    mode: str = ""


def is_of_loading(part: Part) -> bool:
    """Whether it says how a model is loaded."""
    return _said(part) is not None


def rewrite_loading(parts: Sequence[Part], old: Era, new: Era) -> list[Change]:
    """What of it is to be written otherwise."""
    about = {place: part for place, part in enumerate(parts) if is_of_loading(part)}
    told = _meaning([*about.values()], old)
    taken = all(_takes(part, new) for part in about.values())
    if not about or told is None or (taken and _meaning([*about.values()], new) == told):
        return []
    words = _words(told, new)
    if words is None:
        why = f"{new.id} has no mode that is {' and '.join(n for n, on in told.items() if on)}"
        return [dropped(place, part, why, lost=True) for place, part in about.items()]
    return [*_write(about, words, new)]


def _write(about: Mapping[int, Part], words: Sequence[Words], new: Era) -> list[Change]:
    """What is said already stays; the rest stands where the first of what is gone stood."""
    rule = rules().loading
    by_mode = _by_mode(new)
    kept = [place for place, part in about.items() if part.argument.words in words]
    needed = [one for one in words if one not in {about[place].argument.words for place in kept}]
    changes = []
    for place, part in about.items():
        if place in kept:
            continue
        if needed:
            known = new.option(part.argument.flag) is not None
            why = f"on {new.id} it would do more or less" if known else new.without(part)
            changes.append(replaced(place, part, needed, why, Kind.RENAMED))
            needed = []
        else:
            said = " ".join(word for one in words for word in one)
            why = f"{said} says it" if said else f"{new.id} does so without being told"
            changes.append(dropped(place, part, why))
    if needed:
        # Where the last switch counts, it is still the one that was there.
        why = f"on {new.id} it takes both"
        changes.append(added(min(about) - 1, needed, why, Kind.VALUE))
    since, source = (rule.gone, rule.gone_source) if by_mode else (rule.since, rule.source)
    return [replace(change, since=since, source=source) for change in changes]


def _said(part: Part) -> _Said | None:
    rule = rules().loading
    if part.says(rule.flag):
        return _Said(mode=part.argument.value)
    for name, switch in _SWITCHES.items():
        if part.says(switch, f"--no-{switch.removeprefix('--')}"):
            option, flag = part.argument.option, part.argument.spelling
            negative = is_negative(option, flag) if option else flag.startswith("--no-")
            return _Said(switch=name, on=not negative)
    return None


def _takes(part: Part, era: Era) -> bool:
    option = era.option(part.argument.flag)
    if option is None:
        return False
    return not part.says(rules().loading.flag) or part.argument.value in option.choices


def _meaning(parts: Sequence[Part], era: Era) -> Mapping[str, bool] | None:
    """What holds on a build; None where a mode is unknown."""
    rule = rules().loading
    told = dict(_PLAIN)
    for said in filter(None, map(_said, parts)):
        if said.mode:
            mode = rule.auto if said.mode == "auto" else said.mode
            found = next((one for one in rule.modes if one.mode == mode), None)
            if found is None:
                return None
            told = _of_mode(found)
        elif _by_mode(era):
            # Each switch sets the whole mode, and turned off it leaves none.
            told = {**dict.fromkeys(told, False), said.switch: said.on}
        else:
            told[said.switch] = said.on
    if told["direct_io"]:
        told["mmap"] = False
    return told


def _by_mode(era: Era) -> bool:
    return era.option(rules().loading.flag) is not None


def _of_mode(mode: Mode) -> dict[str, bool]:
    return {name: getattr(mode, name) for name in _SWITCHES}


def _words(told: Mapping[str, bool], new: Era) -> list[Words] | None:
    """What a build is told, flag by flag; None where it cannot be."""
    rule = rules().loading
    option = new.option(rule.flag)
    if option is not None:
        modes = (one.mode for one in rule.modes if _of_mode(one) == told)
        mode = next((one for one in modes if one in option.choices), None)
        return None if mode is None else [(rule.flag, mode)]
    wanted = dict(told)
    if wanted["direct_io"]:
        wanted["mmap"] = True  # which direct I/O turns off by itself
    words: list[Words] = []
    for name, switch in _SWITCHES.items():
        flag = switch if wanted[name] else f"--no-{switch.removeprefix('--')}"
        if wanted[name] == _PLAIN[name]:
            continue
        if new.option(flag) is None:
            return None
        words.append((flag,))
    return words
