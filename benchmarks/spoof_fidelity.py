"""Does a verdict reached in the spoof equal the one reached on the GPU? Needs an NVIDIA card.

Every cell of the default matrix runs twice: in ``cuda``, with a server compiled for the card, and
in ``cuda-spoof``, with the usual CPU server and a profile captured from the same card. Plan,
startup, effective state and verdict of the two are compared. The CUDA server of a build is a build
of its own, named with ``-cuda`` behind:

    llama-harness builds add b9246-cuda --like b9246 --cmake-option GGML_CUDA=ON
    python benchmarks/spoof_fidelity.py --build b9246

With ``--linked`` each cell runs a third time: the CUDA server inside the spoof. The last row is a
control: the card against plain ``cpu``, where plans must differ.
"""

import argparse
import dataclasses
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.environments.capture import capture_profile, write_profile
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, HarnessError
from harness.matrix.axes import Selection, select_cells
from harness.model import Cell, CellResult, Verdict
from harness.report.jsonl import JsonLinesWriter
from harness.settings.observation import Observation

_HOME = re.compile(r"\S*/environment-\w+")
"""The home of an open environment, which applications put into their plans."""

ASPECTS = ("plan", "startup", "effective state", "verdict")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One cell on the card and in the spoof."""

    real: CellResult
    spoofed: CellResult

    @property
    def differences(self) -> Mapping[str, tuple[str, str]]:
        """By aspect what the two were, where they were not the same."""
        both = zip(aspects(self.real), aspects(self.spoofed), strict=True)
        return {
            name: (real, spoofed)
            for name, (real, spoofed) in zip(ASPECTS, both, strict=True)
            if real != spoofed
        }


def aspects(result: CellResult) -> Iterator[str]:
    """What is compared, as text, in the order of ``ASPECTS``; ports and homes are left out."""
    argv = [
        "{port}" if place and result.argv[place - 1] == "--port" else _HOME.sub("{home}", word)
        for place, word in enumerate(result.argv)
    ]
    yield f"{' '.join(argv)} -> {result.resolved_mode}, {result.reason}"
    failure = result.failure
    yield "healthy" if failure is None else f"{failure.kind} {failure.argument}: {failure.message}"
    yield str(result.drafts)
    red = [f"{check.name}: {check.observed}" for check in result.checks if not check.ok]
    yield "; ".join([result.status.value, *red])


def main() -> int:
    """Print the tables; exit with 1 where anything differs, 3 without a card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="append", default=[], help="default: b8929 b9246")
    parser.add_argument(
        "--linked", action="store_true", help="the CUDA server in the spoof as well"
    )
    parser.add_argument("--subject", default="reference", help="whose plans (default: reference)")
    parser.add_argument("--profile", type=Path, help="keep the captured profile here")
    parser.add_argument("--jsonl", type=Path, metavar="FILE", help="keep every result")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    options = parser.parse_args()
    builds = tuple(options.build) or ("b8929", "b9246")
    try:
        with (
            tempfile.TemporaryDirectory() as scratch,
            open_workbench() as opened,
        ):
            on_card: dict[str, list[bool]] = {}
            workbench = dataclasses.replace(opened, watcher=partial(note_use_of_a_card, on_card))
            profile = options.profile or Path(scratch) / "captured.toml"
            write_profile(capture_profile(os.environ), profile)
            # Names of environments are split at "+", which a scratch directory may have.
            spoof = f"cuda-spoof:{os.path.relpath(profile)}"
            writer = JsonLinesWriter(options.jsonl) if options.jsonl else None
            figures, pairs = [], []
            for build in builds:
                others = [Other(name=f"{build} in the spoof", build=build, environment=spoof)]
                if options.linked:
                    linked = f"{build}-cuda"
                    others.append(
                        Other(name=f"{linked} in the spoof", build=linked, environment=spoof)
                    )
                for other in others:
                    of_build = list(compared(options.subject, build, other, workbench, writer))
                    figures.append(figures_of(f"{build}-cuda in cuda / {other.name}", of_build))
                    pairs += of_build
                control = Other(name=f"{build} in cpu", build=build, environment="cpu")
                of_build = list(compared(options.subject, build, control, workbench))
                figures.append(
                    figures_of(f"control: {build}-cuda in cuda / {control.name}", of_build)
                )
                if not any(pair.differences for pair in of_build):
                    print(f"{build}: nothing tells cuda from cpu", file=sys.stderr)
                    return EXIT_CANNOT_TELL
            if writer:
                writer.close()
    except HarnessError as error:
        print(f"spoof_fidelity: {error}", file=sys.stderr)
        return error.exit_code
    report(figures, pairs, counted(on_card))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if any(pair.differences for pair in pairs):
        return EXIT_FAIL
    unknown = [pair for pair in pairs if pair.real.status is Verdict.ERROR]
    if unknown:
        print(f"{len(unknown)} cells are errors on both sides, which is no agreement")
    return EXIT_CANNOT_TELL if unknown else EXIT_OK


