"""``llama-harness flags``: every option of a build, or all that changed between two builds."""

import argparse
import re
from typing import TYPE_CHECKING

from harness.errors import EXIT_OK, UsageError
from harness.flags.atlas import load_atlas
from harness.report.atlas_lines import change_lines, changes_json, table_json, table_lines
from harness.terminal import say, say_json

if TYPE_CHECKING:
    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "SubParsers") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "flags",
        help="every llama-server option of a build, or what changed between two",
        description="What the atlas of all builds knows. Nothing is launched and nothing fetched.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--build", metavar="B", help="every option that this build has")
    what.add_argument("--diff", nargs=2, metavar="B", help="what changed between these two")
    parser.add_argument("--grep", metavar="WORD", help="only lines that hold this, in any case")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(func=run)


def run(options: argparse.Namespace) -> int:
    """Print the options.

    Raises:
        UsageError: The atlas does not know a build.
    """
    atlas = load_atlas()
    if options.build:
        build = number_of(options.build)
        if options.json:
            document = table_json(build, atlas)
            kept = {
                name: option
                for name, option in document["options"].items()
                if _matches(str(option), options.grep)
            }
            say_json({"schema": 1, **document, "options": kept})
        else:
            lines = [line for line in table_lines(build, atlas) if _matches(line, options.grep)]
            say("\n".join((*lines, f"{_count(len(lines), 'option')} of b{build}")))
        return EXIT_OK
    older, newer = sorted(map(number_of, options.diff))
    happened, notes = atlas.changes(older, newer), atlas.notes(older, newer)
    if options.json:
        changes = changes_json(happened, notes, atlas)
        kept_changes = [one for one in changes if _matches(str(one), options.grep)]
        say_json({"schema": 1, "older": older, "newer": newer, "changes": kept_changes})
    else:
        told = change_lines(happened, notes, atlas)
        lines = [line for line in told if _matches(line, options.grep)]
        say("\n".join((*lines, f"{_count(len(lines), 'change')} from b{older} to b{newer}")))
    return EXIT_OK


def _matches(text: str, wanted: str | None) -> bool:
    return wanted is None or wanted.lower() in text.lower()


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def number_of(build: str) -> int:
    """Upstream's number of a build that a user names: ``b9246``, ``9246`` or a catalogue's id.

    Raises:
        UsageError: It has none.
    """
    if told := re.fullmatch(r"b?(\d+)", build):
        return int(told[1])
    from harness.builds import load_catalogue

    number = load_catalogue().get(build).upstream_number
    if number is None:
        raise UsageError(f"{build}: the atlas has upstream's builds only, by their number")
    return number
