"""Verdicts of earlier runs, taken in place of a launch where nothing changed since."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from harness.cells.remembering import VERDICT
from harness.config.memory import Memory
from harness.model import Cell, CellResult, Verdict
from harness.report.jsonl import decode_result, encode_result
from harness.server.failure import UNEXPLAINED, WORTH_ANOTHER_TRY

SAMPLE: Final = 0.02
"""The share of cells that are run although their verdict is remembered."""

_TELLING: Final = frozenset({Verdict.PASS, Verdict.FAIL, Verdict.DEGRADED})
"""Verdicts that say something of the build, and not of the host or the day."""
_OF_THE_DAY: Final = UNEXPLAINED | WORTH_ANOTHER_TRY


def _sometimes() -> bool:
    return random.random() < SAMPLE


@dataclass(kw_only=True)
class Verdicts:
    """The verdicts of earlier runs, and what became of those that were tried again.

    Attributes:
        memory: Where they are kept.
        fresh: Whether none is taken.
        sampled: Decides of each cell whether it is run although its verdict is remembered.
        differing: Ids of cells that came out otherwise than remembered; with the first one, all
            that was remembered is forgotten.
    """

    memory: Memory
    fresh: bool = False
    sampled: Callable[[], bool] = _sometimes
    differing: list[str] = field(default_factory=list)
    _keys: dict[Cell, str] = field(default_factory=dict)
    _tried: dict[Cell, CellResult] = field(default_factory=dict)

    def recall(self, cell: Cell, key: str | None) -> CellResult | None:
        """What the cell came to in an earlier run; None where it is to be run."""
        if key is None:
            self._keys.pop(cell, None)
            return None
        self._keys[cell] = key
        again = self.fresh or cell in self._tried
        kept = None if again else self.memory.get(VERDICT, key)
        if kept is None:
            return None
        try:
            result = decode_result(kept)
        except msgspec.MsgspecError:
            return None
        if self.sampled():
            self._tried[cell] = result
            return None
        return result

    def give_up(self, cell: Cell) -> None:
        """Keep nothing of a cell."""
        self._keys.pop(cell, None)
        self._tried.pop(cell, None)

    def settle(self, cell: Cell, result: CellResult) -> None:
        """Hold a result against what is remembered, and keep it where it tells of the build."""
        key, earlier = self._keys.pop(cell, None), self._tried.pop(cell, None)
        if result.remembered or key is None:
            return
        compared = earlier is not None and result.status is not Verdict.ERROR
        if earlier is not None and compared and _essence(earlier) != _essence(result):
            self.differing.append(result.id)
            self.memory.forget(VERDICT)
        if _tells(result):
            now = datetime.now(UTC).replace(microsecond=0).isoformat()
            self.memory.put(VERDICT, key, encode_result(replace(result, remembered=now)))


def _tells(result: CellResult) -> bool:
    """Whether a result says something of the build that holds tomorrow as well."""
    failure = result.failure
    if failure is not None and (not failure.explained or failure.kind in _OF_THE_DAY):
        return False
    return result.status in _TELLING


def _essence(result: CellResult) -> object:
    """What two runs of one cell must agree on."""
    failure = result.failure
    checks = [(check.name, check.ok, check.argument) for check in result.checks]
    blamed = None if failure is None else (failure.kind, failure.argument)
    return (result.status, checks, result.effective, blamed, result.silent, result.not_seen)
