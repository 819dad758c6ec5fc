"""Silent effects: what of a command line has no effect, or another one, without a refusal."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from harness.flags.arguments import OFF, Argument
from harness.flags.capabilities import Capabilities, Option
from harness.flags.rewrites import rewritten_variable
from harness.model import LaunchPlan, Remark
from harness.settings.base import EffectiveState
from harness.settings.state import SETTINGS
from harness.settings.value import Wish, same, spoken

_OWN_VARIABLE: Final = re.compile(r"LLAMA_(ARG_|LOG_|API_|CHAT_|OFFLINE$)\w*")
"""What stands for an argument; others, such as LLAMA_CACHE, are read by no option."""
_ADDS_UP: Final = frozenset(
    {"--override-tensor", "--lora", "--lora-scaled", "--alias", "--control-vector",
     "--control-vector-scaled", "--override-kv", "--logit-bias", "--spec-type", "--tags",
     "--dry-sequence-breaker", "--reverse-prompt", "--image", "--in-file"}
)  # fmt: skip
_WARNING: Final = re.compile(
    r"^\S+ W |\bwarn(ing)?\b|deprecated|ignor|overwrit|disabl|unknown|unsupported|not supported"
    r"|invalid|unable|cannot|no effect|requires|taken as",
    re.IGNORECASE,
)
_OF_WARNINGS: Final = (
    *(" w ", "warn", "deprecated", "ignor", "overwrit", "disabl", "unknown", "unsupported"),
    *("not supported", "invalid", "unable", "cannot", "no effect", "requires", "taken as"),
)
"""Such a line has one of these in small letters: looked for ten times as fast."""
_NO_WARNING: Final = re.compile(
    r"\w +=\s+\w+$|n_ctx_train|control token|EOG|chat template,|swa_full is not supported"
    r"|no usable GPU|-{5,}$|without (GPU support|support for GPU)|docs/build\.md"
    r"|cannot be used with preferred buffer type"
)
"""Tables of values, and what is said of the tiny models, of a host without a GPU, and of tensors
that a device cannot hold in the way it holds the others."""
_LAST_ONLY: Final = "only last value will be used"
_SHORT: Final = 2
"""A value of so many letters may stand in any line."""
_CLOCK: Final = re.compile(r"^[\d.]+ [A-Z] ")
_VARYING: Final = re.compile(r"\d+|/\S+|'[^']*'")


def silent_effects(
    plan: LaunchPlan,
    arguments: Sequence[Argument],
    capabilities: Capabilities,
    state: EffectiveState,
    demands: Mapping[str, Any],
) -> tuple[Remark, ...]:
    """What a command line asks in vain, found without its flags being known one by one.

    Args:
        plan: The command line.
        arguments: Its variables and arguments, as the build reads them.
        capabilities: Of the build.
        state: What is effective.
        demands: By setting, what the command line demands.
    """
    found = (
        *_unread(plan.env, capabilities),
        *_negating(arguments),
        *_outdone(arguments),
        *_changed(state, demands),
    )
    return tuple(dict.fromkeys(found))


def _unread(env: Mapping[str, str], capabilities: Capabilities) -> Iterator[Remark]:
    for name in env:
        if _OWN_VARIABLE.fullmatch(name) and capabilities.option_of_variable(name) is None:
            instead = rewritten_variable(name, env, capabilities)
            told = f"; write {instead}" if instead else ""
            yield Remark(word=name, why=f"{name} is not read by this build{told}")


def _negating(arguments: Sequence[Argument]) -> Iterator[Remark]:
    """``LLAMA_ARG_NO_X=0``, which negates as ``=1`` does: since b7376 only the name counts."""
    for argument in arguments:
        name, option = argument.flag, argument.option
        if "_NO_" in name and option and option.env != name and argument.value.lower() in OFF:
            why = f"{name}={argument.value} turns it off all the same: only the name counts"
            yield Remark(word=name, why=why)


def _outdone(arguments: Sequence[Argument]) -> Iterator[Remark]:
    """Options that are set more than once: the command line wins, and there the last one."""
    last: dict[str, Argument] = {}
    for argument in arguments:
        option = argument.option
        if option is None or _adds_up(option):
            continue
        before = last.get(option.spellings[0])
        if before is not None and before.words != argument.words:
            yield Remark(
                word=before.flag,
                why=f"{' '.join(before.words)} is set aside: {' '.join(argument.words)} wins",
            )
        last[option.spellings[0]] = argument


def _adds_up(option: Option) -> bool:
    return not _ADDS_UP.isdisjoint(option.spellings)


def _changed(state: EffectiveState, demands: Mapping[str, Any]) -> Iterator[Remark]:
    """Values that are granted, and not as they were written."""
    for name, demand in demands.items():
        if not isinstance(demand, Wish) or isinstance(demand.value, str | list):
            continue
        if name not in state:
            continue
        setting = SETTINGS[name]
        if not same(demand.value, state[name]) and all(
            check.ok for check in setting.compare(demand, state, ())
        ):
            yield Remark(
                word=demand.argument.flag,
                why=f"{name} {spoken(demand.value)} becomes {spoken(state[name])}",
            )


def warnings_in(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that warn of something, in whatever words."""
    return tuple(line.strip() for line in lines if _warns(line))


def _warns(line: str) -> bool:
    small = line.lower()
    if not any(word in small for word in _OF_WARNINGS):
        return False
    return _WARNING.search(line) is not None and not _NO_WARNING.search(line)


def silent_warnings(
    warnings: Iterable[str], plain: Iterable[str], arguments: Sequence[Argument]
) -> tuple[Remark, ...]:
    """Warnings that a plain command line does not have.

    Args:
        warnings: Of the command line.
        plain: Of the same build's plain start.
        arguments: What the command line has, to tell which of it is meant.
    """
    usual = {_VARYING.sub("#", line) for line in plain}
    told = (_CLOCK.sub("", line) for line in warnings if _VARYING.sub("#", line) not in usual)
    adding = {one.flag for one in arguments if one.option and _adds_up(one.option)}
    return tuple(
        Remark(word=word, why=line)
        for line in dict.fromkeys(told)
        # Builds say of these as well that only the last one counts, which is not so.
        if (word := _meant(line, arguments)) not in adding or _LAST_ONLY not in line
    )


def _meant(line: str, arguments: Sequence[Argument]) -> str:
    """The flag or variable that a line names, else the flag whose value it names."""
    words = re.findall(r"[\w./-]+", line)
    for argument in arguments:
        spellings = argument.option.spellings if argument.option else ()
        if not {argument.flag, *spellings}.isdisjoint(words):
            return argument.flag
    return next(
        (one.flag for one in arguments if any(len(v) > _SHORT and v in line for v in one.values)),
        "",
    )
