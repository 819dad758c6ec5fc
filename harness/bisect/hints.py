"""The two builds to test first: those around the change by which the atlas explains a failure.

A hint is a guess and narrows nothing by itself: both builds are tested like any other.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.bisect.journal import Point, Step
from harness.bisect.trial import Signature
from harness.flags.atlas import Atlas, Event, Note, load_atlas
from harness.flags.lifetimes import live_spans
from harness.flags.standing import Range, Status, outlook
from harness.verdicts.checks import STARTS

_FLAG: Final = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


@dataclass(frozen=True, kw_only=True)
class Hint:
    """Where a change may be.

    Attributes:
        low: The last build before it that the atlas knows.
        high: The first one after it.
        why: What changed, in a few words.
    """

    low: int
    high: int
    why: str


def hint_for(step: Step, points: Sequence[Point], atlas: Atlas | None = None) -> Hint | None:
    """The change that may be what the bad end fails by; None where the atlas knows none.

    Args:
        step: Of the bad end.
        points: The builds in question, from good to bad.
        atlas: Another atlas, for tests.
    """
    atlas = atlas or load_atlas()
    numbers = [point.number for point in points if point.number is not None]
    known = [number for number in numbers if number in atlas]
    if len(known) < 2:  # noqa: PLR2004 - a change lies between two builds
        return None
    good, bad = known[0], known[-1]
    result, signature = step.outcome.result, step.outcome.signature
    if result is None:
        return _by_lifetimes(" ".join(step.outcome.argv), good, bad, atlas)
    if signature is None:
        return None
    if signature.check == STARTS and signature.argument:
        ranges = outlook(result.argv, result.env, atlas).ranges
        return _by_refusal(signature.argument, ranges, good, bad)
    found = [*_silent(result.argv, signature, min(good, bad), max(good, bad), atlas)]
    return found[len(found) // 2] if found else None


def around(hint: Hint, points: Sequence[Point]) -> tuple[str, ...]:
    """The builds on the two sides of a change, the one towards the good end first."""
    below = [one for one in points if one.number is not None and one.number <= hint.low]
    above = [one for one in points if one.number is not None and one.number >= hint.high]
    sides = [
        *([max(below, key=lambda one: one.number or 0)] if below else []),
        *([min(above, key=lambda one: one.number or 0)] if above else []),
    ]
    return tuple(one.id for one in sorted(sides, key=points.index))


def _by_refusal(word: str, ranges: Sequence[Range], good: int, bad: int) -> Hint | None:
    """Where the word that the bad end refuses began to be refused, going from it to the good."""

    def refuses(one: Range) -> bool:
        at_fault = any(word in {fault.word, fault.value} for fault in one.standing.faults)
        return one.standing.status is Status.REFUSED and at_fault

    upwards = bad < good
    ordered = list(ranges) if upwards else list(reversed(ranges))
    there = [one for one in ordered if (one.last >= bad if upwards else one.first <= bad)]
    if not there or not refuses(there[0]):
        return None
    last = there[0]
    for one in there[1:]:
        if refuses(one):
            last = one
            continue
        if one.standing.status is Status.OPEN:
            continue
        low, high = (last.last, one.first) if upwards else (one.last, last.first)
        return Hint(low=low, high=high, why=f"the atlas has {word} refused on one side only")
    return None


def _by_lifetimes(command: str, good: int, bad: int, atlas: Atlas) -> Hint | None:
    """Where a flag that a command names comes to live, or ceases to."""
    for flag in dict.fromkeys(_FLAG.findall(command)):
        for span in live_spans(flag, atlas):
            if good in span and bad not in span:
                begins = bad < span.first
                low, high = (
                    ((span.after or span.first - 1), span.first)
                    if begins
                    else (span.last or atlas.last, span.end or atlas.last)
                )
                return Hint(low=low, high=high, why=f"{flag} lives on one side only")
    return None


def _silent(
    argv: Sequence[str], signature: Signature, low: int, high: int, atlas: Atlas
) -> list[Hint]:
    """Changes that no refusal tells of, those that have most to do with the failure."""
    blamed = set(atlas.options_of(signature.argument or ""))
    given = {name for word in argv for name in atlas.options_of(word)}
    ranked: list[tuple[int, Hint]] = []
    for note in atlas.notes(low, high):
        options = {name for flag in note.flags for name in atlas.options_of(flag)}
        rank = 0 if options & blamed else 1 if _alike(options, signature) else 2
        if options & (blamed | given) or rank == 1:
            ranked.append((rank, _hint(note, note.what, atlas)))
    for one in atlas.changes(low, high):
        if one.event.kind == "default" and one.option not in given:
            rank = 1 if _alike({one.option}, signature) else 3
            told = f"the default of {one.option}: {one.event.from_} → {one.event.to}"
            ranked.append((rank, _hint(one.event, told, atlas)))
    best = min((rank for rank, _ in ranked), default=3)
    found = {(one.low, one.high): one for rank, one in ranked if rank == best < 3}  # noqa: PLR2004
    return [found[key] for key in sorted(found)]


def _alike(options: set[str], signature: Signature) -> bool:
    """Whether a check is named after an option: ``draft-n-max`` and ``--spec-draft-n-max``."""
    return any(signature.check in option for option in options)


def _hint(of: Event | Note, why: str, atlas: Atlas) -> Hint:
    moment = atlas.moment(of)
    low = moment.build - 1 if moment.after is None else moment.after
    return Hint(low=low, high=moment.build, why=f"{moment.builds}: {why}")
