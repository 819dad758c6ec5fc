"""``docs/history.md``, as far as it is made: eras, drift, command lines, what the atlas missed."""

import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from harness.builds import Build, load_catalogue
from harness.builds.offers import package_offers
from harness.builds.spacing import HISTORY
from harness.cells.qualification import open_store
from harness.cli import main as harness
from harness.errors import EXIT_CANNOT_TELL, EXIT_OK
from harness.flags.atlas import load_atlas
from harness.flags.capabilities import probe
from harness.processes.running import usable_cores
from harness.report.jsonl import merge_results
from harness.report.order import in_reading_order
from harness.report.outline import counts
from tests.atlas.reading import unlike
from tests.history.drifting import Row, rows, table
from tests.history.eras import era_tables, eras
from tests.history.heat_map import heat_map
from tests.page_parts import write_parts

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "history.md"
PICTURE: Final = ROOT / "docs" / "images" / "history.svg"
BARE: Final = ("-m", "MODEL")
LINES: Final = ROOT / "fixtures" / "argv"
_DRAFTING: Final = frozenset({"drafts", "draft_type", "draft_max"})


def write_page(files: Sequence[Path]) -> int:
    """Write the page of results; 3 where something is not explained or the atlas is wrong."""
    order = [build.id for build in load_catalogue().builds]
    results = in_reading_order(merge_results(files), order)
    catalogue = load_catalogue()
    builds = [catalogue.get(one) for one in dict.fromkeys(result.build for result in results)]
    stored = [one for one in builds if open_store().find(one) is not None]
    drifted = _drifted(stored)
    lines = [*_lines(stored)]
    wrong = [*_unlike_the_atlas(stored)]
    write_parts(
        PAGE,
        {
            "run": [_run_text(builds, len(catalogue.profile(HISTORY)), counts(results))],
            "builds": [*_build_rows(builds, _dates())],
            "eras": ["```text", *era_tables([*eras(results)]), "```"],
            "drift": [*table(drifted)],
            "lines": [*_line_rows(lines)],
            "atlas": [*_atlas_rows(stored, wrong)],
        },
    )
    PICTURE.write_text("".join(f"{line}\n" for line in heat_map(results)), encoding="utf-8")
    disagreements = [text for line in lines for text in line["disagreements"]]
    surprises = [str(one.change) for one in drifted if not one.why]
    for text in (*surprises, *disagreements, *wrong):
        sys.stderr.write(f"not explained: {text}\n")
    return EXIT_CANNOT_TELL if surprises or disagreements or wrong else EXIT_OK


def _run_text(builds: Sequence[Build], of: int, counted: str) -> str:
    today = datetime.now(UTC).date()
    part = f"{len(builds)} of the {of}" if len(builds) < of else str(of)
    return (
        f"{today}, {usable_cores()} cores, {part} builds of the profile, {builds[0].id} to "
        f"{builds[-1].id}: {counted}."
    )


def _dates() -> Mapping[int, str]:
    """When each build that packages carry was uploaded."""
    return {number: offer.date for number, offer in package_offers().builds.items()}


def _build_rows(builds: Sequence[Build], dates: Mapping[int, str]) -> Iterator[str]:
    """The builds of each month in a row."""
    yield "| uploaded in | builds |"
    yield "|---|---|"
    for month, group in groupby(builds, key=lambda one: dates.get(one.number, "")[:7]):
        yield f"| {month} | {', '.join(one.id for one in group)} |"


def _checked(builds: Sequence[Build], words: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """What ``check --json`` says of each command line."""
    named = [word for build in builds for word in ("--build", build.id)]
    with redirect_stdout(io.StringIO()) as said:
        harness(["check", "--json", *named, *words])
    answer: Mapping[str, Any] = json.loads(said.getvalue())
    told: Sequence[Mapping[str, Any]] = answer["command_lines"]
    return told


def _drifted(builds: Sequence[Build]) -> list[Row]:
    (line,) = _checked(builds, ["--", *BARE])
    states = [
        (build, {name: value for name, value in one["settings"].items() if name not in _DRAFTING})
        for build, one in line["builds"].items()
        if one["settings"]
    ]
    return [*rows(states, load_atlas())]


def _lines(builds: Sequence[Build]) -> Iterator[Mapping[str, Any]]:
    """Of each command line where it starts, and where it was seen otherwise than the atlas says."""
    for file in sorted(LINES.iterdir()):
        for line in _checked(builds, [str(file)]):
            yield {
                "name": f"{file.name} {line['name'].partition(file.name)[2]}".strip(),
                "argv": line["argv"],
                "starts": {build: one["starts"] for build, one in line["builds"].items()},
                "blames": {build: one["blame"] for build, one in line["builds"].items()},
                "disagreements": [one["message"] for one in line["atlas"]["disagreements"]],
            }


def _line_rows(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| command line | starts on | refused on | otherwise than by the atlas |"
    yield "|---|---|---|---|"
    for line in lines:
        starts, blames = line["starts"], line["blames"]
        fine = [build for build, started in starts.items() if started]
        refused = {
            build: f"`{blames[build]}`" for build, started in starts.items() if started is False
        }
        told = "<br>".join(f"{_run(run, [*starts])}: {why}" for run, why in _runs(refused, starts))
        where = ", ".join(_run(run, [*starts]) for run, _ in _runs(dict.fromkeys(fine, ""), starts))
        wrong = len(line["disagreements"])
        yield f"| {line['name']} | {where or 'none'} | {told or 'none'} | {wrong or 'none'} |"


def _runs(
    told: Mapping[str, str], order: Mapping[str, object]
) -> Iterator[tuple[Sequence[str], str]]:
    """Builds that follow each other and of which the same is told."""
    for why, group in groupby(order, key=told.get):
        if why is not None:
            yield [*group], why


def _run(builds: Sequence[str], order: Sequence[str]) -> str:
    if len(builds) == len(order):
        return "all"
    return builds[0] if len(builds) == 1 else f"{builds[0]} … {builds[-1]}"


def _unlike_the_atlas(builds: Sequence[Build]) -> Iterator[str]:
    """Where a build's ``--help`` says otherwise than the atlas; inside a window either may be."""
    store, atlas = open_store(), load_atlas()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
    for build in builds:
        acquired = store.acquire(build)
        told = probe(acquired.binary, {**plain, **acquired.env})
        yield from unlike(build.number, told, atlas)


def _atlas_rows(builds: Sequence[Build], wrong: Sequence[str]) -> Iterator[str]:
    options = sum(len(load_atlas().table(build.number)) for build in builds)
    yield f"{options} options of {len(builds)} builds compared with `--help`: {len(wrong)} differ."
    yield from (f"- `{entry}`" for entry in wrong)
