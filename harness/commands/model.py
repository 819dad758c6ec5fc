"""``llama-harness model``: where a tiny model lies, for an application that wants a small GGUF."""

import argparse

from harness.builds.locations import cache_root
from harness.cells.qualification import MODELS_DIRECTORY
from harness.errors import EXIT_OK, UsageError
from harness.gguf_models import ensure_models
from harness.gguf_models.models import MODELS
from harness.terminal import say


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "model",
        help="print the path of a tiny model, writing it if it is not there",
        description="Prints the path of a model that the harness loads: a GGUF file of some "
        "hundred kilobytes for an application that wants one. Without NAME, the names.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="e.g. tiny-llama, tiny-mtp")
    parser.set_defaults(func=model)


def model(arguments: argparse.Namespace) -> int:
    """Print the path, or the names.

    Raises:
        UsageError: No model has that name.
        ModelError: It cannot be written.
    """
    if not arguments.name:
        for name in MODELS:
            say(name)
        return EXIT_OK
    if arguments.name not in MODELS:
        raise UsageError(f"model {arguments.name!r}: there are {', '.join(MODELS)}")
    say(str(ensure_models(cache_root() / MODELS_DIRECTORY)[arguments.name].path))
    return EXIT_OK
