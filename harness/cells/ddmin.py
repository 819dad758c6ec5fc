"""Delta debugging: the smallest part of a list that still fails."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")


def minimise(
    items: Sequence[Item], fails: Callable[[Sequence[Item]], bool], guess: Sequence[int] = ()
) -> tuple[Item, ...]:
    """Shrink ``items`` until no single one can be left out without the failure going away.

    The algorithm is ddmin (Zeller and Hildebrandt, 2002): ever smaller parts and their complements
    are tried, in the items' order. ``fails(items)`` must hold; no selection is asked about twice.

    Args:
        items: All of them.
        fails: Whether a selection of them fails.
        guess: Places of items that are likely to fail on their own, tried before anything else.
    """
    known: dict[tuple[int, ...], bool] = {}

    def fail(kept: tuple[int, ...]) -> bool:
        if kept not in known:
            known[kept] = fails([items[index] for index in kept])
        return known[kept]

    kept = tuple(range(len(items)))
    if fail(()):
        return ()
    alone = next((place for place in guess if len(kept) > 1 and fail((place,))), None)
    if alone is not None:
        return (items[alone],)
    parts = 2
    while len(kept) > 1:
        chunks = _split(kept, parts)
        complements = [tuple(i for i in kept if i not in chunk) for chunk in chunks]
        smaller = next((chunk for chunk in chunks if fail(chunk)), None)
        if smaller is not None:
            kept, parts = smaller, 2
            continue
        smaller = next((rest for rest in complements if fail(rest)), None)
        if smaller is not None:
            kept, parts = smaller, max(parts - 1, 2)
        elif parts >= len(kept):
            break
        else:
            parts = min(len(kept), parts * 2)
    return tuple(items[index] for index in kept)


def _split(kept: tuple[int, ...], parts: int) -> list[tuple[int, ...]]:
    parts = min(parts, len(kept))
    ends = [len(kept) * n // parts for n in range(parts + 1)]
    return [kept[start:end] for start, end in pairwise(ends)]
