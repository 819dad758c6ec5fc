"""The results of a run, held in little memory until its end."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from harness.model import CellResult

Value = TypeVar("Value")


class KeptResults:
    """Results, without what the end of a run has no use for; equal parts are held once.

    The evidence of each witness is most of a result. It is written to the results file and shown
    with each failure, as is the command that runs a cell alone; tables, relations and the ledger
    ask for neither.
    """

    def __init__(self) -> None:
        self.results: list[CellResult] = []
        self._shared: dict[object, object] = {}

    def add(self, result: CellResult) -> None:
        """Keep one more."""
        self.results.append(self._slim(result))

    def _slim(self, result: CellResult) -> CellResult:
        return replace(
            result,
            build=sys.intern(result.build),
            subject=sys.intern(result.subject),
            environment=sys.intern(result.environment),
            request=self._one(result.request),
            argv=tuple(sys.intern(word) for word in result.argv),
            checks=self._one(tuple(self._one(check) for check in result.checks)),
            host=self._one(result.host),
            effective=None if result.effective is None else self._one_mapping(result.effective),
            witnessed_by=self._one_mapping(result.witnessed_by),
            witnesses=(),
            repro="",
            attempts=tuple(self._slim(attempt) for attempt in result.attempts),
        )

    def _one_mapping(self, mapping: Mapping[str, Value]) -> Mapping[str, Value]:
        # Marked, for an empty mapping is not an empty tuple.
        key = (Mapping, *mapping.items())
        return self._shared.setdefault(key, mapping)  # type: ignore[return-value]

    def _one(self, value: Value) -> Value:
        return self._shared.setdefault(value, value)  # type: ignore[return-value]
