"""What to write instead of what a build does not take: one rule for each kind of change.

Each rule gives the words that stand for an argument on a build, from what its ``--help`` offers.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from harness.flags import families
from harness.flags.arguments import BEGINS_FLAG, OFF, ON, Argument, read_arguments, value_count
from harness.flags.atlas import load_atlas
from harness.flags.capabilities import Capabilities
from harness.flags.renames import is_switch, other_flags, other_values, other_variables

Words = tuple[str, ...]
Rule = Callable[[Argument, Sequence[str], Capabilities], Words | None]
"""The words in place of an argument of a command line; None where the rule does not apply."""

_MODES: Final[Mapping[str, str]] = {
    "--no-mmap": "none",
    "--mmap": "mmap",
    "--mlock": "mlock",
    "--direct-io": "dio",
    "-dio": "dio",
}
"""What ``--load-mode`` (b10105 on) says in place of the switches, which are gone since b10878."""
_OTHER: Final = {"--mmap": "none", "--no-mmap": "mmap"}
"""What it says where such a switch was given a word for off, which no build takes."""
_SWITCHES: Final[Mapping[str, str]] = {
    "none": "--no-mmap",
    "mmap": "--mmap",
    "mlock": "--mlock",
    "mmap+mlock": "--mlock",
    "dio": "--direct-io",
}
_TOKENS: Final[Mapping[str, Words]] = {"mtp": ("draft-mtp",), "draft-mtp": ("mtp",)}
"""Types that branches and forks named otherwise before upstream had them."""
_CACHE_TYPES: Final = frozenset({"--cache-type-k", "-ctk", "--cache-type-v", "-ctv"})
_GLUED: Final = re.compile(r"([^-\s]+?)(--?[A-Za-z][\w-]*)")
_SCALE: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")
_STUCK: Final = re.compile(r"(-[A-Za-z]+)([0-9]\S*)")
_DASHES: Final = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
"""Programs for writing put the others in place of two hyphens, or of one."""
_ALL_LAYERS: Final = "99"
_NONE: Final = OFF | {"none", "no"}


def rewritten(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """The words that say on a build what an argument said elsewhere; None where none do.

    Args:
        argument: One that the build does not take, as it reads it.
        words: The whole command line.
        capabilities: Of the build.
    """
    found = (rule(argument, words, capabilities) for rule in _RULES)
    return next((one for one in found if one is not None and one != argument.words), None)


def advice_for(
    words: Sequence[str], refused: Sequence[str], capabilities: Capabilities
) -> tuple[str, ...]:
    """What to write instead of everything in a command line that a build does not take.

    Args:
        words: The command line.
        refused: Words that the build refused of it.
        capabilities: Of the build.

    Returns:
        Each stretch of rewritten arguments as one text.
    """
    pieces: list[Words | None] = []
    left_out: list[str] = []
    arguments = read_arguments(words, capabilities)
    for argument in arguments:
        unknown = argument.option is None or argument.option.removed
        at_fault = unknown or not {argument.flag, *argument.values}.isdisjoint(refused)
        glued = _glued(argument, words, capabilities)
        piece = glued or (rewritten(argument, words, capabilities) if at_fault else None)
        pieces.append(piece)
        drafts = any(families.DRAFT_MODEL.is_set_by(one) for one in arguments)
        if at_fault and piece is None and drafts and argument.flag in families.SPEC_TYPE:
            left_out.append(f"leave {argument.flag} out")  # a draft model alone drafts there
    stretches = [
        " ".join(word for piece in stretch if piece for word in piece)
        for is_new, stretch in groupby(pieces, key=bool)
        if is_new
    ]
    return (*filter(None, stretches), *left_out, *_with_flash(arguments, refused, capabilities))


def _with_flash(
    arguments: Sequence[Argument], refused: Sequence[str], capabilities: Capabilities
) -> tuple[str, ...]:
    """A quantised V cache needs flash attention, which is a switch until Aug 2025."""
    caches = [one for one in arguments if one.spelling in _CACHE_TYPES]
    option = capabilities.option("--flash-attn")
    known = [one for one in caches if one.option and one.value in one.option.choices]
    if option is None or not any(one.flag in refused for one in known):
        return ()
    written = next((one.flag for one in arguments if families.FLASH.is_set_by(one)), None)
    if option.takes_value:
        return (f"{written or '--flash-attn'} on",)
    return (" ".join(("-fa", *(word for one in caches for word in one.words))),)


def key_instead(key: str, value: str, capabilities: Capabilities) -> str | None:
    """What to write in a preset instead of a key that a build does not take."""
    dashed = key.replace("_", "-")
    if dashed != key and capabilities.offers(f"--{dashed}"):
        return f"{dashed} = {value}"
    off = value.lower() in OFF
    words: Words = (f"--no-{dashed}",) if off else (f"--{dashed}", value)
    argument = Argument(flag=words[0], values=words[1:], option=capabilities.option(words[0]))
    instead = rewritten(argument, words, capabilities)
    if not instead:
        return None
    flag, *values = instead
    return f"{flag.lstrip('-')} = {' '.join(values) or 'on'}"


def mended(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """The words for an argument that no build takes as it is written; None where it is none.

    Args:
        argument: As a build reads it.
        words: The whole command line.
        capabilities: Of the build that it is to be written for.
    """
    known = capabilities.offers(argument.flag)
    mistakes = (_glued, _kwargs) if known else (_equals, _one_word, _dashes, _stray_word)
    found = (rule(argument, words, capabilities) for rule in mistakes)
    return next((one for one in found if one is not None and one != argument.words), None)


def renamed_variable(name: str, capabilities: Capabilities) -> str | None:
    """The variable that a build reads for what another meant; None where it has none."""
    for variable in other_variables(name):
        option = capabilities.option_of_variable(variable)
        if option is not None and not option.removed:
            return variable
    return None


def rewritten_variable(name: str, env: Mapping[str, str], capabilities: Capabilities) -> str | None:
    """``NAME=VALUE``, or a flag, that says on a build what a variable said elsewhere.

    Args:
        name: The variable.
        env: All variables, this one with them: two may become one.
        capabilities: Of the build.
    """
    renamed = renamed_variable(name, capabilities)
    if renamed is not None:
        return f"{renamed}={env[name]}"
    context = [word for each in env for said in [*_said_by(each, env[each])][:1] for word in said]
    for words in _said_by(name, env[name]):
        instead = _words_there(words, context, capabilities)
        if instead:
            option = capabilities.option(instead[0])
            negates = instead[0].startswith("--no-")
            if option is None or option.env is None or negates:
                return " ".join(instead)
            # The build may read the variable, and refuse its value.
            if option.env != name:
                return f"{option.env}={instead[1] if instead[1:] else 1}"
    return None


def _said_by(variable: str, value: str) -> Iterator[Words]:
    """The flags, with their value, that say what a variable says on some build."""
    lives = load_atlas().history(variable)
    for name, life in lives.items():
        for _, facts in life.stages():
            if facts is None or not facts.works or not facts.has(variable):
                continue
            own = name if name in facts.spellings else max(facts.spellings, key=len)
            if facts.env != variable:
                yield (max(facts.negations, key=len),)
            elif facts.arity:
                yield (own, value)
            elif value.lower() not in OFF:
                yield (own,)
    if not lives:
        # It is read by no build; its name may have been made of a flag's.
        yield (f"--{variable.removeprefix('LLAMA_ARG_').lower().replace('_', '-')}", value)


def _words_there(words: Words, context: Sequence[str], capabilities: Capabilities) -> Words | None:
    """The same words where a build takes them, else what says the same there."""
    option = capabilities.option(words[0])
    if option is not None and not option.removed:
        return words
    argument = Argument(flag=words[0], values=words[1:], option=option)
    return rewritten(argument, (*words, *context), capabilities)


def _renamed(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """Another spelling of the same wish, by what the atlas knows of every era."""
    if capabilities.offers(argument.flag):
        return None
    own = families.DRAFT_MODEL.flags if argument.spelling in families.DRAFT_MODEL else ()
    takes_value = bool(argument.values) or not is_switch(argument.spelling)
    live = [
        one
        for one in (*other_flags(argument.spelling), *own)
        if capabilities.offers(one)
        and (option := capabilities.option(one)) is not None
        and option.takes_value is takes_value
        and (not argument.values or value_count(option) == len(argument.values))
    ]
    if not live:
        return None
    types = [part for word in words for part in word.split(",")]
    # A length that all implementations shared became one for each of them.
    meant = (one for one in live if any(one.startswith(f"--spec-{type_}-") for type_ in types))
    flag = next(meant, live[0])
    moved = Argument(flag=flag, values=argument.values, option=capabilities.option(flag))
    found = _value(moved, words, capabilities) or _choice(moved, words, capabilities)
    listed = moved.option.choices if moved.option else ()
    # By another flag a word that the option does not list is no value of it either.
    known = not listed or argument.value in listed or not argument.value.isalpha()
    return found or (moved.words if known else None)


def _load_mode(
    argument: Argument, words: Sequence[str], capabilities: Capabilities
) -> Words | None:
    """``--no-mmap`` as ``--load-mode none``, and back."""
    if argument.spelling in _MODES and capabilities.offers("--load-mode"):
        place = words.index(argument.flag) if argument.flag in words else len(words)
        if "".join(words[place + 1 : place + 2]).lower() in OFF:
            return ("--load-mode", _OTHER[argument.spelling]) if argument.spelling in _OTHER else ()
        if "--no-mmap" in words and "--mlock" in words:
            return ("--load-mode", "mlock") if argument.spelling == "--no-mmap" else ()
        return ("--load-mode", _MODES[argument.spelling])
    if argument.spelling in {"--load-mode", "-lm"}:
        switch = _SWITCHES.get(argument.value)
        return (switch,) if switch and capabilities.offers(switch) else None
    return None


def _flash(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """A switch until Aug 2025, with a value since."""
    del words
    option = capabilities.option("--flash-attn")
    if option is None or argument.spelling not in {"--flash-attn", "-fa", "--no-flash-attn"}:
        return None
    if argument.spelling == "--no-flash-attn":
        return ("--flash-attn", "off") if option.takes_value else None
    if not option.takes_value:
        return (argument.flag,)
    # Until then it had no value: what follows it is another flag.
    alone = not argument.values or BEGINS_FLAG.match(argument.value)
    return (argument.flag, "on") if alone else None


def _stray_word(
    argument: Argument, words: Sequence[str], capabilities: Capabilities
) -> Words | None:
    """A word that is no value: of a switch, an address, a model."""
    word = argument.flag
    if word.startswith("-"):
        return None
    place = words.index(word) if word in words else 0
    before = capabilities.option(words[place - 1]) if place else None
    if before is not None and not before.takes_value and word in {"on", "true", "1", "auto"}:
        return ()
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return ("-m", word) if word.endswith(".gguf") and "-m" not in words else None
    return ("--host", word)


def _equals(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """No build takes ``--flag=value``."""
    del words
    flag, equals, value = argument.flag.partition("=")
    return (flag, value) if equals and capabilities.offers(flag) else None


def _one_word(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """A flag and its value in one word, with a blank between them or nothing."""
    del words
    flag, *values = argument.flag.split()[:2] or [""]
    if values and capabilities.offers(flag):
        return (flag, *argument.flag.split(maxsplit=1)[1:], *argument.values)
    found = _STUCK.fullmatch(argument.flag)
    return (found[1], found[2]) if found and capabilities.offers(found[1]) else None


def begins_with_dash(word: str) -> bool:
    """Whether a word begins with what looks like hyphens and is none."""
    return word[:1] in {*_DASHES} - {"-"}


def is_glued(value: str) -> bool:
    """Whether the next flag sticks to a value."""
    return _GLUED.fullmatch(value) is not None


def _glued(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """A value with the next flag stuck to it."""
    found = _GLUED.fullmatch(argument.value)
    if found is None or not capabilities.offers(found[2]):
        return None
    following = list(words)[list(words).index(argument.value) + 1 :] if found else []
    rest = following[:1] if following and not following[0].startswith("-") else []
    return (argument.flag, found[1], found[2], *rest)


def _dashes(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """Two dashes before a short flag, or one before a long one; or what looks like a dash."""
    bare = argument.flag.lstrip(_DASHES)
    if not argument.flag.startswith("-"):
        flag = next(filter(capabilities.offers, (f"--{bare}", f"-{bare}")), None)
        if flag is None or bare == argument.flag:
            return None
        following = [*words[words.index(argument.flag) + 1 :]][:1]
        option = capabilities.option(flag)
        return (flag, *(following if option and option.takes_value else ()))
    other = f"-{bare}" if argument.flag.startswith("--") else f"--{bare}"
    return (other, *argument.values) if capabilities.offers(other) else None


def _number(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """``auto`` where a build wants a number, and a number where it knows two."""
    del words
    if not capabilities.offers(argument.flag):
        return None
    none = argument.value.lower() in _NONE
    if families.GPU_LAYERS.is_set_by(argument):
        return (argument.flag, "0" if none else _ALL_LAYERS)
    if argument.spelling == "--reasoning-budget" and argument.value not in {"0", "-1"}:
        return (argument.flag, "0" if none else "-1")
    return None


def _value(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """Values by the names that the build has for them."""
    del words
    option = capabilities.option(argument.flag)
    if option is None or option.removed or not option.choices or not argument.values:
        return None
    there = []
    for part in argument.value.split(","):
        others = (part, *other_values(argument.spelling, part), *_TOKENS.get(part, ()))
        named = next((one for one in others if one in option.choices), None)
        if named is None:
            return None
        there.append(named)
    return (argument.flag, ",".join(there))


def _choice(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """A value in the letters that the build lists it in, or the one that it is the start of.

    Switches take other words for on and off than options that list these two do.
    """
    del words, capabilities
    option, value = argument.option, argument.value.lower().replace("-", "_")
    if option is None or len(argument.values) != 1 or argument.value in option.choices:
        return None
    value = "off" if value in OFF else "on" if value in ON else value
    alike = {one for one in option.choices if one.lower().replace("-", "_") == value}
    starts = {one for one in option.choices if value and one.lower().startswith(f"{value}_")}
    found = alike or starts
    return (argument.flag, *found) if len(found) == 1 else None


def _kwargs(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """JSON that a shell took the quotes of."""
    del words
    if argument.spelling != "--chat-template-kwargs" or not capabilities.offers(argument.flag):
        return None
    try:
        json.loads(argument.value)
    except ValueError:
        compact = "".join(argument.value.split()).replace("'", "").replace('"', "")
        if compact == "{enable_thinking:false}" and capabilities.offers("--reasoning"):
            return ("--reasoning", "off")
        quoted = re.sub(r"([A-Za-z_]\w*)(?=\s*:)", r'"\1"', argument.value)
        return (argument.flag, f"'{quoted}'")
    return None


def _scaled(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """Two values became one with a colon between them."""
    option = argument.option
    if option is None or argument.spelling not in families.ONCE_TWO_VALUES or not argument.values:
        return None
    del capabilities
    path, colon, scale = argument.value.rpartition(":")
    if value_count(option) > 1:
        # The word after it is another argument's.
        apart = (argument.flag, path, scale, *argument.values[1:])
        return apart if colon and _SCALE.fullmatch(scale) else None
    rest = list(words)[list(words).index(argument.flag) + 1 :]
    following = rest[1] if len(rest) > 1 else ""
    if colon or not _SCALE.fullmatch(following):
        return None
    return (argument.flag, f"{argument.value}:{following}")


_RULES: Final[tuple[Rule, ...]] = (
    _equals,
    _one_word,
    _glued,
    _flash,
    _load_mode,
    _value,
    _number,
    _choice,
    _kwargs,
    _scaled,
    _renamed,
    _dashes,
    _stray_word,
)
