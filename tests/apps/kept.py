"""The results of the gallery as they are kept, in ``examples/apps/results.json``."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from harness.model import CellResult, Verdict
from tests.apps.gallery import FOLDER

FILE: Final = FOLDER / "results.json"
PASS: Final = "pass"
_CLOCK: Final = re.compile(r"\b\d+\.\d\d\.\d{3}\.\d{3} [A-Z] ")
"""Of a log line, another in each run."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one application.

    Attributes:
        version: Of its package; empty where it has none.
        cells: By environment and build, as ``outcome`` tells it.
    """

    version: str
    cells: dict[str, dict[str, str]]


def outcome(result: CellResult) -> str:
    """One cell in a line: ``pass``, or the verdict and what is wrong."""
    if result.status is Verdict.PASS:
        return PASS
    failed = [check.observed for check in result.checks if not check.ok]
    said = result.failure.message if result.failure else "; ".join(dict.fromkeys(failed))
    return f"{result.status}: {_CLOCK.sub('', said)}"


def kept_of(version: str, results: tuple[CellResult, ...]) -> Kept:
    """What is kept of an application's cells.

    A server that finds no card in a spoof is no host of that kind: its cell is left out.
    """
    cells: dict[str, dict[str, str]] = {}
    for result in results:
        if not result.no_card or result.emulated:
            cells.setdefault(result.environment, {})[result.build] = outcome(result)
    return Kept(version=version, cells=cells)


def over(former: Kept | None, now: Kept) -> Kept:
    """What was found now; of cells that were left out, what was found before of the same version."""
    if former is None or former.version != now.version:
        return now
    cells = {
        environment: {**former.cells.get(environment, {}), **now.cells.get(environment, {})}
        for environment in former.cells | now.cells
    }
    return Kept(version=now.version, cells=cells)


def load() -> dict[str, Kept]:
    """The kept results, by application."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Kept]) if FILE.exists() else {}


def save(found: Mapping[str, Kept]) -> None:
    """Keep results."""
    content = msgspec.json.format(msgspec.json.encode(dict(sorted(found.items()))), indent=2)
    FILE.write_bytes(content + b"\n")


def broken(name: str, before: Kept | None, now: Kept) -> Iterator[str]:
    """What works no longer, a line for each cell.

    A build that was not tried before is held against the newest that was.
    """
    for environment, cells in now.cells.items():
        former = before.cells.get(environment, {}) if before else {}
        newest = next(reversed(former.values()), PASS)
        for build, told in cells.items():
            was = former.get(build, newest)
            if was == PASS and told != PASS:
                yield f"{name} {now.version} on {build} in {environment}: {told}"
