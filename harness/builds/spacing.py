"""Builds chosen evenly by time, for a look at the whole history."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Final

HISTORY: Final = "history"
"""The profile of the builds that are chosen so."""


def evenly(dates: Mapping[int, str], days: int, kept: Collection[int] = ()) -> tuple[int, ...]:
    """One build of each stretch of time, counted from the oldest one, and the newest of all.

    A stretch that has builds that are kept has these; another one has its first. So what was
    chosen once is chosen again when there are newer builds.

    Args:
        dates: Dates of upload by build number; builds without one are left out.
        days: The length of a stretch.
        kept: Builds that were chosen before, or are at hand for another reason.
    """
    dated = {number: date.fromisoformat(dates[number]) for number in sorted(dates) if dates[number]}
    if not dated:
        return ()
    begin = min(dated.values())
    stretches: dict[int, list[int]] = {}
    for number, day in dated.items():
        stretches.setdefault((day - begin).days // days, []).append(number)
    chosen = {max(dated)}
    for numbers in stretches.values():
        chosen.update([one for one in numbers if one in kept] or numbers[:1])
    return tuple(sorted(chosen))
