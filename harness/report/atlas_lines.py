"""What the atlas says, as text and as JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec

from harness.flags.atlas import Atlas, Event, Facts, Happening, Life, Moment, Note, Span, State
from harness.flags.lifetimes import lifetime, live_spans
from harness.flags.standing import Fault, Outlook, Range, Status, Why

_LEAVE: Final = "leave "
"""How advice begins that names nothing to write."""
_ON_LINE: Final = 12
"""Values of an option that are told one by one."""


# A command line over all builds.


def outlook_line(outlook: Outlook) -> str:
    """Where a command line would be refused, in one line."""
    told = []
    runs = [[*group] for _, group in groupby(outlook.ranges, key=_of_refusals)]
    for at, run in enumerate(runs):
        before = runs[at - 1][0].standing.status if at else Status.REFUSED
        ended = before is Status.REFUSED
        told.append(_run_text(run, is_first=at == 0, is_last=at == len(runs) - 1, ended=ended))
    first = next((at for at, text in enumerate(told) if text.endswith(" ok")), None)
    if first is not None:
        told[first] += " by the atlas"
    else:
        told[0] = f"by the atlas {told[0]}"
    return "; ".join((*told, *_unread_texts(outlook)))


def _of_refusals(one: Range) -> tuple[Status, tuple[str, ...], tuple[str, ...]]:
    """What ranges that are told as one have in common: not which words are refused till when."""
    words = () if one.standing.status is Status.REFUSED else _words(one.standing.faults)
    return one.standing.status, one.instead, words


def _words(faults: Iterable[Fault]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fault.word for fault in faults))


def _run_text(run: Sequence[Range], *, is_first: bool, is_last: bool, ended: bool) -> str:
    first, last = run[0].first, run[-1].last
    builds = f"b{first}" if first == last else f"b{first} … b{last}"
    status = run[0].standing.status
    if status is Status.OK:
        return f"{builds} ok"
    about = _about(run, ended=ended)
    if status is Status.OPEN:
        compiled = any(one.why is Why.COMPILED_IN for one in run[0].standing.faults)
        how = "ok where it is compiled in" if compiled else "not known"
        return f"{builds} {how} ({about})"
    if is_first and is_last:
        where = f"refused on every build, {builds}"
    elif is_last:
        where = f"refused from b{first} on"
    elif is_first:
        where = f"refused up to b{last}"
    else:
        where = f"refused {builds}"
    return f"{where} ({about}){_advice(run[0].instead)}"


def _about(run: Sequence[Range], *, ended: bool) -> str:
    """Each word at fault with the pull request that began it; rather that which ended it."""
    faults = {
        fault.word: (_fault_text(fault), one.causes[fault.word])
        for one in run
        for fault in one.standing.faults
    }
    links: dict[str, list[str]] = {}
    for text, cause in faults.values():
        moment = (cause.until or cause.since) if ended else (cause.since or cause.until)
        ends_early = moment is cause.until and moment and moment.build <= run[-1].last
        until = f"until b{moment.build} " if moment and ends_early else ""
        said = f"{until}{moment.link if moment else ''}".strip()
        links.setdefault(said, []).append(text)
    return "; ".join(
        ", ".join((*words, *([said] if said else []))) for said, words in links.items()
    )


def _fault_text(fault: Fault) -> str:
    match fault.why:
        case Why.BAD_VALUE:
            glue = "=" if not fault.word.startswith("-") else " "
            return f"{fault.word}{glue}{fault.value or repr('')}"
        case Why.NO_VALUE:
            return f"{fault.word} without a value"
        case _:
            return fault.word


def _advice(instead: Sequence[str]) -> str:
    if not instead:
        return ""
    written = [one for one in instead if not one.startswith(_LEAVE)]
    left = [one for one in instead if one.startswith(_LEAVE)]
    told = [*([f"write {', '.join(written)}"] if written else []), *left]
    return f": {', '.join(told)}"


def _unread_texts(outlook: Outlook) -> Iterator[str]:
    """For each variable that some build does not read, which ones, and what to write there."""
    first, last = outlook.ranges[0].first, outlook.ranges[-1].last
    names = dict.fromkeys(name for one in outlook.ranges for name in one.standing.unread)
    for name in names:
        unread = [one for one in outlook.ranges if name in one.standing.unread]
        told = []
        for instead, group in groupby(unread, key=lambda one: one.variables.get(name, "")):
            ranges = [*group]
            begin, end = ranges[0].first, ranges[-1].last
            if begin == first and end == last:
                where = "by any build"
            elif end == last:
                where = f"from b{begin} on"
            else:
                where = f"up to b{end}" if begin == first else f"b{begin} … b{end}"
            cause = ranges[0].causes[name]
            moment = cause.since if begin != first else cause.until
            window = moment.builds if moment and moment.after is not None else ""
            known = ", ".join(filter(None, (window, moment.link if moment else "")))
            link = f" ({known})" if known else ""
            told.append(f"{where}{link}{_advice((instead,) if instead else ())}")
        yield f"{name} is not read {', '.join(told)}"


def outlook_json(outlook: Outlook) -> Mapping[str, Any]:
    """The same for programs."""
    return {
        "line": outlook_line(outlook),
        "ranges": [
            {
                "first": one.first,
                "last": one.last,
                "status": one.standing.status.value,
                "refused": [_fault_json(fault, one) for fault in one.standing.faults],
                "unread": [
                    {"variable": name, "instead": one.variables.get(name)}
                    for name in one.standing.unread
                ],
                "instead": list(one.instead),
            }
            for one in outlook.ranges
        ],
    }


def _fault_json(fault: Fault, one: Range) -> Mapping[str, Any]:
    cause = one.causes[fault.word]
    return {
        "word": fault.word,
        "why": fault.why.value,
        "value": fault.value,
        "since": moment_json(cause.since),
        "until": moment_json(cause.until),
    }


def moment_json(moment: Moment | None) -> Mapping[str, Any] | None:
    """When something happened, for programs."""
    if moment is None:
        return None
    return {
        "build": moment.build,
        "after": moment.after,
        "date": moment.date,
        "pr": moment.pr,
        "pr_sure": moment.sure,
    }


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
    link = f"  {moment.link}" if moment.link else ""
    return f"{moment.builds}  {moment.date}  {option}: {text}{link}{doubt}"


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
