"""The smoke matrix on Windows held against the same on Linux, cell by cell."""

import io
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.model import CellResult
from harness.report.jsonl import read_results
from harness.report.table import print_tables
from tests.windows.servers import SERVERS
from tests.windows.wine import Wine, WineError

LIST: Final = Path(__file__).with_name("other_cells.toml")
ROOT: Final = Path(__file__).resolve().parents[2]
SEEN: Final = (0, 1)
"""Exit statuses of a matrix whose every cell was seen."""


def cells(jsonl: Path) -> list[str]:
    """The arguments of both runs: every cell on the CPU of the builds that both systems have."""
    builds = [word for server in SERVERS for word in ("--build", server.build)]
    return ["matrix", "-q", "--env", "cpu", *builds, "--jsonl", str(jsonl)]


def compare_tables(
    wine: Wine, python: Path, directory: Path, env: Mapping[str, str]
) -> tuple[str, ...]:
    """Run the matrix on both systems, print Windows' table, and return what is not as it should be.

    Args:
        wine: Runs Windows' matrix.
        python: The Windows Python, with the harness installed.
        directory: Where both results are left.
        env: Windows' variables.

    Raises:
        WineError: A run ended without having seen every cell.
    """
    on_linux, on_windows = directory / "linux.jsonl", directory / "windows.jsonl"
    words = [*cells(on_linux), "-o", f"cache_dir={directory / 'cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode not in SEEN:
        raise WineError(f"the matrix on Linux ended with {done.returncode}:\n{done.stderr}")
    # A relative name means the same to both. One after the other: Wine 8.0 refuses to start a
    # process now and then ("Internal error") where several are started at once.
    words = ["-m", "harness", *cells(Path(on_windows.name)), "-n", "0"]
    words += ["-o", "cache_dir=cache-windows"]
    status, said = wine.call([python, *words], directory=directory, env=env)
    if status not in SEEN:
        raise WineError(f"the matrix on Windows ended with {status}:\n{said[-2000:]}")
    return judged(list(read_results([on_linux])), list(read_results([on_windows])), listed())


def listed() -> Mapping[str, str]:
    """Cells that are another on Windows, each with the reason."""
    entries = tomllib.loads(LIST.read_text(encoding="utf-8")).get("other", [])
    return {cell: entry["reason"] for entry in entries for cell in entry["cells"]}


def judged(
    linux: Sequence[CellResult], windows: Sequence[CellResult], others: Mapping[str, str]
) -> tuple[str, ...]:
    """Say how the two tables differ, other than is listed; a listed cell must differ."""
    seen = {one.id: told(one) for one in linux}
    here = {one.id: told(one) for one in windows}
    if not seen:
        return ("no cell ran on Linux",)
    complaints = []
    for name in sorted(seen.keys() | here.keys()):
        same = seen.get(name) == here.get(name)
        if same and name in others:
            complaints.append(f"{name}: equal, though listed as another: {others[name]}")
        elif not same and name not in others:
            complaints.append(
                f"{name}: {', '.join(_apart(seen.get(name, {}), here.get(name, {})))}"
            )
    complaints += [f"{name}: listed, and no such cell" for name in others if name not in seen]
    if not complaints and not others and printed(linux) != printed(windows):
        complaints.append("the cells are equal and the printed tables are not")
    return tuple(complaints)


def told(result: CellResult) -> dict[str, object]:
    """What a cell is held by: verdict, failure, checks, and what the server had in effect."""
    effective = result.effective or {}
    return {
        "status": str(result.status),
        "failure": result.failure and (str(result.failure.kind), result.failure.argument),
        "mode": result.resolved_mode,
        "seen": result.effective is not None,
        **{f"check {check.name}": check.ok for check in result.checks},
        **effective,
        "silent": sorted(remark.word for remark in result.silent),
    }


def _apart(linux: Mapping[str, object], windows: Mapping[str, object]) -> list[str]:
    names = sorted(linux.keys() | windows.keys())
    return [
        f"{name} is {linux.get(name)} on Linux, {windows.get(name)} on Windows"
        for name in names
        if linux.get(name) != windows.get(name)
    ]


def printed(results: Sequence[CellResult]) -> str:
    """The table as a terminal shows it."""
    stream = io.StringIO()
    ordered = sorted(results, key=lambda one: one.id)
    print_tables(ordered, stream)
    return stream.getvalue()
