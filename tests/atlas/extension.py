"""The atlas taken further: builds added after its last one, windows made narrower, the file."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from harness.flags.atlas import (
    FIELDS,
    Atlas,
    AtlasFile,
    Change,
    Event,
    Facts,
    Life,
    Row,
    State,
)
from harness.flags.capabilities import Capabilities, Option
from tests.atlas.reading import facts_of

_SAME_SPELLING: Final = 10
_SAME_NEGATION: Final = 3
_LONG_FIRST: Final = 5


def extended(file: AtlasFile, build: int, date: str, capabilities: Capabilities) -> AtlasFile:
    """The atlas with one more build after its last one, from what its ``--help`` says.

    Raises:
        ValueError: It is not after the last one.
    """
    if build <= file.last:
        raise ValueError(f"b{build} is not after b{file.last}")
    now = Atlas(file).table(file.last)
    there = _who_is_who(capabilities, now, file)
    found = {name: facts_of(option, now.get(name)) for name, option in there.items()}
    # What has to be compiled in may be missing.
    found |= {name: facts for name, facts in now.items() if facts.condition and name not in found}
    owners = _owners(found)
    renamed = _renamed(now, found)
    options = dict(file.options)
    for name in {*now, *found}:
        before, after = now.get(name), found.get(name)
        if before == after:
            continue
        returned = before is None and name in file.options
        events = [*_events(name, before, after, owners, returned=returned)]
        if before is None or after is None:
            other = renamed.get(name)
            which = {"renamed_from" if before is None else "renamed_to": other}
            events = [msgspec.structs.replace(event, **which) for event in events]
        stamped = [msgspec.structs.replace(event, b=build, after=file.last) for event in events]
        life = options.get(name)
        options[name] = Life(
            history=(
                *(life.history if life else ()),
                _change(before, after, build, file.last),
            ),
            events=(*(life.events if life else ()), *stamped),
        )
    return _whole(
        msgspec.structs.replace(
            file,
            last=build,
            late_snapshots={**file.late_snapshots, build: date},
            options=options,
        )
    )


def _renamed(now: Mapping[str, Facts], found: Mapping[str, Facts]) -> Mapping[str, str]:
    """Options that went, and those that came with the same variable, each by the other's name."""
    gone = {facts.env: name for name, facts in now.items() if name not in found and facts.env}
    pairs = {
        name: gone[facts.env]
        for name, facts in found.items()
        if name not in now and facts.env in gone and facts.arity == now[gone[facts.env]].arity
    }
    return {**pairs, **{old: new for new, old in pairs.items()}}


def narrowed(file: AtlasFile, build: int, date: str, capabilities: Capabilities) -> AtlasFile:
    """The atlas with a build inside its range: each window that holds it ends or begins there.

    Raises:
        ValueError: It is not between archives that the atlas has.
    """
    if not file.exact_to < build < file.last:
        raise ValueError(f"b{build} is not between b{file.exact_to} and b{file.last}")
    options = dict(file.options)
    for name, life in file.options.items():
        inside = (one for one in life.history if one.after and one.after < build < one.b)
        for change in inside:
            early, late = (life.at(build, late=late) for late in (False, True))
            told = _told(capabilities, early, late)
            if told == late:
                options[name] = _moved(life, change, b=build)
            elif told == early:
                options[name] = _moved(life, change, after=build)
            else:
                owners = _owners(Atlas(file).table(change.b))
                options[name] = _split(
                    name, change, build, (early, told, late), file, owners=owners
                )
    snapshots = dict(sorted({**file.late_snapshots, build: date}.items()))
    return _whole(msgspec.structs.replace(file, late_snapshots=snapshots, options=options))


def _split(
    name: str,
    change: Change,
    build: int,
    states: tuple[Facts | None, Facts | None, Facts | None],
    file: AtlasFile,
    *,
    owners: Mapping[str, str],
) -> Life:
    """The life with two changes in place of one: at the build it was neither as before nor after.

    Args:
        states: As it was before, at the build and after.
    """
    life, (early, told, late) = file.options[name], states
    assert change.after is not None
    history, events = [], []
    for before, after, start, end in (
        (early, told, change.after, build),
        (told, late, build, change.b),
    ):
        history.append(_change(before, after, end, start))
        stamp = {"b": end, "after": start}
        events += [
            msgspec.structs.replace(one, **stamp)
            for one in _events(name, before, after, owners, returned=before is None)
        ]
    known = {one.kind: one for one in life.events if one.b == change.b}
    kept = [
        msgspec.structs.replace(known[one.kind], b=one.b, after=one.after)
        if one.kind in known
        else one
        for one in events
    ]
    at = life.history.index(change)
    return Life(
        history=(*life.history[:at], *history, *life.history[at + 1 :]),
        events=(
            *(one for one in life.events if one.b < change.b),
            *kept,
            *(one for one in life.events if one.b > change.b),
        ),
    )


