"""One sentence on what is wrong with a few flags on a build, and the spelling it accepts."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from harness.flags.arguments import OFF, Argument, read_arguments
from harness.flags.capabilities import Capabilities, Option, opposites
from harness.flags.families import SPEC_TYPE
from harness.flags.lifetimes import since, value_since
from harness.flags.rewrites import (
    begins_with_dash,
    renamed_variable,
    rewritten,
    rewritten_variable,
)
from harness.model import Failure, FailureKind

_MISSPELLED: Final = 0.9
"""How alike two flags are of which one is the other misspelled, and not another wish."""
_FLAG: Final = re.compile(r"--?[A-Za-z][\w-]*")


def diagnose_refusal(
    words: Sequence[str],
    failure: Failure,
    build: str,
    capabilities: Capabilities,
    env: Mapping[str, str] | None = None,
    *,
    number: int | None = None,
) -> str:
    """Why a build refuses a command line, and what it would take instead.

    Args:
        words: The whole command line, as it was written.
        env: Its variables.
        failure: What the build said.
        build: Its id.
        capabilities: What it accepts.
        number: Upstream's number of it, to tell since when; None where it has none.
    """
    flag = failure.argument
    if flag is None:
        what = "starts, and dies" if failure.kind is FailureKind.DIED else "does not start"
        return f"{build} {what}: {failure.message}"
    if failure.kind is FailureKind.BAD_ENVIRONMENT:
        instead = variable_instead(flag, env or {}, capabilities) or "leave the variable unset"
        told = _since(flag, number)
        return f"the variable {flag} stops {build}: {failure.message}{told}; {instead}"
    if failure.kind is FailureKind.BAD_VALUE:
        return _bad_value(words, flag, failure, build, capabilities, number)
    if not flag.startswith("-"):
        return _stray_value(words, flag, build, capabilities)
    became = replacement(flag, words, capabilities)
    how = "has removed" if capabilities.removed(flag) else "does not know"
    advice = f"write {became} instead" if became else "leave it out"
    told = _since(flag, number)
    if how.endswith("removed"):
        told = told.replace("(removed ", "(")
    if became and became.split() == flag.split():
        return f"{flag!r} is one word to {build}, which knows none such; write it as several"
    return f"{build} {how} {flag}{told}; {advice}"


def _since(word: str, number: int | None) -> str:
    """Since when a build does not know a flag or variable, or from when on others do."""
    told = since(word, number) if number is not None else None
    return f" ({told})" if told else ""


def _value_since(
    words: Sequence[str], flag: str, capabilities: Capabilities, number: int | None
) -> str:
    """The same for each value of a flag that other builds list."""
    arguments = read_arguments(words, capabilities)
    argument = next((one for one in reversed(arguments) if one.flag == flag), None)
    if argument is None or number is None:
        return ""
    found = {one: value_since(flag, one, number) for one in argument.value.split(",")}
    told = [f"{value} {when}" for value, when in found.items() if when]
    return f"; {', '.join(told)}" if told else ""


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
    if "kv_unified" in lack and not any(one.spelling in {"-np", "--parallel"} for one in arguments):
        return " while it chooses the number of slots; write -np 4 --no-kv-unified"
    return None


def replacement(flag: str, words: Sequence[str], capabilities: Capabilities) -> str | None:
    """What to write for ``flag``, with its value; None where the build offers nothing for it."""
    argument = next((one for one in read_arguments(words, capabilities) if one.flag == flag), None)
    if argument is None:
        argument = Argument(flag=flag, values=(), option=capabilities.option(flag))
    instead = rewritten(argument, words, capabilities)
    if instead is not None:
        return " ".join(instead) or None
    stub = capabilities.option(flag)
    if stub is not None and stub.removed:
        named = (one for one in _FLAG.findall(stub.description) if capabilities.offers(one))
        return next(named, None)
    live_flags = [one for option in capabilities.options for one in option.spellings]
    no = ("--no-", "-no-")
    same_side = [one for one in live_flags if one.startswith(no) == flag.startswith(no)]
    close = difflib.get_close_matches(flag, same_side, n=1, cutoff=_MISSPELLED)
    return close[0] if close and capabilities.offers(close[0]) else None


def variable_instead(name: str, env: Mapping[str, str], capabilities: Capabilities) -> str | None:
    """``write NEW=VALUE instead`` where a variable has another name on a build."""
    if name not in env:
        became = renamed_variable(name, capabilities)
    else:
        became = rewritten_variable(name, env, capabilities)
    return None if became is None else f"write {became} instead"


def owner(words: Sequence[str], value: str, capabilities: Capabilities) -> Argument | None:
    """The argument that a word is left over from: the last one before it that the build knows."""
    before: Argument | None = None
    for argument in read_arguments(words, capabilities):
        if argument.flag == value:
            return before
        if argument.option is not None:
            before = argument
    return None


def opposite(switch: Argument, capabilities: Capabilities) -> str | None:
    """The flag that asks a build for the opposite of a switch; None where it has none."""
    others = opposites(switch.option, switch.spelling) if switch.option else ()
    return next(filter(capabilities.offers, others), None)


def _stray_value(words: Sequence[str], value: str, build: str, capabilities: Capabilities) -> str:
    if begins_with_dash(value) and (became := replacement(value, words, capabilities)):
        return f"{value!r} begins with a dash that is no hyphen; write {became} instead"
    before = owner(words, value, capabilities)
    if before is None or before.option is None:
        return f"{build} does not know what {value!r} is; leave it out"
    if not before.option.takes_value:
        advice = f"leave out {value!r}"
        if value.lower() in OFF:
            no = opposite(before, capabilities)
            advice = f"write {no} instead" if no else f"leave out {before.flag} {value}"
        return f"{before.flag} is a switch on {build} and takes no value; {advice}"
    count = f"{len(before.values)} value{'' if len(before.values) == 1 else 's'}"
    return (
        f"{before.flag} takes {count} on {build} ({before.option.placeholder}), and {value!r} is "
        "left over; leave it out"
    )


def _bad_value(  # noqa: PLR0917 - those of ``diagnose_refusal``
    words: Sequence[str],
    flag: str,
    failure: Failure,
    build: str,
    capabilities: Capabilities,
    number: int | None,
) -> str:
    option = capabilities.option(flag)
    index = words.index(flag) if flag in words else -1
    following = words[index + 1] if 0 <= index < len(words) - 1 else ""
    if option is None or not option.takes_value:
        return f"{build}: {failure.message}"
    if [*words[-1:]] == [flag]:
        took = "has none"
    elif _FLAG.fullmatch(following):
        took = f"took {following!r} for it"
    else:
        known = _value_since(words, flag, capabilities, number)
        return f"{build}: {failure.message}{_choices(option)}{known}"
    return (
        f"{flag} takes a value on {build} ({option.placeholder}), and {took}; "
        f"write {flag} {_first_choice(option)}"
    )


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
