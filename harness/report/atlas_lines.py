"""What the atlas says of options and of builds, as text and as JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec

from harness.flags.atlas import Atlas, Event, Facts, Happening, Life, Moment, Note, Span, State
from harness.flags.lifetimes import lifetime, live_spans
from harness.report.outlook import moment_json

_ON_LINE: Final = 12
"""Values of an option that are told one by one."""


# One option.


def life_lines(word: str, atlas: Atlas) -> Iterator[str]:
    """The life of every option that a flag or variable ever meant."""
    yield f"{word}: {lifetime(word, atlas)}" if live_spans(word, atlas) else f"{word}:"
    for name, life in atlas.history(word).items():
        yield from _option_lines(name, life, atlas)


def _option_lines(name: str, life: Life, atlas: Atlas) -> Iterator[str]:
    stages = [facts for _, facts in life.stages() if facts is not None]
    begun = life.history[0].b
    yield f"  {_signature(stages[-1])}"
    for condition in dict.fromkeys(facts.condition for facts in stages if facts.condition):
        spans = life.spans(lambda facts, told=condition: facts.condition == told)  # type: ignore[misc]
        where = ", ".join(_builds(span) for span in spans)
        yield f"    {where}: only where {condition} is compiled in"
    if begun == atlas.first:
        yield f"    b{begun}  there, or before{_facts_text(stages[0])}"
    notes = [note for note in atlas.data.notes if _is_about(note, name, stages[-1])]
    told: list[Event | Note] = sorted((*life.events, *notes), key=lambda one: one.b)
    for _, group in groupby(told, key=lambda one: one.b):
        happened = [*group]
        moments = [atlas.moment(one) for one in happened]
        moment = next((one for one in moments if one.pr is not None), moments[0])
        texts = [
            f"note: {one.what}"
            if isinstance(one, Note)
            else event_text(one) + (_facts_text(stages[0]) if one.kind == "added" else "")
            for one in happened
        ]
        yield _moment_line(moment, "; ".join(texts))


def _is_about(note: Note, name: str, facts: Facts) -> bool:
    return not {name, *facts.words}.isdisjoint(note.flags)


def _builds(span: Span) -> str:
    if span.last is None:
        return f"b{span.first} on"
    return f"b{span.first}" if span.first == span.last else f"b{span.first} … b{span.last}"


def _signature(facts: Facts) -> str:
    """All spellings, the value and the variable."""
    spelled = ", ".join((*facts.spellings, *facts.negations))
    value = ",".join(facts.values) if facts.placeholder == "LIST" else facts.placeholder
    env = f"  ({facts.env})" if facts.env else ""
    return f"{spelled}{f' {value}' if value else ''}{env}"


def _facts_text(facts: Facts) -> str:
    told = []
    if facts.default is not None:
        told.append(f"default {default_text(facts.default)}")
    if facts.env:
        told.append(f"variable {facts.env}")
    if facts.values and facts.placeholder not in ("LIST", None) and "|" not in facts.placeholder:
        told.append(f"values {_listed(facts.values)}")
    return f": {'; '.join(told)}" if told else ""


def default_text(default: str | None) -> str:
    """A default in words."""
    match default:
        case None:
            return "not known"
        case "model":
            return "the model's"
        case _ if default.startswith("="):
            return f"that of {default[1:]}"
        case _ if default.startswith("env:"):
            return f"of {default[4:]}"
        case _:
            return default


def _listed(values: Sequence[str]) -> str:
    more = len(values) - _ON_LINE
    shown = ", ".join(values[:_ON_LINE])
    return f"{shown} and {more} more" if more > 0 else shown


def _moment_line(moment: Moment, text: str) -> str:
    dated = f"  {moment.date}" if moment.date else ""
    link = f"  {moment.link}" if moment.link else ""
    return f"    {moment.builds}{dated}  {text}{link}"


def event_text(event: Event) -> str:  # noqa: C901, PLR0911, PLR0912 - one line for each kind
    """What happened, in a few words."""
    match event.kind:
        case "added":
            before = f" in place of {event.renamed_from}" if event.renamed_from else ""
            return f"added{before}"
        case "returned":
            return "back again"
        case "gone":
            return f"gone: an unknown flag stops the start{_write(event)}"
        case "merged":
            lost = f"; {', '.join(event.lost)} gone" if event.lost else ""
            return f"{', '.join(event.as_)} now of {event.into}{lost}"
        case "stub":
            return f"removed: --help only says so, and using it stops the start{_write(event)}"
        case "deprecated":
            return f"deprecated{_write(event)}"
        case "live-again":
            return "no longer deprecated"
        case "spelling-added":
            return f"also spelled {', '.join(event.names)}"
        case "negation-added":
            return f"negated by {', '.join(event.names)}"
        case "spelling-removed":
            moved = "".join(f"; {flag} now of {name}" for flag, name in event.moved.items())
            return f"no longer spelled {', '.join(event.names)}{moved}"
        case "now-negation":
            return f"{', '.join(event.names)} now listed as its negation"
        case "arity":
            shown = event.placeholder[1] if event.placeholder else None
            return f"takes {_values_text(event.to)}{f' ({shown})' if shown else ''}, not " + (
                _values_text(event.from_)
            )
        case "placeholder":
            return f"value shown as {event.to}, not {event.from_}"
        case "type":
            return f"read as {event.to}, not {event.from_}"
        case "env-added":
            return f"variable {event.to}"
        case "env-removed":
            return f"variable {event.from_} no longer read"
        case "env-renamed":
            old = "still works" if event.from_still_works else "is no longer read"
            return f"variable {event.to}; {event.from_} {old}"
        case "default":
            return f"default {default_text(str(event.from_))} → {default_text(str(event.to))}"
        case "values":
            return _values_event(event)


def _values_text(count: object) -> str:
    return {0: "no value", 1: "one value", 2: "two values"}.get(int(str(count)), str(count))


def _values_event(event: Event) -> str:
    told = [f"value {old} renamed {new}" for old, new in event.renamed.items()]
    if event.added:
        told.append(f"values added: {_listed(event.added)}")
    if event.removed:
        told.append(f"values gone: {_listed(event.removed)}{_write(event)}")
    return "; ".join(told)


def _write(event: Event) -> str:
    return f"; write {' or '.join(event.instead)}" if event.instead else ""


def life_json(word: str, atlas: Atlas) -> Mapping[str, Any]:
    """The same for programs."""
    return {
        "word": word,
        "builds": [span_json(span) for span in live_spans(word, atlas)],
        "options": [
            {
                "name": name,
                "history": [_bare(change) for change in life.history],
                "events": [
                    {**_bare(event), "when": moment_json(atlas.moment(event))}
                    for event in life.events
                ],
                "notes": [
                    {**_bare(note), "when": moment_json(atlas.moment(note))}
                    for note in atlas.data.notes
                    if name in note.flags
                ],
            }
            for name, life in atlas.history(word).items()
        ],
    }


def span_json(span: Span) -> Mapping[str, Any]:
    """A stretch of builds for programs."""
    return {"first": span.first, "after": span.after, "last": span.last, "end": span.end}


def _bare(of: msgspec.Struct) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(of)
    return {name: value for name, value in built.items() if value not in (None, [], {}, ())}


# Values of an option.


def value_lines(flag: str, value: str, atlas: Atlas) -> Iterator[str]:
    """Since when and until when an option lists a value, and what it was or became."""
    for life in atlas.history(flag).values():
        spans = life.spans(lambda facts: value in facts.values)
        if spans:
            yield f"{flag} {value}: {', '.join(_builds(span) for span in spans)}"
        for event in life.events:
            names = {*event.added, *event.removed, *event.renamed, *event.renamed.values()}
            if event.kind == "values" and value in names:
                yield _moment_line(atlas.moment(event), _values_event(event))


def values_of(flag: str, atlas: Atlas) -> tuple[str, ...]:
    """Every value that an option lists on some build."""
    stages = (facts for life in atlas.history(flag).values() for _, facts in life.stages())
    return tuple(dict.fromkeys(value for facts in stages if facts for value in facts.values))


def value_json(flag: str, value: str, atlas: Atlas) -> Mapping[str, Any]:
    """The same for programs."""
    lives = atlas.history(flag).values()
    return {
        "word": flag,
        "value": value,
        "builds": [
            span_json(span)
            for life in lives
            for span in life.spans(lambda facts: value in facts.values)
        ],
    }


# Two builds, and one.


def change_lines(
    happenings: Iterable[Happening], notes: Iterable[Note], atlas: Atlas
) -> Iterator[str]:
    """What happened, in time order."""
    told = [
        (
            one.event.b,
            one.option,
            _change_line(
                atlas.moment(one.event), one.option, event_text(one.event), certain=one.certain
            ),
        )
        for one in happenings
    ]
    told += [
        (
            note.b,
            "",
            _change_line(atlas.moment(note), " ".join(note.flags) or "all flags", note.what),
        )
        for note in notes
    ]
    yield from (line for _, _, line in sorted(told))


def _change_line(moment: Moment, option: str, text: str, *, certain: bool = True) -> str:
    doubt = "" if certain else "  (or not between these builds)"
    said = filter(None, (moment.builds, moment.date, f"{option}: {text}", moment.link))
    return f"{'  '.join(said)}{doubt}"


def table_lines(build: int, atlas: Atlas) -> Iterator[str]:
    """Every option of a build, one line each."""
    early, late = (atlas.table(build, late=late) for late in (False, True))
    for name in sorted({*early, *late}, key=lambda one: one.lstrip("-").lower()):
        facts = early.get(name) or late.get(name)
        assert facts is not None
        doubt = "" if early.get(name) == late.get(name) else "  (not certain at this build)"
        state = "" if facts.state is State.LIVE else f"  {_STATES[facts.state]}{_use(facts)}"
        default = "" if facts.default is None else f"  default {default_text(facts.default)}"
        yield f"{_signature(facts)}{default}{state}{doubt}"


_STATES: Final = {State.DEPRECATED: "deprecated", State.STUB: "removed"}


def _use(facts: Facts) -> str:
    return f"; write {' or '.join(facts.use)}" if facts.use else ""


def table_json(build: int, atlas: Atlas) -> Mapping[str, Any]:
    """The same for programs."""
    early, late = (atlas.table(build, late=late) for late in (False, True))
    return {
        "build": build,
        "options": {
            name: {
                **_bare(early.get(name) or late[name]),
                "certain": early.get(name) == late.get(name),
            }
            for name in sorted({*early, *late})
        },
    }


def changes_json(
    happenings: Iterable[Happening], notes: Iterable[Note], atlas: Atlas
) -> list[Mapping[str, Any]]:
    """What happened between two builds, for programs."""
    found: list[Mapping[str, Any]] = [
        {
            "option": one.option,
            **_bare(one.event),
            "certain": one.certain,
            "when": moment_json(atlas.moment(one.event)),
        }
        for one in happenings
    ]
    found += [
        {"kind": "note", **_bare(note), "when": moment_json(atlas.moment(note))} for note in notes
    ]
    return found
