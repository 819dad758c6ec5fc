"""A build's ``--help`` as facts of the atlas, and where the two differ."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from harness.flags.atlas import FIELDS, Atlas, Facts, State, Type
from harness.flags.capabilities import Capabilities, Option

_DEPRECATED: Final = re.compile(r"^\[?DEPRECATED\b|\(DEPRECATED\)|\bis deprecated\b", re.IGNORECASE)
_FLAG: Final = re.compile(r"(?<![\w/`-])-{1,2}[A-Za-z][\w*-]*")
_LISTS: Final = re.compile(
    r"(?:list of built-in templates|available tools): ((?:[\w.-]+, )*[\w.-]+)"
)
_LISTED_DEFAULT: Final = re.compile(r"\bdefault: ([A-Z]+(?:, [A-Z]+)+)\)")
_WORD: Final = re.compile(r"[a-z0-9][\w+-]*")
_TWO_VALUES: Final = re.compile(r"[A-Z_]+ [A-Z_]+")
_DEFAULTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("", "none", "unused", "unset", "disabled", "no tools"), "none"),
    **dict.fromkeys(
        (
            "template taken from model's metadata",
            "read from model",
            "loaded from model",
            "template default",
        ),
        "model",
    ),
    "enabled if number of slots is auto": "auto",
    "search in PATH": "PATH",
    "value from HF_TOKEN environment variable": "env:HF_TOKEN",
}
_SWITCHED: Final = {
    **dict.fromkeys(("enabled", "true", "on", "prefill enabled"), "on"),
    **dict.fromkeys(("disabled", "false", "off"), "off"),
}
_OPPOSITE: Final = frozenset({"--perf"})
"""Their text prints the default of what they negate."""
_COMPILED: Final = frozenset({"--ui", "--webui"})
"""Their default is how the build was compiled."""
_MANY: Final = 20
"""A list of so many values is whole."""


def facts_of(option: Option, before: Facts | None) -> Facts:
    """An option of a help text; what the text does not tell is as before."""
    same_arity = before is not None and before.arity == _arity(option, before)
    negations = _negations(option, before)
    state = _state(option)
    values = () if state is State.STUB else _values(option, before)
    shown = option.placeholder
    return Facts(
        state=state,
        spellings=_ordered(
            [s for s in option.spellings if s not in negations], before, "spellings"
        ),
        negations=_ordered(negations, before, "negations"),
        arity=_arity(option, before),
        type=before.type if before and same_arity else _type(_arity(option, before), negations),
        placeholder="LIST" if shown and values and shown == ",".join(values) else shown,
        env=option.env,
        default=None if state is State.STUB else _default(option, before),
        values=values,
        use=() if state is State.LIVE else _named(option, before),
        condition=before.condition if before else None,
    )


def _ordered(found: Sequence[str], before: Facts | None, field: str) -> tuple[str, ...]:
    """As upstream's table has them: the text puts short flags first."""
    known: tuple[str, ...] = getattr(before, field) if before else ()
    return known if set(known) == set(found) else tuple(found)


def _state(option: Option) -> State:
    if option.removed:
        return State.STUB
    return State.DEPRECATED if _DEPRECATED.search(option.description) else State.LIVE


def _arity(option: Option, before: Facts | None) -> int:
    if option.placeholder is None:
        return 0
    if before and before.arity and before.placeholder == option.placeholder:
        return before.arity
    return 2 if _TWO_VALUES.fullmatch(option.placeholder) else 1


def _type(arity: int, negations: Sequence[str]) -> Type:
    if arity:
        return "str2" if arity > 1 else "str"
    return "bool" if negations else "flag"


def _negations(option: Option, before: Facts | None) -> list[str]:
    """Spellings that ask for the opposite of another one of the same option."""
    if option.placeholder is not None:
        return []
    bare = {one.lstrip("-") for one in option.spellings}
    found = [
        one
        for one in option.spellings
        if (before and one in before.negations)
        or any(one.lstrip("-") in {f"no-{other}", f"n{other}", f"no{other}"} for other in bare)
        or (one.startswith("--no-") and any(not other.startswith("n") for other in bare))
    ]
    return [] if len(found) == len(option.spellings) else found


