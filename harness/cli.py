"""The ``llama-harness`` command; every command is a module of ``harness.commands``."""

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Final

from harness import __version__
from harness.errors import EXIT_CANNOT_TELL, EXIT_INTERRUPTED, EXIT_OK, HarnessError
from harness.terminal import complain, is_broken_pipe, same_output_everywhere

_COMMANDS: Final = (
    "matrix",
    "builds",
    "probe",
    "env",
    "record",
    "model",
    "session",
    "bisect",
    "check",
    "explain",
    "upgrade",
    "flag",
    "flags",
    "report",
    "plan",
    "config",
    "doctor",
    "completion",
)
"""Each is a module of ``harness.commands``, imported only for its own command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; see ``harness.errors`` for what each means."""
    words = list(sys.argv[1:] if argv is None else argv)
    same_output_everywhere()
    if sys.platform == "win32" and threading.current_thread() is threading.main_thread():
        # Ctrl-Break, which CI services send as well, ends Python on the spot otherwise.
        signal.signal(signal.SIGBREAK, signal.default_int_handler)
    try:
        # Importing a command's modules takes its time, in which an interrupt may come as well.
        parser = make_parser(words)
        options, unknown = parser.parse_known_args(words)
        if unknown and not getattr(options, "passes_unknown", False):
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        options.unknown = unknown
        options.whole_parser = make_parser
        status = int(options.func(options))
        sys.stdout.flush()
    except HarnessError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return EXIT_INTERRUPTED
    except OSError as error:
        if is_broken_pipe(error):
            # Whoever read the output has seen enough. Python flushes once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_OK
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        complain(f"this host refuses: {what}")
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
    for name in _COMMANDS:
        if asked == name or asked not in _COMMANDS:
            importlib.import_module(f"harness.commands.{name}").add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
