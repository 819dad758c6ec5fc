"""``llama-harness completion``: a script that teaches a shell to complete the command."""

import argparse
from typing import Final

from harness.errors import EXIT_OK
from harness.terminal import say

SHELLS: Final = ("bash", "zsh", "tcsh")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print a script that completes commands and options. For bash: "
        "llama-harness completion bash > ~/.local/share/bash-completion/completions/llama-harness",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(func=print_completion)


def print_completion(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    import shtab

    say(shtab.complete(options.whole_parser(), shell=options.shell))
    return EXIT_OK
