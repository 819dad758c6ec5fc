"""What a command line means by speculation on a build, and how to say the same on another.

One argument alone does not tell: up to b8929 all types share their lengths, some builds let the
last ``--spec-type`` count and others every one, and a draft model alone drafts or does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.flags import families
from harness.flags.families import Family
from harness.flags.rules import Fact, Renamed, Speculation, rules
from harness.model import Flavour
from harness.upgrade.changes import Change, Kind, added, dropped, replaced
from harness.upgrade.era import UNKNOWN, Era, Part, Words

_SIMPLE: Final = "draft-simple"
_MTP: Final = "draft-mtp"
_NGRAM_MOD: Final = "ngram-mod"
_NONE: Final = "none"
_COPYING: Final = ("ngram-simple", "ngram-map-k", "ngram-map-k4v")
"""Types that draft as many tokens as they copy: ``size-m``."""
_NO_SWITCH: Final = Family(flags=("--no-multi-token-prediction", "-no-mtp"))
_TYPES: Final = "--spec-type"
_N_MAX: Final = "--draft-max"
_N_MIN: Final = "--draft-min"
_SIZE_M: Final = "--spec-ngram-size-m"
_SHARED: Final = (_N_MAX, _N_MIN, "--spec-ngram-size-n", _SIZE_M, "--spec-ngram-min-hits")
"""The lengths by the names that they had while all types shared them."""
_ALIASES: Final = {"draft": _SIMPLE, "mtp": _MTP, "eagle3": "draft-eagle3"}
_SPEC_DEFAULT: Final = {_N_MAX: "64", _N_MIN: "48"}
_COPIED: Final = 48
"""Tokens that types copy where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class _Length:
    """One length, as it is told.

    Attributes:
        shared: Its name while all types shared it.
        type: Of which type; empty where all share it, and for the draft models' own.
    """

    shared: str
    type: str


def apart(era: Era) -> bool:
    """Whether each type has lengths of its own."""
    return era.capabilities.flavour is Flavour.RENAMED


def adds_up(era: Era) -> bool:
    """Whether every ``--spec-type`` counts, not the last one alone."""
    return era.since(rules().speculation.adds_up.since)


def draft_model_drafts(era: Era) -> bool:
    """Whether a draft model drafts without its type being named."""
    return not era.since(rules().speculation.draft_model_alone_ends.since)


def is_of_speculation(part: Part) -> bool:
    """Whether what a part means depends on other parts, and on the build."""
    return _is_switch(part) or _length(part) is not None


def rewrite_speculation(parts: Sequence[Part], old: Era, new: Era) -> list[Change]:
    """What of it is to be written otherwise, and what is to be added."""
    about = {place: part for place, part in enumerate(parts) if is_of_speculation(part)}
    if not about:
        return []
    told = _Meaning.of(list(about.values()), old)
    changes = [*_lengths(about, told, old, new)]
    return [*changes, *_types(about, told, new), *_left_to_default(about, told, old, new)]


def _takes(part: Part, era: Era) -> bool:
    if era.option(part.argument.flag) is None:
        return False
    if not part.says(_TYPES) or UNKNOWN.search(part.argument.value):
        return True
    return {*part.argument.value.split(",")} <= {*era.capabilities.speculative_types}


def _is_switch(part: Part) -> bool:
    switches = (*families.SPECULATION_SWITCHES, families.REMOTE_DRAFT_MODEL, _NO_SWITCH)
    return any(family.is_set_by(part.argument) for family in switches)


def _is_draft_model(part: Part) -> bool:
    models = (families.DRAFT_MODEL, families.REMOTE_DRAFT_MODEL)
    return any(family.is_set_by(part.argument) for family in models)


def _length(part: Part) -> _Length | None:
    """Which length a part tells."""
    for shared in _SHARED:
        for rule, type_, flags in _own_lengths(shared):
            if part.says(*flags):
                return _Length(shared=shared, type=type_)
            if part.says(*rule.old):
                return _Length(shared=shared, type="")
    return None


def _own_lengths(shared: str) -> Iterator[tuple[Renamed, str, tuple[str, ...]]]:
    """What a shared length became for each type."""
    for rule in rules().renamed:
        if shared in rule.old:
            for type_ in [one for one in rule.types if one] or ["draft"]:
                yield rule, type_, tuple(flag.format(type=type_) for flag in rule.new)


