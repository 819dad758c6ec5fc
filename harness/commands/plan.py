"""``llama-harness plan``: deal the cells of a matrix out over CI jobs."""

import argparse
import json
from collections.abc import Sequence

from harness.builds import load_catalogue
from harness.config.configuration import load_configuration
from harness.errors import EXIT_OK, UsageError
from harness.matrix.axes import measured_results, select_cells
from harness.matrix.configured import completed
from harness.matrix.options import SELECTION_OPTIONS, selection_from
from harness.matrix.shards import Shard, deal
from harness.terminal import say, say_json


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "plan",
        help="deal a matrix out over several jobs",
        description="Deal the cells of a matrix out over several jobs of about the same length. "
        "Each job then runs `llama-harness matrix` with the same selection and --shard K/N.",
    )
    for option in SELECTION_OPTIONS:
        if option.name != "shard":
            parser.add_argument(f"--{option.name}", **option.arguments())
    parser.add_argument("--shards", type=int, required=True, metavar="N", help="how many jobs")
    parser.add_argument(
        "--format",
        choices=("text", "json", "github"),
        default="text",
        help="text, JSON, or one line for a GitHub job's output, to be read with fromJSON",
    )
    parser.set_defaults(func=run_plan, matrix_shard="")


def run_plan(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        HarnessError: The selection is wrong.
    """
    if options.shards < 1:
        raise UsageError(f"--shards {options.shards}: give 1 or more")
    catalogue = load_catalogue()
    selection = completed(selection_from(vars(options)), load_configuration(), catalogue)
    cells = select_cells(selection, catalogue)
    shards = [
        shard for shard in deal(cells, options.shards, measured_results(selection)) if shard.cells
    ]
    match options.format:
        case "github":
            say(f"matrix={json.dumps({'include': _entries(shards)}, separators=(',', ':'))}")
        case "json":
            say_json(_entries(shards))
        case _:
            for shard in shards:
                builds = " ".join(shard.builds)
                say(
                    f"{shard.number}/{shard.of}  {len(shard.cells)} cells  "
                    f"{shard.seconds:.1f} s  {builds}"
                )
    return EXIT_OK


def _entries(shards: Sequence[Shard]) -> list[dict[str, object]]:
    return [
        {
            "shard": f"{shard.number}/{shard.of}",
            "name": f"{shard.number}-of-{shard.of}",
            "cells": len(shard.cells),
            "seconds": round(shard.seconds, 1),
            "builds": " ".join(shard.builds),
        }
        for shard in shards
    ]