def _values(option: Option, before: Facts | None) -> tuple[str, ...]:
    if any(one.endswith("-file") for one in option.spellings):
        return ()
    listed = option.choices
    if not listed and (found := _LISTS.search(option.description)):
        listed = tuple(found[1].split(", "))
    if not listed:
        known = before is not None and before.placeholder == option.placeholder
        return before.values if before and known else ()
    default = option.default or ""
    left_out = default not in {*listed, "none", "model"} and len(listed) < _MANY
    if left_out and _WORD.fullmatch(default) and "available tools" not in option.description:
        return (*listed, default)
    return listed


def _default(option: Option, before: Facts | None) -> str | None:
    known = before.default if before else None
    listed = _LISTED_DEFAULT.search(option.description)
    printed = listed[1] if listed else option.default
    if option.placeholder is None:
        return _default_of_switch(option, before)
    if printed is None:
        return known
    if told := re.fullmatch(r"(?:same as |follows )?(--[\w-]+)\]?", printed):
        return f"={told[1]}"
    printed = _DEFAULTS.get(printed.split(" = ")[0], printed.split(" = ")[0])
    if "$" in printed or _rounds_to(known, printed):
        return known
    return f"{float(printed):g}" if re.fullmatch(r"-?\d+\.\d+", printed) else printed


def _rounds_to(known: str | None, printed: str) -> bool:
    """Whether a number is printed with fewer digits than are known."""
    digits = re.fullmatch(r"-?\d+\.(\d+)", printed)
    try:
        return bool(digits and known and f"{float(known):.{len(digits[1])}f}" == printed)
    except ValueError:
        return False


def _default_of_switch(option: Option, before: Facts | None) -> str | None:
    only_negative = all(one.startswith("--no-") for one in option.spellings if one[:2] == "--")
    odd = only_negative or not {*_OPPOSITE, *_COMPILED}.isdisjoint(option.spellings)
    printed = option.default
    if printed is not None and not odd:
        return _SWITCHED.get(printed) or _DEFAULTS.get(printed)
    if before is not None:
        return before.default
    return None if re.search(r"-(default|spec)$", option.spellings[-1]) else "off"


def _named(option: Option, before: Facts | None) -> tuple[str, ...]:
    """The flags that the text names in an option's place."""
    text = option.description.replace("`", " ")
    found = (flag.rstrip("-") for flag in _FLAG.findall(text))
    named = tuple(
        dict.fromkeys(one for one in found if one not in option.spellings and len(one) > 2)
    )
    return named or (before.use if before else ())


def differences(
    build: int, capabilities: Capabilities, table: Mapping[str, Facts]
) -> tuple[str, ...]:
    """Where a build's ``--help`` says otherwise than the atlas, each as the entry to add.

    An option that has to be compiled in may be missing from the text.

    Args:
        build: Its number.
        capabilities: What its ``--help`` says.
        table: The atlas's options of that build, by name.
    """
    return tuple(json.dumps(entry) for entry in _entries(build, capabilities, table))


def unlike(build: int, capabilities: Capabilities, atlas: Atlas) -> tuple[str, ...]:
    """The same against the whole atlas; inside a window a build may be as before or as after it."""
    early, late = (
        differences(build, capabilities, atlas.table(build, late=late)) for late in (False, True)
    )
    return tuple(entry for entry in early if entry in late)


def _entries(
    build: int, capabilities: Capabilities, table: Mapping[str, Facts]
) -> Iterator[Mapping[str, object]]:
    owners = {word: name for name, facts in table.items() for word in facts.words}
    seen = set()
    for option in capabilities.options:
        name = next((owners[one] for one in option.spellings if one in owners), None)
        known = table[name] if name else None
        told = facts_of(option, known)
        if name:
            seen.add(name)
        changed = {
            field: getattr(told, field)
            for field in FIELDS
            if getattr(told, field) != getattr(known or Facts(), field)
        }
        if changed:
            yield {
                "b": build,
                "option": name or option.spellings[-1],
                **msgspec.to_builtins(changed),
            }
    for name, facts in table.items():
        if name not in seen and facts.condition is None:
            yield {"b": build, "option": name, "state": State.ABSENT.value}