def _told(capabilities: Capabilities, early: Facts | None, late: Facts | None) -> Facts | None:
    """What a help text says of an option that is as it was early or as it is late."""
    either = [facts for facts in (early, late) if facts]
    words = [word for facts in either for word in _spelled(facts)]
    option = next((found for word in words if (found := capabilities.option(word))), None)
    if option is None:
        return None
    for facts in reversed(either):
        if facts_of(option, facts) == facts:
            return facts
    return facts_of(option, early)


def _moved(life: Life, change: Change, **where: int) -> Life:
    """The life with a change and its events at another place of their window."""
    return Life(
        history=tuple(
            msgspec.structs.replace(one, **where) if one is change else one for one in life.history
        ),
        events=tuple(
            msgspec.structs.replace(one, **where) if one.b == change.b else one
            for one in life.events
        ),
    )


def _owners(table: Mapping[str, Facts]) -> Mapping[str, str]:
    return {word: name for name, facts in table.items() for word in _spelled(facts)}


def _spelled(facts: Facts) -> tuple[str, ...]:
    return (*facts.spellings, *facts.negations)


def _who_is_who(
    capabilities: Capabilities, now: Mapping[str, Facts], file: AtlasFile
) -> dict[str, Option]:
    """Each option of a help text by the name that the atlas has for it, or is to have."""
    scored = sorted(
        (
            (_likeness(option, facts), at, name)
            for name, facts in now.items()
            for at, option in enumerate(capabilities.options)
            if _likeness(option, facts)
        ),
        key=lambda one: (-one[0], one[1], one[2]),
    )
    found: dict[str, Option] = {}
    taken = set()
    for _, at, name in scored:
        if name not in found and at not in taken:
            found[name] = capabilities.options[at]
            taken.add(at)
    for at, option in enumerate(capabilities.options):
        if at not in taken:
            found[_name_of(option, {*file.options, *found}, now, file)] = option
    return found


def _likeness(option: Option, facts: Facts) -> int:
    spelled = set(option.spellings)
    same = len(spelled & set(facts.spellings))
    first = next((one for one in option.spellings if one.startswith("--")), None)
    return (
        _SAME_SPELLING * same
        + _SAME_NEGATION * len(spelled & set(facts.negations))
        + _LONG_FIRST * (first in facts.spellings)
    )


def _name_of(
    option: Option, taken: Iterable[str], now: Mapping[str, Facts], file: AtlasFile
) -> str:
    """The name of an option that was there before and comes back, or a new one."""
    for one in option.spellings:
        if one in file.options and one not in now:
            return one
    longs = [one for one in option.spellings if one.startswith("--")]
    free = [one for one in (*longs, *option.spellings) if one not in taken]
    if not free:
        raise ValueError(f"{option.spellings}: every spelling names another option already")
    return free[0]


def _change(before: Facts | None, after: Facts | None, build: int, last: int) -> Change:
    if after is None:
        return Change(b=build, after=last, state=State.ABSENT)
    reference = before or Facts()
    told: dict[str, Any] = {
        field: getattr(after, field)
        for field in FIELDS
        if getattr(after, field) != getattr(reference, field)
    }
    if before is None:
        told["spellings"] = after.spellings
    return Change(b=build, after=last, **told)


def _events(
    name: str,
    before: Facts | None,
    after: Facts | None,
    owners: Mapping[str, str],
    *,
    returned: bool,
) -> Iterator[Event]:
    """What a change means to a command line."""
    if before is None:
        assert after is not None
        state = after.state if after.state is not State.LIVE else None
        yield Event(b=1, kind="returned" if returned else "added", state=state)
    elif after is None:
        into = [one for one in before.spellings if one in owners]
        if into:
            lost = tuple(one for one in before.spellings if one not in owners)
            yield Event(b=1, kind="merged", into=owners[into[0]], as_=tuple(into), lost=lost)
        else:
            yield Event(b=1, kind="gone", use=before.use)
    else:
        yield from _of_state(before, after)
        yield from _of_spellings(name, before, after, owners)
        yield from _of_values(before, after)
        yield from _of_variable(before, after)


def _of_state(before: Facts, after: Facts) -> Iterator[Event]:
    if before.state is after.state:
        return
    match after.state:
        case State.STUB:
            yield Event(b=1, kind="stub", use=after.use)
        case State.DEPRECATED:
            yield Event(b=1, kind="deprecated", use=after.use)
        case _:
            yield Event(b=1, kind="live-again")


def _of_spellings(
    name: str, before: Facts, after: Facts, owners: Mapping[str, str]
) -> Iterator[Event]:
    had, has = _spelled(before), _spelled(after)
    if new := tuple(one for one in after.spellings if one not in had):
        yield Event(b=1, kind="spelling-added", names=new)
    if new := tuple(one for one in after.negations if one not in had):
        yield Event(b=1, kind="negation-added", names=new)
    if old := tuple(one for one in had if one not in has):
        moved = {one: owners[one] for one in old if owners.get(one, name) != name}
        yield Event(b=1, kind="spelling-removed", names=old, moved=moved)
    if turned := tuple(one for one in before.spellings if one in after.negations):
        yield Event(b=1, kind="now-negation", names=turned)


