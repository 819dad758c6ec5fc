"""A command line of one build, written for another: the smallest change that the other takes."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.flags import families
from harness.flags.arguments import OFF, Argument, read_arguments, value_count
from harness.flags.capabilities import Option, is_negative, opposites
from harness.flags.rewrites import mended
from harness.flags.rules import ALONE, ANY, CONTEXT, NOTHING, Renamed, Values, rules
from harness.subjects.command_lines import CommandLine
from harness.upgrade.changes import Change, Kind, added, dropped, in_order, replaced
from harness.upgrade.era import (
    UNKNOWN,
    Era,
    Part,
    Words,
    as_variable,
    read_parts,
)
from harness.upgrade.loading import is_of_loading, rewrite_loading
from harness.upgrade.speculation import rewrite_speculation

_OPEN_LISTS: Final = frozenset(
    {"--chat-template", "--reasoning-format", "--flash-attn", "--numa", "--gpu-layers",
     "--n-gpu-layers", "--log-colors", "--reasoning", "--verbosity", "--fit", "--context-shift",
     "--samplers"}
)  # fmt: skip
"""Options whose listed values are not all that they take."""
_TOOLS: Final = re.compile(r"available tools: ((?:\w+, )*\w+)")
_EVERY_TOOL: Final = "all"
_NUMBER: Final = re.compile(r"N\b.*")
_PLAIN_CACHE: Final = frozenset({"f32", "f16", "bf16"})
_CACHES: Final = ("--cache-type-k", "--cache-type-v")
_FLASH: Final = families.FLASH.flags[0]
_NO_FLASH: Final = families.FLASH.negations


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """A command line for another build.

    Attributes:
        line: As it is to be written.
        changes: What is written otherwise, in the order of the command line.
        stages: The command line after each change, the first one before all.
    """

    line: CommandLine
    changes: tuple[Change, ...]
    stages: tuple[CommandLine, ...]

    @property
    def lost(self) -> tuple[Change, ...]:
        """What the words on the other build no longer say."""
        return tuple(change for change in self.changes if change.lost)


def rewrite(line: CommandLine, old: Era, new: Era) -> Rewriting:
    """Write a command line for another build.

    Args:
        line: As the old build takes it. One that only the other build takes is written already.
        old: That build.
        new: The other one.
    """
    parts = read_parts(line, old, new)
    if is_taken(line, new) and not is_taken(line, old):
        changes = [*_for_quantised_cache(parts, new)]
    else:
        changes = changes_of(parts, line.words, old, new)
    written, told = _assembled(line, parts, changes, new)
    before = (_assembled(line, parts, changes[:count], new)[0] for count in range(len(changes)))
    return Rewriting(line=written, changes=told, stages=(*before, written))


def changes_of(parts: Sequence[Part], words: Sequence[str], old: Era, new: Era) -> list[Change]:
    """What is to be written otherwise, in order.

    Args:
        parts: Of a command line.
        words: All its words.
        old: The build that it is written for.
        new: The other one.
    """
    changes = [
        *rewrite_loading(parts, old, new),
        *rewrite_speculation(parts, old, new),
        *_for_quantised_cache(parts, new),
    ]
    settled = {change.place for change in changes if change.before}
    for place, part in enumerate(parts):
        if place not in settled and not is_of_loading(part):
            change = _rewritten(place, parts, words, old, new)
            changes += [] if change is None else [change]
    return in_order(changes)


def is_taken(line: CommandLine, era: Era) -> bool:
    """Whether a build takes a command line, as far as its help text tells."""
    variables = (era.capabilities.option_of_variable(name) for name in line.env)
    if any(option is not None and option.removed for option in variables):
        return False
    for argument in read_arguments(line.words, era.capabilities):
        option = era.option(argument.flag)
        if option is None or fitting(option, argument) != argument:
            return False
        if any(word.startswith("--") for word in argument.values):
            return False  # a flag where a value is missing
    return True


def _assembled(
    line: CommandLine, parts: Sequence[Part], changes: Sequence[Change], new: Era
) -> tuple[CommandLine, tuple[Change, ...]]:
    """The command line with its changes; what no variable says stands at the end of the words."""
    words: list[str] = []
    moved: list[str] = []
    variables: dict[str, tuple[tuple[str, str], ...]] = {}
    final: list[Change] = []
    given = {flag for part in parts if not part.variable for flag in part.spellings}
    for place, part in enumerate(parts):
        here = [change for change in changes if change.place == place]
        if not part.variable:
            stays = not any(change.before for change in here)
            words += part.written if stays else ()
            words += (word for change in here for word in change.words)
            final += here
            continue
        for change in here:
            own, others = _for_variables(change, new, given)
            kept = variables.get(part.variable, ((part.variable, part.value),))
            variables[part.variable] = own if change.before else (*kept, *own)
            moved += (word for one in others for word in one)
            told = tuple((f"{name}={value}",) for name, value in own)
            outdone = change.after and not (own or others)
            why = "the arguments set it" if outdone else change.why
            kind = Kind.VARIABLE_DEAD if outdone else change.kind
            final.append(replace(change, kind=kind, after=(*told, *others), why=why))
    env = {
        name: value
        for before, kept in line.env.items()
        for name, value in variables.get(before, ((before, kept),))
    }
    added = (change for change in changes if change.place < 0)
    words = [*(word for change in added for word in change.words), *words, *moved]
    first = [change for change in changes if change.place < 0]
    return replace(line, words=tuple(words), env=env), (*first, *final)


def _for_variables(
    change: Change, new: Era, given: Collection[str]
) -> tuple[tuple[tuple[str, str], ...], tuple[Words, ...]]:
    """What a change of a variable writes: variables, and arguments where no variable says it.

    Args:
        change: Of the variable.
        new: The build that it is written for.
        given: Flags of what the arguments set, which win over variables.
    """
    named = {words: as_variable(words, new) for words in change.after}
    own = tuple(variable for variable in named.values() if variable is not None)
    others = (words for words, variable in named.items() if variable is None)
    return own, tuple(words for words in others if words[0] not in given)


def _rewritten(
    place: int, parts: Sequence[Part], words: Sequence[str], old: Era, new: Era
) -> Change | None:
    """What stands for a part that other parts do not touch; None where it stays as it is."""
    part = parts[place]
    mistake = _mistake(place, part, words, old, new)
    if mistake is not None:
        return mistake
    timely = _of_its_time(place, parts, old, new)
    if isinstance(timely, Change):
        return timely
    translated, rule, lost = timely
    argument, renamed = _in_other_words(translated, part, new)
    option = new.option(argument.flag)
    fits = None if option is None else fitting(option, argument)
    if _reads(part, translated, old, new) if part.variable else fits == part.argument:
        return None
    if option is None:
        return _not_said(place, parts, old, new)
    if fits is None:
        return dropped(place, part, f"{new.id} takes no {' '.join(argument.words)}", lost=True)
    kind, why = _described(part, translated, fits, rule, new)
    lost = lost or fits.values != argument.values
    change = replaced(place, part, (fits.words,), why, kind)
    return _cited(replace(change, lost=lost), renamed or rule)


def _mistake(place: int, part: Part, words: Sequence[str], old: Era, new: Era) -> Change | None:
    """What no build takes as it is written, written so that the new one does."""
    if part.variable:
        if _stops_when_empty(part, new):
            return _mended(place, part, (), "an empty value stops the server")
        return None
    argument = part.argument
    gone = old.option(argument.flag) is not None and new.option(argument.flag) is None
    if gone or "$" in argument.value:
        return None
    mistake = mended(argument, words, new.capabilities) or _with_value(argument, new)
    if mistake is None:
        return None
    # What advice quotes for a shell is a word by itself here.
    words = tuple(word.strip("'") for word in mistake)
    return _mended(place, part, (words,) if words else (), "no build takes it so")


def _with_value(argument: Argument, new: Era) -> Words | None:
    """A flag that was a switch once, where the new build wants to be told on or off."""
    rule = next((one for one in rules().values if argument.spelling in one.flags), None)
    option = new.option(argument.flag)
    if rule is None or not rule.arity or argument.values or option is None:
        return None
    told = argument.option is None or argument.option.takes_value
    return (argument.flag, rule.newer[ALONE]) if option.takes_value and told else None


def _described(
    part: Part, translated: Argument, final: Argument, rule: Values | None, new: Era
) -> tuple[Kind, str]:
    """The kind of a change, and why it is made."""
    named = as_variable(final.words, new) if part.variable else None
    if named is not None and named[0] == part.variable:
        return Kind.VALUE, f"{new.id} takes {named[1]} for it"
    if part.variable or final.flag != translated.flag:
        return Kind.RENAMED, new.without(part)
    if len(part.argument.values) != len(final.values):
        return Kind.ARITY, f"{new.id} takes {_values(len(final.values))}"
    return Kind.VALUE, rule.why.format(build=new.id) if rule else f"{new.id} takes less"


def _values(count: int) -> str:
    return f"{count or 'no'} value{'s' if count > 1 else ''}"


def _cited(change: Change, rule: Renamed | Values | None) -> Change:
    return change if rule is None else replace(change, since=rule.since, source=rule.source)


def _mended(place: int, part: Part, after: tuple[Words, ...], why: str) -> Change:
    return replaced(place, part, after, why, Kind.MISTAKE)


def _of_its_time(
    place: int, parts: Sequence[Part], old: Era, new: Era
) -> tuple[Argument, Values | None, bool] | Change:
    """An argument with its value as the new build has it, the rule, and whether something is lost.

    The change where nothing is written for it.
    """
    part, last, lost = parts[place], None, False
    argument = part.argument
    words = _of_fork(argument, old, new)
    if words is not None:
        return replace(argument, flag=words[0], values=words[1:]), None, False
    for rule in _crossed(part, old, new):
        value = _translated(argument, rule, newer=_is_newer(rule, new))
        if value == CONTEXT:
            value = _context(parts)
            if value is None:
                change = dropped(place, part, rule.why.format(build=new.id), lost=True)
                return _cited(change, rule)
        if value == NOTHING:
            return _cited(dropped(place, part, f"{new.id} does so without being told"), rule)
        if value is not None:
            known = argument.value in rule.older
            lost = lost or argument.value in rule.lost or (ANY in rule.lost and not known)
            argument = replace(argument, values=() if value == ALONE else (value,))
            last = rule
    return argument, last, lost


def _context(parts: Sequence[Part]) -> str | None:
    """The tokens that a slot has; None where a command line does not tell them."""
    asked = _last(parts, "--ctx-size")
    slots = _last(parts, "--parallel") or "1"
    shared = any(part.says("--kv-unified") for part in parts)
    if not asked.strip("0").isdecimal() or not slots.isdecimal() or (shared and slots != "1"):
        return None
    return str(int(asked) // max(int(slots), 1))


def _last(parts: Sequence[Part], flag: str) -> str:
    """The value that an option has in the end; empty where nothing sets it."""
    return next((part.argument.value for part in reversed(parts) if part.says(flag)), "")


def _crossed(part: Part, old: Era, new: Era) -> Iterator[Values]:
    """The rules for its values that hold for one of the builds alone, in the order of time."""
    about = [
        rule
        for rule in rules().values
        if _is_about(part, rule) and _is_newer(rule, new) != _is_newer(rule, old)
    ]
    forward = new.number >= old.number
    for rule in sorted(about, key=lambda one: one.since, reverse=not forward):
        if rule.gone is None or new.since(rule.gone) or not new.since(rule.since):
            yield rule


def _is_about(part: Part, rule: Values) -> bool:
    option, flag = part.argument.option, part.argument.spelling
    return part.says(*rule.flags) and not (option and is_negative(option, flag))


def _is_newer(rule: Values, era: Era) -> bool:
    """Whether a build has the new form of a rule."""
    if rule.arity:
        option = next(filter(None, map(era.option, rule.flags)), None)
        return option is not None and option.takes_value
    return era.since(rule.since if rule.gone is None else rule.gone, rule.forks)


def _translated(argument: Argument, rule: Values, *, newer: bool) -> str | None:
    """A value in its other form; None where that is the same."""
    value = argument.value if argument.values else ALONE
    if rule.first:
        return None if newer or rule.separator not in value else value.split(rule.separator)[0]
    table = rule.newer if newer else rule.older
    if rule.separator:
        became = [table.get(word.strip(), word) for word in value.split(rule.separator)]
        joined = rule.separator.join(became)
        return None if joined == value else joined
    found = table.get(value, None if UNKNOWN.search(value) else table.get(ANY))
    return None if found == value else found


def _stops_when_empty(part: Part, new: Era) -> bool:
    option = new.option_of_variable(part.variable)
    number = option is not None and _NUMBER.fullmatch(option.placeholder or "")
    return bool(number) and not part.value


def _reads(part: Part, argument: Argument, old: Era, new: Era) -> bool:
    """Whether the new build reads a variable as the old one does."""
    option = new.option_of_variable(part.variable)
    if option is None or old.option_of_variable(part.variable) is None:
        return option is not None
    value = part.value
    if option.takes_value:
        return argument.values == part.argument.values or value == "1"
    return value.lower() in {"1", "true", "0", "false"} or part.variable.startswith("LLAMA_ARG_NO_")


def _in_other_words(argument: Argument, part: Part, new: Era) -> tuple[Argument, Renamed | None]:
    """An argument as the new build spells it, and the rule that tells so."""
    words = _joined(argument, new)
    if words is not None:
        return replace(argument, flag=words[0], values=words[1:]), None
    if new.option(argument.flag) is not None:
        return argument, None
    for rule in rules().renamed:
        flags = (*rule.new, *rule.old)
        live = _spelled_alike(argument.flag, flags, new)
        if not rule.types and part.says(*flags) and live is not None:
            return replace(argument, flag=live), rule
    return replace(argument, flag=_other_spelling(part, new) or argument.flag), None


def _spelled_alike(flag: str, flags: Sequence[str], era: Era) -> str | None:
    """The first of some flags that a build has, a long one for a long one where it can be."""
    live = [one for one in flags if era.option(one) is not None]
    alike = (one for one in live if one.startswith("--") == flag.startswith("--"))
    return next(alike, live[0] if live else None)


def _joined(argument: Argument, new: Era) -> Words | None:
    """Two values as one, or one as two."""
    option = new.option(argument.flag)
    rule = next((one for one in rules().joined if argument.spelling in one.flags), None)
    if rule is None or option is None:
        return None
    count = value_count(option)
    if count < len(argument.values):
        return (argument.flag, rule.separator.join(argument.values))
    if count > len(argument.values) and rule.separator in argument.value:
        return (argument.flag, *argument.value.rsplit(rule.separator, 1))
    return None


def _of_fork(argument: Argument, old: Era, new: Era) -> Words | None:
    """What upstream says in other words than a fork, or the fork than upstream."""
    said = " ".join((argument.spelling, *argument.values))
    for rule in rules().words:
        if rule.fork == old.fork != new.fork and said in rule.old:
            return tuple(rule.new.split())
        if rule.fork == new.fork != old.fork and said == rule.new:
            return tuple(rule.old[0].split())
    return None


def _other_spelling(part: Part, new: Era) -> str | None:
    """Another spelling of the same option that the new build has."""
    option, flag = part.argument.option, part.argument.spelling
    if option is None:
        return None
    negative = is_negative(option, flag)
    same = [one for one in option.spellings if is_negative(option, one) == negative]
    return _spelled_alike(flag, same, new)


def _not_said(place: int, parts: Sequence[Part], old: Era, new: Era) -> Change:
    """What the new build has no words for: it does so all the same, or it is lost."""
    part = parts[place]
    why = new.without(part)
    gone = next((one for one in rules().gone if part.says(*one.flags)), None)
    if gone is not None and new.since(gone.since):
        same = any(
            one.says(gone.same_as) and one.argument.value == part.argument.value for one in parts
        )
        told = dropped(place, part, f"{why}: {gone.why}", lost=not (gone.harmless or same))
        return replace(told, since=gone.since, source=gone.source)
    if _goes_without_saying(part, new):
        return dropped(place, part, f"{new.id} does so without being told")
    if old.fork and part.argument.option is not None:
        why = f"{why}, which only {old.fork} has"
    return dropped(place, part, why, lost=True)


def _goes_without_saying(part: Part, new: Era) -> bool:
    """Whether a build that has no words for something does it all the same."""
    option, flag = part.argument.option, part.argument.spelling
    negative = option is not None and is_negative(option, flag)
    absent = next((one for one in rules().absent if part.says(*one.flags)), None)
    if absent is not None:
        value = part.argument.value or ("off" if negative else "on")
        return value == absent.value or {value, absent.value} <= OFF
    if option is None or option.takes_value:
        return False
    contrary = filter(None, map(new.option, opposites(option, flag)))
    if any(not one.takes_value for one in contrary):
        return True  # what can only be turned off is on, and the other way round
    unknown = all(new.option(one) is None for one in option.spellings)
    return negative and unknown and len(option.spellings) > 1


def fitting(option: Option, argument: Argument) -> Argument | None:
    """An argument with those of its values that an option takes; None where it takes none."""
    if value_count(option) != len(argument.values):
        return None
    value = argument.value
    if not argument.values or UNKNOWN.search(value):
        return argument
    tools = _TOOLS.search(option.description) if "--tools" in option.spellings else None
    if tools is not None:
        known = {*tools[1].split(", "), _EVERY_TOOL}
        kept = [word for word in value.split(",") if word.strip() in known]
        return replace(argument, values=(",".join(kept),)) if kept else None
    listed = option.choices
    if not listed or not _OPEN_LISTS.isdisjoint(option.spellings) or value.lstrip("-").isdigit():
        return argument
    words = [word.strip() for word in value.replace(";", ",").split(",")]
    return argument if {*words} <= {*listed} else None


def _for_quantised_cache(parts: Sequence[Part], new: Era) -> Iterator[Change]:
    """A quantised V cache needs flash attention, which is off while it is a switch."""
    caches = [place for place, part in enumerate(parts) if part.says(*_CACHES)]
    quantised = [
        place
        for place in caches
        if parts[place].says(_CACHES[1]) and parts[place].argument.value not in _PLAIN_CACHE
    ]
    option = new.option(_FLASH)
    if not quantised or option is None or new.fork:
        return
    why = "a quantised V cache needs flash attention"
    flash = [place for place, part in enumerate(parts) if part.says(_FLASH, *_NO_FLASH)]
    if not flash and not option.takes_value:
        why = f"{why}, which is off on {new.id}"
        yield added(caches[0] - 1, (("-fa",),), why, Kind.DRIFT)
    for place in flash:
        said = parts[place].argument
        negative = said.spelling in _NO_FLASH
        flag, value = "-fa" if negative else said.flag, said.value
        after = (flag, "on") if option.takes_value else (flag,)
        if negative or value in OFF:
            yield replace(_mended(place, parts[place], (after,), why), lost=True)
        elif value == "auto" and not option.takes_value:
            yield replaced(place, parts[place], (after,), why, Kind.ARITY)
