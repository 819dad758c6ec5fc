"""The checks: what must hold of a plan and of the server it starts, each against what was seen."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.flags import families
from harness.flags.arguments import Argument
from harness.flags.capabilities import Capabilities
from harness.model import Check, Failure, LaunchPlan, LoadRequest
from harness.settings.base import EFFECT
from harness.settings.speculation.comparison import (
    DRAFT_N_MAX,
    DRAFT_N_MIN,
    IMPLEMENTATIONS,
    TWO_WITNESSES,
)
from harness.settings.speculation.contract import Expectation

STARTS: Final = "starts"
FLAGS_OFFERED: Final = "flags-offered"
NO_FLAG_TWICE: Final = "no-flag-twice"
MIN_NOT_ABOVE_MAX: Final = "min-not-above-max"
NO_WARNING: Final = "no-warning"
ONLY_USERS_SPECULATION: Final = "only-users-speculation"
SAYS_WHY: Final = "says-why"

CHECK_NAMES: Final = (
    STARTS,
    FLAGS_OFFERED,
    NO_FLAG_TWICE,
    MIN_NOT_ABOVE_MAX,
    NO_WARNING,
    ONLY_USERS_SPECULATION,
    SAYS_WHY,
    IMPLEMENTATIONS,
    DRAFT_N_MAX,
    DRAFT_N_MIN,
    TWO_WITNESSES,
    EFFECT,
)

_RANGES: Final = (
    (families.DRAFT_MIN, families.DRAFT_MAX),
    (families.NGRAM_MOD_MIN, families.NGRAM_MOD_MAX),
)
_SPECULATIVE: Final = re.compile(r"--(spec-|draft|multi-token-prediction).*|--.*-draft")


def check_plan(
    plan: LaunchPlan,
    arguments: Sequence[Argument],
    capabilities: Capabilities,
    request: LoadRequest,
    expectation: Expectation,
) -> list[Check]:
    """What can be said of a plan before anything is started."""
    checks = [
        _flags_offered(arguments),
        _no_flag_twice(arguments),
        _min_not_above_max(arguments, capabilities),
    ]
    if expectation.user_owns_speculation:
        checks.append(_only_users_speculation(plan, arguments, request))
    if expectation.shortfall:
        checks.append(_says_why(plan, expectation.shortfall))
    return checks


def check_start(failure: Failure | None) -> Check:
    """The server becomes healthy."""
    return Check(
        name=STARTS,
        expected="the server becomes healthy",
        observed=failure.message if failure else "healthy",
        ok=failure is None,
        argument=failure.argument if failure else None,
    )


def check_log(lines: Iterable[str]) -> Check:
    """No warning about a deprecated or overwritten argument."""
    warned = (line for line in lines if "DEPRECATED" in line or "overwritten" in line)
    warning = next(warned, None)
    return Check(
        name=NO_WARNING,
        expected="no warning about a deprecated or overwritten argument",
        observed=warning.strip() if warning else "none",
        ok=warning is None,
    )


def _flags_offered(arguments: Sequence[Argument]) -> Check:
    bad = next(
        (one for one in arguments if one.option is None or one.option.removed),
        None,
    )
    if bad is None:
        observed = "all of them"
    elif bad.option is None:
        observed = f"{bad.flag} is unknown to the build"
    else:
        observed = f"{bad.flag} is removed: {bad.option.description}"
    return Check(
        name=FLAGS_OFFERED,
        expected="only flags that the build's --help offers",
        observed=observed,
        ok=bad is None,
        argument=bad.flag if bad else None,
    )


def _no_flag_twice(arguments: Sequence[Argument]) -> Check:
    seen: dict[str, Argument] = {}
    for argument in arguments:
        key = argument.option.spellings[0] if argument.option else argument.flag
        if key in seen:
            first = " ".join(seen[key].words)
            return Check(
                name=NO_FLAG_TWICE,
                expected="each flag once, under any of its spellings",
                observed=f"{first} and {' '.join(argument.words)}",
                ok=False,
                argument=argument.flag,
            )
        seen[key] = argument
    return Check(
        name=NO_FLAG_TWICE,
        expected="each flag once, under any of its spellings",
        observed="each once",
        ok=True,
    )


def _min_not_above_max(arguments: Sequence[Argument], capabilities: Capabilities) -> Check:
    given = {argument.option.spellings[0]: argument for argument in arguments if argument.option}
    for shortest, longest in _RANGES:
        lowest = _length(shortest, given, capabilities)
        highest = _length(longest, given, capabilities)
        if lowest is None or highest is None:
            continue
        (min_flag, n_min), (max_flag, n_max) = lowest, highest
        if n_min > n_max:
            return Check(
                name=MIN_NOT_ABOVE_MAX,
                expected=f"{min_flag} at most {max_flag}",
                observed=f"{min_flag} {n_min}, {max_flag} {n_max}",
                ok=False,
                argument=families.written((shortest, longest), arguments),
            )
    return Check(
        name=MIN_NOT_ABOVE_MAX,
        expected="no minimum draft length above its maximum",
        observed="none",
        ok=True,
    )


def _length(
    family: families.Family, given: Mapping[str, Argument], capabilities: Capabilities
) -> tuple[str, int] | None:
    """The flag that sets a length on a build, and what it is set to, by argv or by default."""
    flag = next((one for one in family.flags if capabilities.offers(one)), None)
    option = capabilities.option(flag) if flag else None
    if flag is None or option is None:
        return None
    argument = given.get(option.spellings[0])
    text = argument.values[0] if argument and argument.values else option.default
    try:
        return (flag, int(text)) if text is not None else None
    except ValueError:
        return None


def _only_users_speculation(
    plan: LaunchPlan, arguments: Sequence[Argument], request: LoadRequest
) -> Check:
    users = tuple(request.extra_args)
    stray = next(
        (
            argument
            for argument in arguments
            if _is_speculative(argument) and not _contains(users, argument.words)
        ),
        None,
    )
    kept = _contains(plan.argv, users)
    return Check(
        name=ONLY_USERS_SPECULATION,
        expected=f"the user's own block alone: {' '.join(users)}",
        observed=f"the generator added {' '.join(stray.words)}"
        if stray
        else ("the user's block alone" if kept else "the user's block is not in the plan"),
        ok=stray is None and kept,
        argument=stray.flag if stray else None,
    )


def _is_speculative(argument: Argument) -> bool:
    spellings = argument.option.spellings if argument.option else (argument.flag,)
    return any(_SPECULATIVE.fullmatch(spelling) for spelling in spellings)


def _contains(words: Sequence[str], block: Sequence[str]) -> bool:
    size = len(block)
    return any(
        tuple(words[start : start + size]) == tuple(block) for start in range(len(words) - size + 1)
    )


def _says_why(plan: LaunchPlan, shortfall: str) -> Check:
    return Check(
        name=SAYS_WHY,
        expected=f"the plan says why it gives less ({shortfall})",
        observed=plan.reason or "it says nothing",
        ok=bool(plan.reason),
    )
