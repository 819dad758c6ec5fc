"""What the atlas says of a command line, as one line of text and as JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from harness.flags.atlas import Moment
from harness.flags.standing import Fault, Outlook, Range, Status, Why

_LEAVE: Final = "leave "
"""How advice begins that names nothing to write."""


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
