"""Runs the mutants and says who survived."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from harness.cells.workbench import Workbench, open_workbench
from tests.mutants.guards import GUARD_MUTANTS, kill_guards
from tests.mutants.launches import ObservedLaunches
from tests.mutants.mutants import Mutant, all_mutants
from tests.mutants.panel import Kill, Panel
from tests.mutants.readings import kill_reading, open_readings, reading_mutants


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What came of a mutant.

    Attributes:
        kill: What killed it; None for a survivor.
    """

    name: str
    area: str
    kill: Kill | None
    seconds: float


@contextmanager
def open_panel() -> Iterator[Panel]:
    """The panel, with what every cell shows already seen."""
    launches = ObservedLaunches()
    with open_workbench() as bench:
        panel = Panel(bench=replace(bench, launches=launches, watcher=launches.watch))
        panel.record()
        yield panel


def run_mutant(mutant: Mutant, panel: Panel) -> Fate:
    """Put one mutant in place and look for a cell that shows it."""
    started = time.perf_counter()
    bench = panel.bench
    if mutant.probes_again:
        panel = replace(panel, bench=_forgetful(bench))
    with mutant.context():
        kill = panel.kill(mutant.subject(), first=mutant.first)
    return Fate(
        name=mutant.name,
        area=mutant.area,
        kill=kill,
        seconds=time.perf_counter() - started,
    )


def run_all(panel: Panel) -> Iterator[Fate]:
    """Every mutant, those of the settings and of the reload guards last."""
    for mutant in all_mutants():
        yield run_mutant(mutant, panel)
    readings = open_readings()
    for reading in reading_mutants():
        started = time.perf_counter()
        kill = kill_reading(reading, readings)
        seconds = time.perf_counter() - started
        yield Fate(name=reading.name, area="setting", kill=kill, seconds=seconds)
    for name, guards in GUARD_MUTANTS.items():
        started = time.perf_counter()
        kill = kill_guards(guards)
        yield Fate(name=name, area="guards", kill=kill, seconds=time.perf_counter() - started)


def _forgetful(bench: Workbench) -> Workbench:
    return replace(bench, _capabilities={}, _subjects={})
