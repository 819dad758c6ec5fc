"""Proposed entries for the ledger: together they cover every failing cell, and no good one.

They are for a human to judge and complete: an entry without a reason and a link is not read.
"""

import glob
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import combinations, count
from typing import Final

import msgspec

from harness.model import GOOD, CellResult, Verdict
from harness.settings.speculation.contract import canonical_mode
from harness.verdicts.ledger import Entry, Ledger, length_of

_LIMITS: Final = ("model", "environment", "draft_n_max", "spellings")
"""The fields that may narrow an entry to what its cells have there."""
_MANY_MODES: Final = 4
"""So many would make a name that nobody reads."""
_OPEN_IF_VARIED: Final = frozenset({"model", "environment", "draft_n_max"})
"""Those left open only where the run tried more than one value: of others nothing is known."""


def propose_entries(results: Sequence[CellResult], ledger: Ledger) -> tuple[Entry, ...]:
    """Entries without reason and link; with both, every failure they come from is known.

    Each covers as many failures as an entry can without covering a good cell of this run, and
    names modes, models, environments and lengths where the run tried no others.

    Args:
        results: Of a whole run, judged by the ledger.
        ledger: The one to be completed; its names are taken.
    """
    alike: dict[Hashable, list[CellResult]] = {}
    for result in results:
        if result.status is Verdict.FAIL and _failed(result) and result.build in ledger.numbers:
            key = (result.subject, _failed(result), result.emulated)
            alike.setdefault(key, []).append(result)
    taken = {entry.name for entry in ledger.entries}
    proposed = []
    for cells in alike.values():
        ran = [result for result in results if result.subject == cells[0].subject]
        for entry in _covering(cells, ran, ledger):
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
            lines.append(f"{name} = {_toml(value)}")
    lines += ['reason = ""  # why it diverges, and who is right', 'link = ""']
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's strings, numbers and booleans are TOML's too.
    return msgspec.json.encode(value).decode()


def _covering(
    cells: Sequence[CellResult], ran: Sequence[CellResult], ledger: Ledger
) -> Iterator[Entry]:
    """Entries for cells that fail alike; a cell joins the first group whose entry can take it."""
    good = [one for one in ran if one.status in GOOD and one.build in ledger.numbers]
    closed = frozenset(name for name in _OPEN_IF_VARIED if len(_values(ran, name)) == 1)
    entries: list[Entry] = []
    groups: list[list[CellResult]] = []
    for cell in cells:
        for place, group in enumerate(groups):
            entry = _narrowed([*group, cell], good, closed, ledger)
            if entry is not None:
                group.append(cell)
                entries[place] = entry
                break
        else:
            entry = _narrowed([cell], good, closed, ledger)
            if entry is not None:
                groups.append([cell])
                entries.append(entry)
    yield from entries


def _narrowed(
    cells: Sequence[CellResult], good: Sequence[CellResult], closed: frozenset[str], ledger: Ledger
) -> Entry | None:
    """The entry with the fewest limits that covers these cells and no good one."""
    first = cells[0]
    numbers = [ledger.numbers[cell.build] for cell in cells]
    widest = Entry(
        name="",
        subject=glob.escape(first.subject),
        checks=_failed(first),
        modes=tuple(dict.fromkeys(canonical_mode(cell.request.mode) for cell in cells)),
        since=min(numbers),
        until=max(numbers),
        emulated=first.emulated,
        reason="",
        link="",
    )
    have = {name: _as_field(name, _values(cells, name)) for name in _LIMITS}
    open_ones = [name for name in _LIMITS if name not in closed]
    for many in range(len(open_ones) + 1):
        for limits in combinations(open_ones, many):
            values = {name: have[name] for name in (*closed, *limits)}
            if None in values.values():
                continue
            entry = msgspec.structs.replace(widest, **values)
            if not any(entry.covers(one, ledger.numbers[one.build]) for one in good):
                return entry
    return None


def _values(cells: Iterable[CellResult], name: str) -> tuple[str | int, ...]:
    """What cells have in a field, as an entry names it, each once."""
    return tuple(dict.fromkeys(_value(cell, name) for cell in cells))


def _value(cell: CellResult, name: str) -> str | int:
    match name:
        case "model":
            return cell.request.model
        case "environment":
            return cell.environment
        case "draft_n_max":
            return length_of(cell.request)
        case _:
            return cell.request.spelling


def _as_field(name: str, values: tuple[str | int, ...]) -> object:
    """What an entry says of these values; None where it cannot name them all."""
    if name in {"draft_n_max", "spellings"}:
        return values
    return glob.escape(str(values[0])) if len(values) == 1 else None


def _failed(result: CellResult) -> tuple[str, ...]:
    return tuple(sorted({check.name for check in result.failed}))


def _free_name(entry: Entry, taken: set[str]) -> str:
    modes = entry.modes if len(entry.modes) < _MANY_MODES else ("modes",)
    words = "-".join((entry.subject, *modes, *entry.checks))
    names = (words if number == 1 else f"{words}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)
