"""One sentence on what is wrong with a few flags on a build, and the spelling it accepts."""

import difflib
import re
from collections.abc import Sequence
from typing import Final

from harness.flags.arguments import Argument, read_arguments
from harness.flags.capabilities import Capabilities, Option
from harness.flags.families import NGRAM_MOD_OF_SHARED, REPLACEABLE, SPEC_TYPE
from harness.model import Failure, FailureKind

_FLAG: Final = re.compile(r"--?[A-Za-z][\w-]*")


def diagnose_refusal(
    words: Sequence[str], failure: Failure, build: str, capabilities: Capabilities
) -> str:
    """Why a build refuses a command line, and what it would take instead.

    Args:
        words: The whole command line.
        failure: What the build said.
        build: Its id.
        capabilities: What it accepts.
    """
    flag = failure.argument
    if flag is None:
        return f"{build} does not start: {failure.message}"
    if failure.kind is FailureKind.BAD_ENVIRONMENT:
        return f"the variable {flag} stops {build}: {failure.message}; unset it"
    if not flag.startswith("-"):
        return _stray_value(words, flag, build)
    if failure.kind is FailureKind.BAD_VALUE:
        swallowed = _swallowed(words, flag, capabilities)
        if swallowed is not None:
            option, following = swallowed
            return (
                f"{flag} takes a value on {build} ({option.placeholder}), and took {following!r} "
                f"for it; write {flag} {_first_choice(option)}"
            )
        return f"{build}: {failure.message}{_choices(capabilities.option(flag))}"
    became = replacement(flag, words, capabilities)
    how = "has removed" if capabilities.removed(flag) else "does not know"
    advice = f"write {became} instead" if became else "leave it out"
    return f"{build} {how} {flag}; {advice}"


def diagnose_lack(lack: str, words: Sequence[str], build: str, capabilities: Capabilities) -> str:
    """Why something asked for has no effect on a build, and what would have it."""
    cure = cure_of(lack, words, capabilities)
    return f"{lack} on {build}{cure or ', with ' + ' '.join(words)}"


def cure_of(lack: str, words: Sequence[str], capabilities: Capabilities) -> str | None:
    """The end of a sentence that says what would have the effect; None where nobody knows."""
    arguments = read_arguments(words, capabilities)
    types = [one for one in arguments if one.flag in SPEC_TYPE]
    if len(types) > 1:
        chain = ",".join(value for one in types for value in one.values)
        if capabilities.takes_type_list:
            return f"; give --spec-type once, as a list: --spec-type {chain}"
        return f", where the last of {len(types)} --spec-type wins; choose one"
    if not types and "draft-simple" in lack and "draft-simple" in capabilities.speculative_types:
        return ": a draft model alone does not turn drafting on there; add --spec-type draft-simple"
    return None


def replacement(flag: str, words: Sequence[str], capabilities: Capabilities) -> str | None:
    """A live flag that says what ``flag`` meant; None where the build offers none."""
    family = next((one for one in REPLACEABLE if flag in one), None)
    if family is not None:
        wishes_ngram_mod = "ngram-mod" in " ".join(words)
        meant = NGRAM_MOD_OF_SHARED.get(family) if wishes_ngram_mod else None
        for wish in filter(None, (meant, family)):
            live = next(
                (one for one in wish.flags if one != flag and capabilities.offers(one)), None
            )
            if live:
                return live
    stub = capabilities.option(flag)
    if stub is not None and stub.removed:
        named = (one for one in _FLAG.findall(stub.description) if capabilities.offers(one))
        return next(named, None)
    live_flags = [one for option in capabilities.options for one in option.spellings]
    close = difflib.get_close_matches(flag, live_flags, n=1, cutoff=0.85)
    return close[0] if close and capabilities.offers(close[0]) else None


def _stray_value(words: Sequence[str], value: str, build: str) -> str:
    index = words.index(value) if value in words else 0
    if index:
        flag = words[index - 1]
        return f"{flag} is a switch on {build} and takes no value; leave out {value!r}"
    return f"{build} does not know what {value!r} is"


def _swallowed(
    words: Sequence[str], flag: str, capabilities: Capabilities
) -> tuple[Option, str] | None:
    option = capabilities.option(flag)
    index = words.index(flag) if flag in words else -1
    following = words[index + 1] if 0 <= index < len(words) - 1 else ""
    if option is None or not option.takes_value or not _FLAG.fullmatch(following):
        return None
    return option, following


def _first_choice(option: Option) -> str:
    if option.choices:
        return option.choices[0]
    listed: list[str] = re.findall(r"[\w-]+", option.placeholder or "")
    lower = [word for word in listed if word.islower()]
    quoted: list[str] = re.findall(r"'(\w+)'", option.description)
    return (lower or quoted or ["VALUE"])[0]


def _choices(option: Option | None) -> str:
    return f"; it takes {', '.join(option.choices)}" if option and option.choices else ""


def flags_of(arguments: Sequence[Argument]) -> str:
    """The words of some arguments, as they stand in a command line."""
    return " ".join(word for argument in arguments for word in argument.words)
