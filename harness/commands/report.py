"""``llama-harness report``: results files to what people and programs want to read."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.errors import (
    EXIT_CANNOT_TELL,
    EXIT_OK,
    CatalogueError,
    HarnessError,
    UsageError,
    writing,
)
from harness.flags.capabilities import Capabilities, parse_help
from harness.model import CellResult
from harness.report.annotations import annotations
from harness.report.jsonl import encode_result, merge_results
from harness.report.markdown import STEP_SUMMARY_BYTES, render_markdown
from harness.report.order import in_reading_order
from harness.report.outline import verdict_status
from harness.terminal import say


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its forms."""
    parser = subparsers.add_parser(
        "report",
        help="render results files, or merge them; the atlas as a page",
        description="Render the atlas, or the JSON Lines that `llama-harness matrix --jsonl` "
        "writes.",
        epilog="Exit status: 0 rendered; 2 a file is missing or no results file. `table` and "
        "`merge` end with the exit status of the verdicts.",
    )
    forms = parser.add_subparsers(metavar="FORM", required=True)
    html = _form(forms, "html", "one self-contained HTML file", _html)
    html.add_argument("--title", default="llama-harness report", help="the page's heading")
    markdown = _form(forms, "markdown", "Markdown, for a step summary or an issue", _markdown)
    markdown.add_argument("--title", default="llama-harness matrix", help="the heading")
    markdown.add_argument(
        "--max-size",
        type=int,
        metavar="BYTES",
        default=STEP_SUMMARY_BYTES,
        help="leave out failures that would make it longer (default: %(default)s, which a GitHub "
        "step summary takes; an issue takes 65536)",
    )
    _form(forms, "annotations", "GitHub annotations for the failures", _annotations)
    _form(forms, "junit", "a JUnit XML file", _junit)
    _form(forms, "table", "the table that a run ends with", _table)
    _form(forms, "merge", "one results file of several; the last has the say", _merge)
    what = "every option of every build, as one self-contained HTML file"
    atlas = forms.add_parser("atlas", help=what, description=what.capitalize() + ".")
    atlas.add_argument("--title", default="llama-server options", help="the page's heading")
    _add_output(atlas)
    atlas.set_defaults(func=_atlas)


def _form(
    forms: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    function: object,
) -> argparse.ArgumentParser:
    form = forms.add_parser(name, help=what, description=what.capitalize() + ".")
    form.add_argument("results", nargs="+", metavar="RESULTS", type=Path, help="JSON Lines files")
    _add_output(form)
    form.set_defaults(func=function)
    return form


def _add_output(form: argparse.ArgumentParser) -> None:
    form.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="where to write (default: print)"
    )


def _html(options: argparse.Namespace) -> int:
    from harness.report.page import Run, render_page

    paths = _distinct(options.results)
    runs = [
        Run(name=name, results=_in_order(merge_results([path])))
        for name, path in zip(_names(paths), paths, strict=True)
    ]
    builds = dict.fromkeys(result.build for run in runs for result in run.results)
    page = render_page(runs, known_capabilities(tuple(builds)), title=options.title)
    _write(options.output, page)
    return EXIT_OK


def _atlas(options: argparse.Namespace) -> int:
    from harness.report.atlas_page import read_atlas, render_atlas_page

    _write(options.output, render_atlas_page(read_atlas(), title=options.title))
    return EXIT_OK


def _markdown(options: argparse.Namespace) -> int:
    text = render_markdown(_merged(options), title=options.title, most_bytes=options.max_size)
    _write(options.output, text)
    return EXIT_OK


def _annotations(options: argparse.Namespace) -> int:
    _write(options.output, "".join(f"{line}\n" for line in annotations(_merged(options))))
    return EXIT_OK


def _junit(options: argparse.Namespace) -> int:
    from harness.report.junit import write_junit

    if options.output is None:
        raise UsageError("report junit: name the file to write with -o FILE")
    write_junit(_merged(options), options.output)
    return EXIT_OK


def _table(options: argparse.Namespace) -> int:
    from harness.report.table import print_tables

    results = _merged(options)
    if options.output is None:
        print_tables(results, sys.stdout)
    else:
        with _opened(options.output) as stream:
            print_tables(results, stream)
    return exit_status(results)


def _merge(options: argparse.Namespace) -> int:
    results = _merged(options)
    _write(options.output, "".join(f"{encode_result(result).decode()}\n" for result in results))
    return exit_status(results)


def exit_status(results: Sequence[CellResult]) -> int:
    """The exit status that a run with these results ends with."""
    return verdict_status(result.status for result in results) if results else EXIT_CANNOT_TELL


def known_capabilities(builds: Sequence[str]) -> Mapping[str, Capabilities]:
    """Capabilities of all builds whose ``--help`` was recorded, and of those that the store holds.

    Args:
        builds: Of these only, builds of the store are asked for their ``--help``.
    """
    from harness.builds import load_catalogue
    from harness.cells.qualification import open_store
    from harness.emulation.description import recorded_help
    from harness.flags.capabilities import probe

    catalogue = load_catalogue()
    store = open_store()
    known: dict[str, Capabilities] = {}
    for build in catalogue.builds:
        with suppress(CatalogueError):
            known[build.id] = parse_help(recorded_help(build.id))
            continue
        acquired = store.find(build) if build.id in builds else None
        if acquired is not None:
            with suppress(HarnessError):
                known[build.id] = probe(acquired.binary, {**os.environ, **acquired.env})
    return known


def _merged(options: argparse.Namespace) -> tuple[CellResult, ...]:
    return _in_order(merge_results(options.results))


def _in_order(results: Sequence[CellResult]) -> tuple[CellResult, ...]:
    from harness.builds import load_catalogue

    return in_reading_order(results, [build.id for build in load_catalogue().builds])


def _names(paths: Sequence[Path]) -> Sequence[str]:
    """The files' names, with as many of their folders as it takes to tell them apart."""
    stems = [path.with_suffix("").parts for path in paths]
    words = 1
    while True:
        names = ["/".join(parts[-words:]) for parts in stems]
        if len(set(names)) == len(names) or words > max(map(len, stems)):
            return names
        words += 1


def _distinct(paths: Sequence[Path]) -> Sequence[Path]:
    return tuple(dict.fromkeys(path.absolute() for path in paths))


def _write(path: Path | None, text: str) -> None:
    if path is None:
        say(text, end="")
        return
    with _opened(path) as stream:
        stream.write(text)


def _opened(path: Path) -> IO[str]:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8", newline="\n")
