"""The commands behind ``llama-harness builds``; each prints to standard output and returns 0.

Progress and notes go to standard error, so that scripts can use what stands on standard output.
"""

import argparse
import sys
import threading
from collections.abc import Sequence

from harness.builds.catalogue import Build, Catalogue, load_catalogue
from harness.builds.progress import open_progress
from harness.builds.store import Store
from harness.errors import EXIT_OK, HarnessError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``builds`` and its commands; each sets ``func``, which returns an exit code."""
    parser = subparsers.add_parser(
        "builds", help="list, acquire and keep llama-server builds", description=__doc__
    )
    commands = parser.add_subparsers(dest="builds_command", required=True, metavar="COMMAND")

    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("-q", "--quiet", action="store_true", help="show no progress")

    command = commands.add_parser("list", help="list the catalogue's builds")
    command.add_argument("--json", action="store_true", help="one JSON array")
    command.set_defaults(func=list_builds)

    command = commands.add_parser("get", parents=[quiet], help="acquire builds")
    command.add_argument("ids", nargs="+", metavar="ID", help="a build's id, or a glob")
    command.set_defaults(func=get_builds)

    command = commands.add_parser(
        "path", parents=[quiet], help="acquire a build and print its program's path"
    )
    command.add_argument("id", metavar="ID")
    command.set_defaults(func=print_path)


def list_builds(arguments: argparse.Namespace) -> int:
    """Print the catalogue."""
    catalogue, store = load_catalogue(), Store()
    if arguments.json:
        import msgspec

        rows = [_row(build, store) for build in catalogue.builds]
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n")
        return EXIT_OK
    header = ("ID", "FLAVOUR", "PROFILES", "SOURCES", "IN STORE")
    table = [header] + [
        (
            build.id,
            build.flavour or "-",
            ",".join(build.profiles) or "-",
            ",".join(origin.kind for origin in build.sources),
            "yes" if store.find(build) else "no",
        )
        for build in catalogue.builds
    ]
    _print_table(table)
    return EXIT_OK


def get_builds(arguments: argparse.Namespace) -> int:
    """Acquire builds, downloads beside compiles, and print each one's path."""
    chosen = _choose(load_catalogue(), arguments.ids)
    failed = 0
    with open_progress(quiet=arguments.quiet) as progress:
        cancelled = threading.Event()
        for build, outcome in Store().acquire_all(chosen, progress=progress, cancelled=cancelled):
            if isinstance(outcome, HarnessError):
                failed = max(failed, outcome.exit_code)
                sys.stderr.write(f"error: {outcome}\n")
            else:
                sys.stdout.write(f"{build.id}\t{outcome.binary}\n")
                sys.stdout.flush()
    return failed


def print_path(arguments: argparse.Namespace) -> int:
    """Acquire one build and print exactly one path."""
    build = load_catalogue().get(arguments.id)
    with open_progress(quiet=arguments.quiet) as progress:
        acquired = Store().acquire(build, progress=progress)
    sys.stdout.write(f"{acquired.binary}\n")
    return EXIT_OK


def _choose(catalogue: Catalogue, ids: Sequence[str]) -> tuple[Build, ...]:
    return catalogue.select(ids)


def _row(build: Build, store: Store) -> dict[str, object]:
    acquired = store.find(build)
    return {
        "id": build.id,
        "number": build.number,
        "flavour": build.flavour,
        "emulated": build.emulated,
        "fork": build.fork,
        "profiles": build.profiles,
        "sources": [origin.kind for origin in build.sources],
        "binary": str(acquired.binary) if acquired else None,
    }


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