@dataclass(frozen=True, kw_only=True)
class Other:
    """What the card is compared with: a build in an environment."""

    name: str
    build: str
    environment: str


def compared(
    subject: str,
    build: str,
    other: Other,
    workbench: Workbench,
    writer: JsonLinesWriter | None = None,
) -> Iterator[Pair]:
    """Run every cell of a build on the card and elsewhere, by turns; the writer keeps both."""
    selection = Selection(builds=(build,), environments=("cuda",), subjects=(subject,))
    for cell in select_cells(selection, workbench.catalogue):
        on_card = dataclasses.replace(cell, build=f"{build}-cuda")
        pretended = dataclasses.replace(cell, build=other.build, environment=other.environment)
        pair = Pair(real=run_cell(on_card, workbench), spoofed=run_cell(pretended, workbench))
        if writer:
            writer.write(pair.real)
            writer.write(pair.spoofed)
        yield pair


def figures_of(name: str, pairs: Sequence[Pair]) -> dict[str, object]:
    """One row of the table."""
    agreed = {aspect: sum(aspect not in pair.differences for pair in pairs) for aspect in ASPECTS}
    return {
        "compared": name,
        "cells": len(pairs),
        **agreed,
        "start on the card, ms": startup([pair.real for pair in pairs]),
        "in the spoof, ms": startup([pair.spoofed for pair in pairs]),
        "the server lists on the card": devices([pair.real for pair in pairs]),
        "in the spoof": devices([pair.spoofed for pair in pairs]),
    }


def startup(results: Sequence[CellResult]) -> float | None:
    """The median start-up time."""
    times = [result.startup_ms for result in results if result.startup_ms is not None]
    return round(median(times), 1) if times else None


def devices(results: Sequence[CellResult]) -> str:
    """What the servers list to compute on."""
    listed = {result.devices for result in results}
    return " / ".join(sorted("?" if one is None else ", ".join(one) or "CPU" for one in listed))


def note_use_of_a_card(seen: dict[str, list[bool]], cell: Cell, shown: Observation) -> None:
    """Note by environment whether the log of a CUDA server tells of a card."""
    if cell.build.endswith("-cuda"):
        used = any("CUDA0" in line for line in shown.startup_lines)
        seen.setdefault(cell.environment, []).append(used)


def counted(seen: Mapping[str, Sequence[bool]]) -> str:
    """How many launches of CUDA servers, by environment, told of a card in their log."""
    return ", ".join(f"{name}: {sum(used)} of {len(used)}" for name, used in seen.items())


def report(figures: Sequence[Mapping[str, object]], pairs: Sequence[Pair], on_card: str) -> None:
    """Print the table of agreements, then each difference once, with the cells that show it."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=180, highlight=False, markup=False)
    table = Table(title="cells that agree", title_justify="left")
    for heading in figures[0]:
        table.add_column(heading)
    for row in figures:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    console.print(f"CUDA servers whose log names CUDA0: {on_card}")
    seen: dict[tuple[str, str, str], list[str]] = {}
    for pair in pairs:
        for aspect, (real, spoofed) in pair.differences.items():
            seen.setdefault((aspect, real, spoofed), []).append(pair.spoofed.id)
    for (aspect, real, spoofed), cells in seen.items():
        console.print(f"{aspect} differs in {len(cells)} cells: {', '.join(cells[:4])}")
        console.print(f"  card  {real}\n  spoof {spoofed}")
    if not seen:
        console.print("no difference")


if __name__ == "__main__":
    sys.exit(main())
