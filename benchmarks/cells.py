"""What the harness costs over a raw script, per cell: same argvs, in turn, in one run.

The raw script starts the server, polls its health, asks for one completion and for ``/slots``
once, and kills it. Arguments, variables and completion are those of the harness's own launch of the
cell, and the two take turns, so that both meet the host in the same state.

    nox -s bench -- cells
    python -m benchmarks.cells --env cuda-spoof
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from benchmarks._figures import add_json_option, keep
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.environments import detect_host
from harness.matrix.axes import Selection, select_cells
from harness.model import Cell, CellResult, Verdict
from harness.server.ports import reserved_port
from harness.settings.observation import TOKENS, observing_environment

BUILDS = ("b8929", "b9246", "b11434")
ENVIRONMENTS = ("cpu", "cuda-spoof")
SHAPES: Mapping[str, Selection] = {
    "plain": Selection(models=("tiny-llama",), modes=("off", "ngram", "draft"), builds=BUILDS),
    "MTP": Selection(models=("tiny-mtp",), modes=("mtp", "ngram", "off"), builds=BUILDS),
}
LENGTHS = tuple(str(length) for length in range(1, 17))
LAUNCHES_A_ROUND = 16


def main() -> int:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="append", default=[], help="default: " + " ".join(BUILDS))
    parser.add_argument(
        "--env", action="append", default=[], metavar="E", help="default: " + " ".join(ENVIRONMENTS)
    )
    parser.add_argument("--rounds", type=int, default=2, help="times each cell is run a time")
    parser.add_argument("--times", type=int, default=3, help="times all of it is measured")
    add_json_option(parser, "cells")
    options = parser.parse_args()
    builds = tuple(options.build) or BUILDS
    measured: dict[tuple[str, str, str, int], list[tuple[list[float], list[float]]]] = {}
    with open_workbench(share_launches=False) as workbench:
        chosen = {
            (environment, shape, build): _distinct_launches(
                selection, build, environment, workbench
            )
            for environment in options.env or ENVIRONMENTS
            for shape, selection in SHAPES.items()
            for build in builds
        }
        for _ in range(options.times):
            for place, cells in chosen.items():
                if cells:
                    pair = _measure(cells, options.rounds * _repeats(cells), workbench)
                    measured.setdefault((*place, len(cells)), []).append(pair)
                    print(*place, round(_ratio(pair), 3), file=sys.stderr)
    figures = [
        {
            "environment": environment,
            "model": shape,
            "build": build,
            "cells": cells,
            "raw_ms": round(median(one for raw, _ in pairs for one in raw), 1),
            "harness_ms": round(median(one for _, ours in pairs for one in ours), 1),
            "ratio_of_sums": round(median(map(_ratio, pairs)), 3),
            "spread": round(max(map(_ratio, pairs)) - min(map(_ratio, pairs)), 3),
        }
        for (environment, shape, build, cells), pairs in measured.items()
    ]
    keep("harness over raw, per cell", figures, options.json)
    return 0


def _ratio(pair: tuple[Sequence[float], Sequence[float]]) -> float:
    raw, harness = pair
    return sum(harness) / sum(raw)


def _distinct_launches(
    selection: Selection, build: str, environment: str, workbench: Workbench
) -> list[tuple[Cell, CellResult]]:
    """Cells that each need a launch of their own, with what running them once showed."""
    chosen = Selection(
        builds=(build,),
        environments=(environment,),
        models=selection.models,
        modes=selection.modes,
        draft_lengths=LENGTHS,
    )
    seen: dict[tuple[str, ...], tuple[Cell, CellResult]] = {}
    for cell in select_cells(chosen, workbench.catalogue):
        result = run_cell(cell, workbench)
        launched = tuple(
            word for place, word in enumerate(result.argv) if result.argv[place - 1] != "--port"
        )
        if result.failure is None:
            seen.setdefault(launched, (cell, result))
    good = {Verdict.PASS, Verdict.DEGRADED}
    return [pair for pair in seen.values() if pair[1].status in good]


def _repeats(cells: Sequence[object]) -> int:
    """How often few cells are run in one round, to weigh as much as many."""
    return max(1, round(LAUNCHES_A_ROUND / len(cells)))


def _measure(
    cells: Sequence[tuple[Cell, CellResult]], rounds: int, workbench: Workbench
) -> tuple[list[float], list[float]]:
    raw: list[float] = []
    harness: list[float] = []
    for number in range(rounds):
        for cell, result in cells:
            for raw_now in (True, False) if number % 2 == 0 else (False, True):
                start = time.perf_counter()
                if raw_now:
                    _raw(cell, result, workbench)
                else:
                    run_cell(cell, workbench)
                (raw if raw_now else harness).append((time.perf_counter() - start) * 1000)
    return raw, harness


def _raw(cell: Cell, result: CellResult, workbench: Workbench) -> None:
    """The raw script: as little as one can do to see a server answer."""
    build = workbench.build(cell.build)
    opened = workbench.environment(cell.environment)
    if opened.spoof is not None:
        detect_host(opened.variables)  # its command line was made after asking for cards, too
    with reserved_port() as port, tempfile.TemporaryDirectory() as directory:
        argv = list(_with_port(result.argv, port))
        env = {
            **workbench.server_variables(cell.build, cell.environment),
            **workbench.one_core,
            **observing_environment(),
        }
        with subprocess.Popen(
            [str(build.binary), *argv],
            env=env,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as server:
            try:
                while _get(port, "GET", "/health") != http.client.OK:
                    time.sleep(0.001)
                _get(port, "POST", "/completion", {"prompt": "hello", "n_predict": TOKENS})
                _get(port, "GET", "/slots")
            finally:
                server.kill()


def _with_port(argv: Sequence[str], port: int) -> Iterator[str]:
    for place, word in enumerate(argv):
        yield str(port) if argv[place - 1] == "--port" else word


def _get(port: int, method: str, path: str, body: object = None) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        response.read()
    except OSError:
        return None
    else:
        return response.status
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