@dataclass(frozen=True, kw_only=True)
class _Meaning:
    """What a command line means on a build.

    Attributes:
        types: The types that draft.
        lengths: What it says of them, by the name of the shared length and the type; for all types
            under the empty name.
    """

    types: tuple[str, ...]
    lengths: Mapping[tuple[str, str], str]

    @classmethod
    def of(cls, parts: Sequence[Part], era: Era) -> "_Meaning":
        lengths: dict[tuple[str, str], str] = {}
        for part in parts:
            length = _length(part)
            if length is not None:
                lengths[length.shared, length.type] = part.argument.value
            elif families.SPEC_DEFAULT.is_set_by(part.argument):
                of = _NGRAM_MOD if apart(era) else ""
                lengths |= {(shared, of): value for shared, value in _SPEC_DEFAULT.items()}
        found = cls(types=_types_on(parts, era), lengths=lengths)
        # Later builds take a length of 0, and abort at the first draft.
        off = [_SIMPLE] if found.told(_N_MAX, _SIMPLE) == "0" and draft_model_drafts(era) else []
        return replace(found, types=tuple(one for one in found.types if one not in off))

    def told(self, shared: str, type_: str) -> str | None:
        """What it says of a length of a type."""
        own = "draft" if type_.startswith("draft-") else type_
        return self.lengths.get((shared, own), self.lengths.get((shared, "")))

    def effective(self, shared: str, type_: str, era: Era) -> str | None:
        """The length that comes of it, where it says anything of it."""
        told = self.told(shared, type_)
        if apart(era) or not told:
            return told
        n_max = self.told(_N_MAX, type_) or default_length(_N_MAX, type_, era)
        if shared == _N_MIN:
            return _least(told, n_max)
        return told

    def copied(self, type_: str, era: Era) -> str | None:
        """How many tokens a type copies, where it says anything of it."""
        copied, longest = self.told(_SIZE_M, type_), self.told(_N_MAX, type_)
        if apart(era) or (copied is None and longest is None):
            return copied
        return _least(copied or str(_COPIED), longest or default_length(_N_MAX, type_, era))


def _types_on(parts: Sequence[Part], era: Era) -> tuple[str, ...]:
    named: list[str] = []
    for part in parts:
        if part.says(_TYPES):
            words = [word.strip() for word in part.argument.value.split(",")]
            types = [] if _NONE in words else [_ALIASES.get(word, word) for word in words]
            named = [*named, *types] if adds_up(era) else types
        elif families.SPEC_DEFAULT.is_set_by(part.argument):
            named = [*named, _NGRAM_MOD] if adds_up(era) else [_NGRAM_MOD]
        elif families.MTP_SWITCH.is_set_by(part.argument):
            named.append(_MTP)
        elif _NO_SWITCH.is_set_by(part.argument):
            named = [one for one in named if one != _MTP]
    drafter = any(map(_is_draft_model, parts))
    if drafter and draft_model_drafts(era):
        named.append(_SIMPLE)
    elif not drafter:
        named = [one for one in named if one != _SIMPLE]
    return tuple(dict.fromkeys(named))


def default_length(shared: str, type_: str, era: Era) -> str:
    """The length that a build has for a type where nothing is said."""
    if type_ == _NGRAM_MOD and apart(era):
        return _SPEC_DEFAULT[shared]
    if shared == _N_MIN:
        return "0"
    return "3" if era.since(_facts().shorter_drafts.since) else "16"


def length_flag(shared: str, type_: str, era: Era) -> str | None:
    """The flag by which a build is told a length of a type."""
    if type_ in _COPYING and shared == _N_MAX:
        shared = _SIZE_M if apart(era) else _N_MAX
    own = "draft" if type_.startswith("draft-") or not type_ else type_
    flags = [
        flag
        for rule, of, new in _own_lengths(shared)
        if not apart(era) or of == own or (not type_ and "" in rule.types)
        for flag in (*new, *rule.old)
    ]
    return next((flag for flag in flags if era.option(flag) is not None), None)


def _least(one: str, other: str) -> str:
    """The lesser of two numbers; the first where one of them is none."""
    return min(one, other, key=int) if one.isdecimal() and other.isdecimal() else one