def _of_values(before: Facts, after: Facts) -> Iterator[Event]:
    if before.arity != after.arity:
        shown = (before.placeholder, after.placeholder)
        yield Event(b=1, kind="arity", from_=before.arity, to=after.arity, placeholder=shown)
    elif before.placeholder != after.placeholder and before.values == after.values:
        yield Event(b=1, kind="placeholder", from_=before.placeholder, to=after.placeholder)
    if before.default != after.default and before.default and after.default:
        yield Event(b=1, kind="default", from_=before.default, to=after.default)
    added = tuple(one for one in after.values if one not in before.values)
    removed = tuple(one for one in before.values if one not in after.values)
    if before.values and after.values and (added or removed):
        yield Event(b=1, kind="values", added=added, removed=removed)


def _of_variable(before: Facts, after: Facts) -> Iterator[Event]:
    if before.env == after.env:
        return
    if before.env is None:
        yield Event(b=1, kind="env-added", to=after.env)
    elif after.env is None:
        yield Event(b=1, kind="env-removed", from_=before.env)
    else:
        works = after.has(before.env)
        yield Event(b=1, kind="env-renamed", from_=before.env, to=after.env, from_still_works=works)


# The file.


def _whole(file: AtlasFile) -> AtlasFile:
    """The file with its index of spellings made anew, and everything in order."""
    options = _in_order(file.options)
    changed = msgspec.structs.replace(file, options=options)
    return msgspec.structs.replace(changed, spellings=spelling_rows(changed))


def _in_order(of: Mapping[str, Any]) -> dict[str, Any]:
    return {name: of[name] for name in sorted(of, key=lambda one: (one.lstrip("-").lower(), one))}


def spelling_rows(file: AtlasFile) -> dict[str, tuple[Row, ...]]:
    """For each spelling the stretches of builds in which it is one option's."""
    archives = [file.exact_to, *file.late_snapshots]
    before = dict(zip(archives[1:], archives, strict=False))
    found: dict[str, list[Row]] = {}
    for name, life in file.options.items():
        stages = [*life.stages()]
        for at, (change, facts) in enumerate(stages):
            if facts is None:
                continue
            following = stages[at + 1][0] if at + 1 < len(stages) else None
            last = None
            if following is not None:
                last = following.b - 1 if following.after is None else following.after
            for sign, words in (("+", facts.spellings), ("-", facts.negations)):
                for word in words:
                    row = Row(change.b, last, name, sign, facts.state)  # type: ignore[arg-type]
                    found.setdefault(word, []).append(row)
    return _in_order({word: _joined(rows, before) for word, rows in found.items()})


def _joined(rows: Sequence[Row], before: Mapping[int, int]) -> tuple[Row, ...]:
    """Rows that follow each other and say the same are one."""
    joined: list[Row] = []
    for row in sorted(rows, key=lambda one: one.first):
        last = joined[-1] if joined else None
        follows = last is not None and last.last in {row.first - 1, before.get(row.first)}
        same = last is not None and (last.option, last.sign, last.state) == (
            row.option,
            row.sign,
            row.state,
        )
        if last is not None and last.last is not None and follows and same:
            joined[-1] = msgspec.structs.replace(last, last=row.last)
        else:
            joined.append(row)
    return tuple(joined)


def file_text(file: AtlasFile) -> str:
    """The file as it is kept: one line for each entry, so that a change is seen in a diff."""
    built = msgspec.to_builtins(file, str_keys=True)
    parts = [f" {_line(key)}: {_line(built[key])}" for key in built if key not in _PARTS]
    notes = ",\n".join(f"  {_line(_bare(note))}" for note in built["notes"])
    parts.append(f' "notes": [\n{notes}\n ]')
    for part in ("commits", "spellings"):
        rows = ",\n".join(f"  {_line(key)}: {_line(row)}" for key, row in built[part].items())
        parts.append(f" {_line(part)}: {{\n{rows}\n }}")
    lives = ",\n".join(_life_text(name, life) for name, life in built["options"].items())
    parts.append(f' "options": {{\n{lives}\n }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


_PARTS: Final = ("notes", "commits", "spellings", "options")


def _life_text(name: str, life: Mapping[str, Any]) -> str:
    parts = []
    for part in ("history", "events"):
        rows = ",\n".join(f"    {_line(row)}" for row in life[part])
        parts.append(f'   "{part}": [\n{rows}{chr(10) if rows else ""}   ]')
    inside = ",\n".join(parts)
    return f"  {_line(name)}: {{\n{inside}\n  }}"


def _bare(note: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in note.items() if value is not None}


def _line(of: object) -> str:
    return json.dumps(of, ensure_ascii=False, separators=(",", ":"))
