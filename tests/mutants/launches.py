"""Launches that many mutants share, each judged by the witnesses and checks that are in place."""

from dataclasses import replace
from typing import Any

from harness.cells import running as cells
from harness.cells.workbench import Launched
from harness.model import Cell
from harness.settings.observation import Observation
from harness.settings.state import testify


class ObservedLaunches(dict[object, Launched]):
    """Remembers what was observed, and reads it anew for everyone who asks.

    A workbench remembers what the witnesses made of a launch, and would hide a mutant of theirs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._latest: Observation | None = None
        self._observations: dict[object, Observation] = {}

    def watch(self, _cell: Cell, observation: Observation) -> None:
        """Be shown a launch, which is remembered next."""
        self._latest = observation

    def __setitem__(self, key: object, launched: Launched) -> None:
        assert self._latest is not None
        self._observations[key] = self._latest
        super().__setitem__(key, launched)

    def __getitem__(self, key: object) -> Launched:
        observation = self._observations[key]
        checks: Any = cells  # where a mutant puts its own
        return replace(
            super().__getitem__(key),
            seen=testify(observation),
            log=checks.check_log(observation.startup_lines),
        )
