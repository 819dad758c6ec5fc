"""Proposed entries for the ledger: together they cover every failing cell, and no good one.

They are for a human to judge and complete: an entry without a reason and a link is not read.
"""

import glob
from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations, count
from typing import Final

import msgspec

from harness.contract import canonical_mode
from harness.ledger import Entry, Ledger, length_of
from harness.model import CellResult, Mode, Verdict

_GOOD: Final = frozenset({Verdict.PASS, Verdict.DEGRADED})
_LIMITS: Final = ("model", "environment", "draft_n_max", "spellings")
"""The fields that may narrow an entry to what its cells have there."""


def propose_entries(results: Sequence[CellResult], ledger: Ledger) -> tuple[Entry, ...]:
    """Entries without reason and link; with both, every failure they come from is known.

    Each covers as many failures as an entry can without covering a good cell of this run.

    Args:
        results: Of a whole run, judged by the ledger.
        ledger: The one to be completed; its names are taken.
    """
    alike: dict[Hashable, list[CellResult]] = {}
    for result in results:
        if result.status is Verdict.FAIL and _failed(result) and result.build in ledger.numbers:
            key = (result.subject, _failed(result), _mode(result), result.emulated)
            alike.setdefault(key, []).append(result)
    taken = {entry.name for entry in ledger.entries}
    proposed = []
    for cells in alike.values():
        good = [
            result
            for result in results
            if result.status in _GOOD
            and (result.subject, _mode(result)) == (cells[0].subject, _mode(cells[0]))
        ]
        for entry in _covering(cells, good, ledger):
            name = _free_name(entry, taken)
            taken.add(name)
            proposed.append(msgspec.structs.replace(entry, name=name))
    return tuple(proposed)


def as_toml(entry: Entry) -> str:
    """The entry as it stands in a ledger."""
    usual = Entry(name="", subject="", checks=(), reason="", link="", since=0)
    lines = ["[[divergence]]"]
    for name in ("name", "subject", "checks", "modes", "spellings", "since", "until", "model",
                 "environment", "draft_n_max", "emulated"):  # fmt: skip
        value = getattr(entry, name)
        if value != getattr(usual, name) or name == "since":
            # JSON's strings, numbers, booleans and flat arrays are TOML's too.
            lines.append(f"{name} = {msgspec.json.encode(value).decode().replace(',', ', ')}")
    lines += ['reason = ""  # why it diverges, and who is right', 'link = ""']
    return "\n".join(lines)


def _covering(
    cells: Sequence[CellResult], good: Sequence[CellResult], ledger: Ledger
) -> Iterator[Entry]:
    """Entries for cells that fail alike; a cell joins the first group whose entry can take it."""
    entries: list[Entry] = []
    groups: list[list[CellResult]] = []
    for cell in cells:
        for place, group in enumerate(groups):
            entry = _narrowed([*group, cell], good, ledger)
            if entry is not None:
                group.append(cell)
                entries[place] = entry
                break
        else:
            entry = _narrowed([cell], good, ledger)
            if entry is not None:
                groups.append([cell])
                entries.append(entry)
    yield from entries


def _narrowed(
    cells: Sequence[CellResult], good: Sequence[CellResult], ledger: Ledger
) -> Entry | None:
    """The entry with the fewest limits that covers these cells and no good one."""
    first = cells[0]
    numbers = [ledger.numbers[cell.build] for cell in cells]
    widest = Entry(
        name="",
        subject=glob.escape(first.subject),
        checks=_failed(first),
        modes=(canonical_mode(first.request.mode),),
        since=min(numbers),
        until=max(numbers),
        emulated=first.emulated,
        reason="",
        link="",
    )
    have: dict[str, tuple[str | int, ...]] = {
        "model": tuple(dict.fromkeys(cell.request.model for cell in cells)),
        "environment": tuple(dict.fromkeys(cell.environment for cell in cells)),
        "draft_n_max": tuple(dict.fromkeys(length_of(cell.request) for cell in cells)),
        "spellings": tuple(dict.fromkeys(cell.request.spelling for cell in cells)),
    }
    for many in range(len(_LIMITS) + 1):
        for limits in combinations(_LIMITS, many):
            values = {name: _as_field(name, have[name]) for name in limits}
            if None in values.values():
                continue
            entry = msgspec.structs.replace(widest, **values)
            if not any(
                entry.covers(one, ledger.numbers[one.build])
                for one in good
                if one.build in ledger.numbers
            ):
                return entry
    return None


def _as_field(name: str, values: tuple[str | int, ...]) -> object:
    """What an entry says of these values; None where it cannot name them all."""
    if name in {"draft_n_max", "spellings"}:
        return values
    return glob.escape(str(values[0])) if len(values) == 1 else None


def _failed(result: CellResult) -> tuple[str, ...]:
    return tuple(sorted({check.name for check in result.checks if not check.ok}))


def _mode(result: CellResult) -> Mode:
    return canonical_mode(result.request.mode)


def _free_name(entry: Entry, taken: set[str]) -> str:
    words = "-".join((entry.subject, *entry.modes, *entry.checks))
    names = (words if number == 1 else f"{words}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)
