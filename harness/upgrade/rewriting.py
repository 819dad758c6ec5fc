"""A command line of one build, written for another: the smallest change that the other takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from harness.flags import families
from harness.flags.arguments import Argument, read_arguments
from harness.flags.capabilities import Capabilities, Option
from harness.flags.rewrites import renamed_variable, rewritten
from harness.subjects.command_lines import CommandLine

DRAFT_MODEL_ALONE_ENDS: Final = 9464
"""From this build on a draft model alone turns no drafting on (ggml-org/llama.cpp#25345)."""

_DRAFT_SIMPLE: Final = "draft-simple"
_OFF: Final = frozenset({"0", "false", "off", "disabled"})


class Kind(StrEnum):
    """What became of a part of a command line."""

    RENAMED = "renamed"
    VALUE = "value-changed"
    DROPPED = "dropped"
    ADDED = "added"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One part of a command line that is written otherwise.

    Attributes:
        before: Its words; none for what is added. A variable stands as ``NAME=VALUE``.
        after: What stands there now; none for what is dropped.
        why: In a few words.
    """

    kind: Kind
    before: tuple[str, ...]
    after: tuple[str, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """A command line for another build.

    Attributes:
        line: As it is to be written.
        changes: What is written otherwise, in the order of the command line.
    """

    line: CommandLine
    changes: tuple[Change, ...]

    @property
    def dropped(self) -> tuple[Change, ...]:
        """What no words on the other build say."""
        return tuple(change for change in self.changes if change.kind is Kind.DROPPED)


@dataclass(frozen=True, kw_only=True)
class Target:
    """The build that a command line is written for."""

    id: str
    number: int
    capabilities: Capabilities


def rewrite(line: CommandLine, old: Capabilities, new: Target) -> Rewriting:
    """Write a command line for another build.

    Args:
        line: As the old build takes it.
        old: Of that build: tells which word is a flag's value.
        new: The other build.
    """
    words: list[str] = []
    changes: list[Change] = []
    arguments = read_arguments(line.words, old)
    for argument in arguments:
        after = _fitting(argument, line.words, new)
        words += argument.words if after is None else after.after
        if after is not None:
            changes.append(after)
    env, of_variables = _variables(line.env, old, new)
    changes += of_variables
    added = _missing(read_arguments(tuple(words), new.capabilities), env, new)
    words += [word for change in added for word in change.after]
    changes += added
    return Rewriting(line=replace(line, words=tuple(words), env=env), changes=tuple(changes))


def _fitting(argument: Argument, words: Sequence[str], new: Target) -> Change | None:
    """What stands for an argument on the new build; None where it is taken as it is."""
    option = new.capabilities.option(argument.flag)
    if option is not None and not option.removed and _takes(option, argument):
        return None
    there = replace(argument, option=option)
    after = rewritten(there, words, new.capabilities)
    known = option is not None and not option.removed
    if after is None:
        what = f"takes no {' '.join(argument.words)}" if known else _gone(argument, option, new)
        return Change(kind=Kind.DROPPED, before=argument.words, after=(), why=f"{new.id} {what}")
    kind = Kind.VALUE if after[:1] == (argument.flag,) else Kind.RENAMED
    why = f"{new.id} {'takes it so' if known else _gone(argument, option, new)}"
    return Change(kind=kind, before=argument.words, after=after, why=why)


def _gone(argument: Argument, option: Option | None, new: Target) -> str:
    del new
    return f"{'does not know' if option is None else 'has removed'} {argument.flag}"


def _takes(option: Option, argument: Argument) -> bool:
    """Whether an option of the new build takes an argument as it was written for the old."""
    if option.takes_value != bool(argument.values):
        return False
    listed = option.choices
    if not listed or argument.spelling in _OPEN_LISTS or not argument.values:
        return True
    separators = argument.value.replace(";", ",").split(",")
    return (
        all(word.strip() in listed for word in separators) or argument.value.lstrip("-").isdigit()
    )


_OPEN_LISTS: Final = frozenset(
    {"--chat-template", "--reasoning-format", "--load-mode", "-lm", "--flash-attn", "-fa",
     "--samplers", "--numa", "--pooling", "--tools", "--gpu-layers", "-ngl", "--n-gpu-layers",
     "--log-colors", "--reasoning", "-rea"}
)  # fmt: skip
"""Options whose listed values are not all that they take."""


def _variables(
    env: Mapping[str, str], old: Capabilities, new: Target
) -> tuple[dict[str, str], list[Change]]:
    """The variables by the names that the new build reads."""
    kept: dict[str, str] = {}
    changes: list[Change] = []
    for name, value in env.items():
        here = new.capabilities.option_of_variable(name)
        before = old.option_of_variable(name)
        if before is None or (here is not None and not here.removed):
            kept[name] = value
            continue
        became = _variable_for(name, value, before, new)
        written = (f"{name}={value}",)
        why = f"{new.id} does not read {name}"
        if became is None:
            changes.append(Change(kind=Kind.DROPPED, before=written, after=(), why=why))
        else:
            kept[became[0]] = became[1]
            after = (f"{became[0]}={became[1]}",)
            changes.append(Change(kind=Kind.RENAMED, before=written, after=after, why=why))
    return kept, changes


def _variable_for(name: str, value: str, option: Option, new: Target) -> tuple[str, str] | None:
    """A variable of the new build that says the same."""
    renamed = renamed_variable(name, new.capabilities)
    if renamed is not None:
        return renamed, value
    negates = name.startswith("LLAMA_ARG_NO_") or value.lower() in _OFF
    flags = [flag for flag in option.spellings if flag.startswith("--no-") == negates]
    for flag in flags or option.spellings:
        values = (value,) if option.takes_value else ()
        argument = Argument(flag=flag, values=values, option=new.capabilities.option(flag))
        after = rewritten(argument, argument.words, new.capabilities)
        there = new.capabilities.option(after[0]) if after else None
        if after and there is not None and there.env:
            return there.env, after[1] if len(after) > 1 else "1"
    return None


def _missing(arguments: Sequence[Argument], env: Mapping[str, str], new: Target) -> list[Change]:
    """What the new build needs to be told that the old one took for granted."""
    drafts = any(families.DRAFT_MODEL.is_set_by(one) for one in arguments)
    typed = any(families.SPEC_TYPE.is_set_by(one) for one in arguments)
    named = not set(families.SPEC_TYPE.variables).isdisjoint(env)
    needed = new.number >= DRAFT_MODEL_ALONE_ENDS
    offered = _DRAFT_SIMPLE in new.capabilities.speculative_types
    if drafts and needed and offered and not typed and not named:
        why = f"on {new.id} a draft model alone does not turn drafting on"
        after = (families.SPEC_TYPE.flags[0], _DRAFT_SIMPLE)
        return [Change(kind=Kind.ADDED, before=(), after=after, why=why)]
    return []


def words_of(changes: Sequence[Change]) -> Iterator[str]:
    """One line of text for each change."""
    for change in changes:
        before, after = " ".join(change.before), " ".join(change.after)
        match change.kind:
            case Kind.DROPPED:
                yield f"drop {before}: {change.why}"
            case Kind.ADDED:
                yield f"add {after}: {change.why}"
            case _:
                yield f"{before} → {after}: {change.why}"