def _lengths(about: Mapping[int, Part], told: _Meaning, old: Era, new: Era) -> Iterator[Change]:
    """Each length by the names that the new build has for it."""
    if apart(old) == apart(new):
        return
    fact = _facts().lengths_apart
    said: dict[str, str] = {}
    last_default = max(
        (p for p, part in about.items() if families.SPEC_DEFAULT.is_set_by(part.argument)),
        default=-1,
    )
    for place, part in about.items():
        length = _length(part)
        if length is None:
            continue
        if not apart(old) and place < last_default and length.shared in _SPEC_DEFAULT:
            why = f"on {old.id} the --spec-default after it wins"
            yield dropped(place, part, why, kind=Kind.WITHOUT_EFFECT)
            continue
        types = [one for one in told.types if _is_about(length, one)]
        if told.types and not types:
            yield _with(fact, dropped(place, part, "no type that drafts here goes by it"))
            continue
        words = dict(_written(length, types or ("",), told, (old, new), part))
        fresh = tuple((flag, value) for flag, value in words.items() if flag not in said)
        lost = any(said.get(flag, value) != value for flag, value in words.items())
        said |= {flag: value for flag, value in words.items() if flag not in said}
        if fresh == (part.argument.words,) and not part.variable:
            continue
        if fresh:
            change = replaced(place, part, fresh, new.without(part), Kind.RENAMED)
            change = replace(change, lost=lost)
        else:
            why = f"{new.id} has one length for all" if lost else "it is said already"
            change = dropped(place, part, why, lost=lost)
        yield _with(fact, change)


def _is_about(length: _Length, type_: str) -> bool:
    if length.shared in {"--spec-ngram-size-n", _SIZE_M, "--spec-ngram-min-hits"} and (
        type_.startswith("draft-")
        or (type_ == _NGRAM_MOD and length.shared != "--spec-ngram-size-n")
    ):
        return False
    if length.shared == _N_MIN and type_ in _COPYING:
        return False
    own = "draft" if type_.startswith("draft-") else type_
    return length.type in {"", own}


def _written(
    length: _Length, types: Sequence[str], told: _Meaning, eras: tuple[Era, Era], part: Part
) -> Iterator[tuple[str, str]]:
    """The flags for a length of some types, each with its value."""
    old, new = eras
    for type_ in types:
        shared = length.shared
        if type_ in _COPYING and shared in {_N_MAX, _SIZE_M}:
            # Only the lesser of the two counts where both are shared.
            shared, value = _N_MAX, told.copied(type_, old)
        else:
            value = told.effective(shared, type_, old) if type_ else part.argument.value
        named = "" if UNKNOWN.search(type_) else type_
        flag = length_flag(shared, named, new)
        if flag is None or value is None:
            continue
        yield flag, value
        copied = length_flag(_SIZE_M, type_, new) if type_ in _COPYING else None
        if copied not in {flag, None} and value.isdecimal() and int(value) > _COPIED:
            yield str(copied), value


def _types(about: Mapping[int, Part], told: _Meaning, new: Era) -> Iterator[Change]:
    """The types by the names that the new build has for them, as many as it takes."""
    naming = {place: part for place, part in about.items() if _names_types(part)}
    here = _Meaning.of([*about.values()], new)
    if all(_takes(part, new) for part in naming.values()) and {*here.types} == {*told.types}:
        return
    models = [place for place, part in about.items() if _is_draft_model(part)]
    off = told.told(_N_MAX, _SIMPLE) == "0"
    implied = bool(models) and draft_model_drafts(new) and not off
    if implied and _SIMPLE not in told.types:
        for place in models:
            why = f"it never drafted, and on {new.id} it would"
            change = dropped(place, about[place], why, kind=Kind.WITHOUT_EFFECT)
            yield _with(_facts().draft_model_alone_ends, change)
    defaults = [p for p, part in naming.items() if families.SPEC_DEFAULT.is_set_by(part.argument)]
    if adds_up(new) and _NGRAM_MOD in told.types and defaults and _takes(naming[defaults[-1]], new):
        naming.pop(defaults[-1])
        wanted = [one for one in told.types if one != _NGRAM_MOD]
    else:
        wanted = [*told.types]
    wanted = [one for one in wanted if not (implied and one == _SIMPLE)]
    keep = wanted if new.capabilities.takes_type_list else wanted[:1]
    names = {one: _name(one, new) for one in keep}
    said = [name for name in names.values() if name is not None]
    missing = [one for one in wanted if names.get(one) is None]
    yield from _write_types(naming, models, said, missing, new)


