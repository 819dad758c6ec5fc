"""What to write instead of what a build does not take: one rule for each kind of change.

Each rule gives the words that stand for an argument on a build, from what its ``--help`` offers.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

from harness.flags import families
from harness.flags.arguments import Argument, read_arguments
from harness.flags.capabilities import Capabilities

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
_SWITCHES: Final[Mapping[str, str]] = {
    "none": "--no-mmap",
    "mmap": "--mmap",
    "mlock": "--mlock",
    "mmap+mlock": "--mlock",
    "dio": "--direct-io",
}
_OFF: Final = frozenset({"0", "false", "off", "disabled"})
_CACHE_TYPES: Final = frozenset({"--cache-type-k", "-ctk", "--cache-type-v", "-ctv"})
_GLUED: Final = re.compile(r"([^-\s]+?)(--?[A-Za-z][\w-]*)")
_ALL_LAYERS: Final = "99"


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
    if option is None or not any(
        one.flag in refused and one.option and one.value in one.option.choices for one in caches
    ):
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
    off = value.lower() in _OFF
    words: Words = (f"--no-{dashed}",) if off else (f"--{dashed}", value)
    argument = Argument(flag=words[0], values=words[1:], option=capabilities.option(words[0]))
    instead = rewritten(argument, words, capabilities)
    if not instead:
        return None
    flag, *values = instead
    return f"{flag.lstrip('-')} = {' '.join(values) or 'on'}"


def renamed_variable(name: str, capabilities: Capabilities) -> str | None:
    """The variable that a build reads for what another meant; None where it has none."""
    family = next((one for one in families.RENAMED_VARIABLES if name in one.variables), None)
    for variable in family.variables if family else ():
        option = capabilities.option_of_variable(variable)
        if variable != name and option is not None and not option.removed:
            return variable
    return None


def _live(family: families.Family, flag: str, capabilities: Capabilities) -> str | None:
    """A spelling of the same wish that the build offers."""
    same_side = family.negations if flag in family.negations else family.flags
    return next((one for one in same_side if one != flag and capabilities.offers(one)), None)


def _is_known(argument: Argument) -> bool:
    """Whether the build has the flag, so that another spelling of it would help nothing."""
    return argument.option is not None and not argument.option.removed


def _same_family(
    argument: Argument, words: Sequence[str], capabilities: Capabilities
) -> Words | None:
    flag = argument.spelling
    family = next((one for one in families.REPLACEABLE if flag in one), None)
    if family is None or _is_known(argument):
        return None
    meant = families.NGRAM_MOD_OF_SHARED.get(family) if "ngram-mod" in " ".join(words) else None
    for wish in filter(None, (meant, family)):
        live = _live(wish, flag, capabilities)
        if live is not None:
            return (live, *argument.values)
    return None


def _load_mode(
    argument: Argument, words: Sequence[str], capabilities: Capabilities
) -> Words | None:
    """``--no-mmap`` as ``--load-mode none``, and back."""
    mode = capabilities.option("--load-mode")
    if argument.spelling in _MODES and mode is not None:
        unmapped, locked = "--no-mmap" in words, "--mlock" in words
        if unmapped and locked:
            return ("--load-mode", "mlock") if argument.spelling == "--no-mmap" else ()
        both = "mmap+mlock"
        if locked and both in f"{mode.description} {mode.choices}":
            return ("--load-mode", both)
        return ("--load-mode", _MODES[argument.spelling])
    if argument.spelling in {"--load-mode", "-lm"}:
        switch = _SWITCHES.get(argument.value)
        return (switch,) if switch and capabilities.offers(switch) else None
    return None


def _flash(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """A switch until Aug 2025, with a value since."""
    del words
    if argument.spelling == "--no-flash-attn":
        option = capabilities.option("--flash-attn")
        return ("--flash-attn", "off") if option and option.takes_value else ()
    if argument.spelling not in {"--flash-attn", "-fa"}:
        return None
    option = capabilities.option(argument.flag)
    if option is None:
        return None
    if option.takes_value:
        return (argument.flag, "on") if argument.value not in {"on", "off", "auto"} else None
    return (argument.flag,)


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


def _glued(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """A value with the next flag stuck to it."""
    found = _GLUED.fullmatch(argument.value)
    if found is None or not capabilities.offers(found[2]):
        return None
    following = list(words)[list(words).index(argument.value) + 1 :] if found else []
    rest = following[:1] if following and not following[0].startswith("-") else []
    return (argument.flag, found[1], found[2], *rest)


def _dashes(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """Two dashes before a short flag, or one before a long one."""
    del words
    bare = argument.flag.lstrip("-")
    if not argument.flag.startswith("-") or _is_known(argument):
        return None
    other = f"-{bare}" if argument.flag.startswith("--") else f"--{bare}"
    return (other, *argument.values) if capabilities.offers(other) else None


def _number(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """``auto`` where a build wants a number, and a number where it knows two."""
    del words, capabilities
    if families.GPU_LAYERS.is_set_by(argument) and _is_known(argument):
        return (argument.flag, _ALL_LAYERS)
    if argument.spelling == "--reasoning-budget" and argument.value not in {"0", "-1"}:
        return (argument.flag, "-1")
    return None


def _choice(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """A value in the letters that the build lists it in, or the one that it is the start of."""
    del words, capabilities
    option, value = argument.option, argument.value.lower().replace("-", "_")
    if option is None or len(argument.values) != 1 or argument.value in option.choices:
        return None
    alike = {one for one in option.choices if one.lower().replace("-", "_") == value}
    starts = {one for one in option.choices if value and one.lower().startswith(f"{value}_")}
    found = alike or starts
    return (argument.flag, *found) if len(found) == 1 else None


def _speculative(
    argument: Argument, words: Sequence[str], capabilities: Capabilities
) -> Words | None:
    """Types by the name that the build has for them."""
    del words
    if not families.SPEC_TYPE.is_set_by(argument):
        return None
    offered = capabilities.speculative_types
    other = {"draft": "draft-simple", "mtp": "draft-mtp"}
    both = {**other, **{new: old for old, new in other.items()}}
    named = both.get(argument.value)
    return (argument.flag, named) if named in offered else None


def _kwargs(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """JSON that a shell took the quotes of."""
    del words
    if argument.spelling != "--chat-template-kwargs":
        return None
    try:
        json.loads(argument.value)
    except ValueError:
        bare = argument.value.strip("'\"")
        compact = "".join(argument.value.split()).replace("'", "").replace('"', "")
        if compact == "{enable_thinking:false}" and capabilities.offers("--reasoning"):
            return ("--reasoning", "off")
        quoted = re.sub(r"(?<![\w\"])([A-Za-z_]\w*)(?=\s*:)", r'"\1"', bare)
        return (argument.flag, f"'{quoted}'")
    return None


def _scaled(argument: Argument, words: Sequence[str], capabilities: Capabilities) -> Words | None:
    """Two values became one with a colon between them."""
    option = argument.option
    if option is None or argument.spelling not in families.ONCE_TWO_VALUES:
        return None
    del capabilities
    rest = list(words)[list(words).index(argument.flag) + 1 :]
    scale = rest[1] if len(rest) > 1 else ""
    if len(argument.values) != 1 or ":" in argument.value or scale.startswith("-"):
        return None
    return (argument.flag, f"{argument.value}:{scale}")


_RULES: Final[tuple[Rule, ...]] = (
    _equals,
    _glued,
    _flash,
    _load_mode,
    _speculative,
    _number,
    _choice,
    _kwargs,
    _scaled,
    _same_family,
    _dashes,
    _stray_word,
)
