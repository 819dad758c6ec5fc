"""``llama-harness flag --draft-max``: the life of an option over all builds of the atlas."""

import argparse
from typing import TYPE_CHECKING

from harness.errors import EXIT_FAIL, EXIT_OK, UsageError
from harness.flags.atlas import Atlas, load_atlas
from harness.report.atlas_lines import (
    life_json,
    life_lines,
    value_json,
    value_lines,
    values_of,
)
from harness.terminal import say, say_json

if TYPE_CHECKING:
    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "SubParsers") -> None:
    """Declare the command.

    Its own options are few and long, because what it is asked for are options itself: ``-hf`` must
    not be read as ``-h``.
    """
    parser = subparsers.add_parser(
        "flag",
        help="since when, until when and how a llama-server flag, variable or value lives",
        usage="llama-harness flag [--json] FLAG|VARIABLE [VALUE]",
        description="What became of a llama-server flag, by the atlas of all builds: since which "
        "build, renamed, removed, other defaults and values, and what to write instead. Nothing "
        "is launched and nothing fetched. A flag that this command has itself stands after --.",
        epilog="Exit status: 0 known; 1 no build of the atlas has it, and what is most like it.",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("--help", action="help", help="show this help message and exit")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("words", nargs="*", metavar="FLAG", help="and a value, if that is meant")
    parser.set_defaults(func=run, passes_unknown=True)


def run(options: argparse.Namespace) -> int:
    """Print the life of an option.

    Raises:
        UsageError: No flag is given, or more than one.
    """
    atlas = load_atlas()
    words = [*options.words, *options.unknown]
    flags = [word for word in words if word.startswith("-")]
    word, *rest = [*flags, *(word for word in words if word not in flags)] or [""]
    if not word or len(flags) > 1 or len(rest) > 1:
        raise UsageError("flag: give one flag or variable, and at most one value")
    word = _known(word, atlas)
    if not atlas.options_of(word):
        return _unknown(word, atlas, as_json=options.json)
    listed = values_of(word, atlas)
    if rest and listed:
        return _value(word, rest[0], atlas, as_json=options.json)
    if options.json:
        say_json({"schema": 1, **life_json(word, atlas)})
    else:
        say("\n".join(life_lines(word, atlas)))
    return EXIT_OK


def _known(word: str, atlas: Atlas) -> str:
    """The word, with its dashes where they are missing."""
    spelled = (word, f"--{word}", f"-{word}", word.upper())
    return next((one for one in spelled if atlas.options_of(one)), word)


def _unknown(word: str, atlas: Atlas, *, as_json: bool) -> int:
    """Say that no build has it, and what is most like it."""
    having = [name for name in atlas.data.options if word in values_of(name, atlas)]
    near = atlas.near(word)
    if as_json:
        say_json({"schema": 1, "word": word, "options": [], "near": near, "value_of": having})
    elif having:
        say(f"{word}: a value")
        for name in having:
            say("\n".join(value_lines(name, word, atlas)))
    else:
        close = f"; most like it: {', '.join(near)}" if near else ""
        say(f"{word}: no build from b{atlas.first} to b{atlas.last} has it{close}")
    return EXIT_OK if having else EXIT_FAIL


def _value(flag: str, value: str, atlas: Atlas, *, as_json: bool) -> int:
    """Say on which builds a value is listed."""
    import difflib

    listed = values_of(flag, atlas)
    known = value in listed
    similar = [one for one in listed if value and value in one]
    near = similar or difflib.get_close_matches(value, listed)
    if as_json:
        say_json({"schema": 1, **value_json(flag, value, atlas), "near": [] if known else near})
    elif known:
        say("\n".join(value_lines(flag, value, atlas)))
    else:
        say(f"{flag} {value}: listed by no build from b{atlas.first} to b{atlas.last}")
        for one in near:
            say("\n".join(value_lines(flag, one, atlas)))
    return EXIT_OK if known else EXIT_FAIL