def _write_types(
    naming: Mapping[int, Part], models: Sequence[int], said: Sequence[str],
    missing: Sequence[str], new: Era,
) -> Iterator[Change]:  # fmt: skip
    """The last of the parts that name types names them all; the others go."""
    words = _type_words(said, new)
    if not naming:
        if words and models:
            why = f"on {new.id} a draft model alone does not turn drafting on"
            told = added(models[-1], (words,), why, Kind.WITHOUT_EFFECT)
            yield _with(_facts().draft_model_alone_ends, told)
        return
    *others, last = naming
    for place in others:
        why = f"{new.id} counts every --spec-type"
        yield _with(_facts().adds_up, dropped(place, naming[place], why))
    part = naming[last]
    same = bool(words) and part.says(words[0])
    written = (part.argument.flag, *words[1:]) if same else words
    if written == part.argument.words:
        return
    if missing:
        why = f"{new.id} drafts by no {' and no '.join(missing)} here"
    elif words:
        why = _why(part, new)
    else:
        why = f"on {new.id} it needs no type"
    after = (written,) if words else ()
    if families.SPEC_DEFAULT.is_set_by(part.argument) and words and not apart(new):
        after = (*after, *_SPEC_DEFAULT.items())
    kind = Kind.VALUE if same else Kind.RENAMED if words else Kind.REFUSED
    yield replace(replaced(last, part, after, why, kind), lost=bool(missing))


def _why(part: Part, new: Era) -> str:
    """Why types are named otherwise."""
    if _takes(part, new):
        return f"so it is on {new.id}"
    known = new.option(part.argument.flag) is not None
    return f"{new.id} takes no {part.argument.value}" if known else new.without(part)


def _type_words(said: Sequence[str], new: Era) -> Words:
    switch = new.capabilities.mtp_switch
    if [*said] == [_MTP] and switch is not None:
        return (switch,)
    return (_TYPES, ",".join(said)) if said else ()


def _names_types(part: Part) -> bool:
    switches = (families.SPEC_TYPE, families.SPEC_DEFAULT, families.MTP_SWITCH, _NO_SWITCH)
    return any(family.is_set_by(part.argument) for family in switches)


def _name(type_: str, new: Era) -> str | None:
    """What a build calls a type."""
    if type_ == _MTP and new.capabilities.mtp_switch is not None:
        return _MTP
    older = {name: old for old, name in _ALIASES.items()}
    offered = new.capabilities.speculative_types
    return next((one for one in (type_, older.get(type_)) if one in offered), None)


def _left_to_default(
    about: Mapping[int, Part], told: _Meaning, old: Era, new: Era
) -> Iterator[Change]:
    """What was left to a default that on the new build would undo what is asked."""
    for type_ in told.types:
        if type_ in _COPYING:
            continue
        asked = {one: told.effective(one, type_, old) for one in (_N_MAX, _N_MIN)}
        left = [one for one, value in asked.items() if value is None]
        if len(left) != 1:
            continue
        (other,) = left
        value = asked[_N_MIN if other == _N_MAX else _N_MAX] or ""
        here = {one: value if one != other else default_length(one, type_, new) for one in asked}
        there = {one: value if one != other else default_length(one, type_, old) for one in asked}
        if not value.isdecimal() or int(here[_N_MIN]) <= int(here[_N_MAX]):
            continue
        if int(there[_N_MIN]) > int(there[_N_MAX]) and apart(old):
            continue
        flag = length_flag(other, type_, new)
        if flag is None:
            continue
        value = _least(there[other], there[_N_MAX]) if other == _N_MIN else there[other]
        place = max(
            place
            for place, part in about.items()
            if (one := _length(part)) and _is_about(one, type_)
        )
        why = f"{new.id} has {here[other]} where nothing is said, {old.id} had {there[other]}"
        yield added(place, ((flag, value),), why, Kind.DRIFT)


def _facts() -> Speculation:
    return rules().speculation


def _with(fact: Fact, change: Change) -> Change:
    return replace(change, since=fact.since, source=fact.source)
