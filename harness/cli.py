"""The ``llama-harness`` command; every command's logic lives in the package it belongs to."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from harness import __version__
from harness.errors import EXIT_CANNOT_TELL, EXIT_INTERRUPTED, EXIT_OK, HarnessError

_COMMANDS: Final = (
    ("matrix", "harness.matrix.command"),
    ("builds", "harness.builds.commands"),
    ("probe", "harness.probe_command"),
    ("env", "harness.environments.commands"),
    ("record", "harness.shim.commands"),
    ("session", "harness.sessions.command"),
    ("bisect", "harness.bisect.commands"),
    ("check", "harness.check"),
    ("explain", "harness.explain"),
    ("report", "harness.report.command"),
    ("plan", "harness.matrix.plan_command"),
    ("config", "harness.config_command"),
    ("doctor", "harness.doctor"),
    ("completion", "harness.completion"),
)
"""Each command and the module that declares it; a module is imported only for its own command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; see ``harness.errors`` for what each means."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = make_parser(words)
    options, unknown = parser.parse_known_args(words)
    if unknown and not getattr(options, "passes_unknown", False):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.unknown = unknown
    try:
        status = int(options.func(options))
        sys.stdout.flush()
    except HarnessError as error:
        print(f"llama-harness: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("llama-harness: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"llama-harness: this host refuses: {what}", file=sys.stderr)
        return EXIT_CANNOT_TELL
    return status


def make_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The command's parser.

    Args:
        words: Its arguments; where they name a command, only that one is declared in full.
    """
    parser = argparse.ArgumentParser(
        prog="llama-harness",
        description="Does the llama-server command line your application generates still start, "
        "and still mean the same, on every llama.cpp build?",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"llama-harness {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    asked = next((word for word in words if not word.startswith("-")), None)
    names = [name for name, _ in _COMMANDS]
    for name, module in _COMMANDS:
        if asked == name or asked not in names:
            importlib.import_module(module).add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
