"""``llama-harness config``: what is set, and where each value came from."""

import argparse
from collections.abc import Mapping

from harness.config.configuration import (
    FILE,
    FILE_VARIABLE,
    KEYS,
    PROJECT_FILE,
    UNSET,
    load_configuration,
    show,
    variable_of,
)
from harness.errors import EXIT_OK
from harness.terminal import say, say_columns, say_json


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "config",
        help="show the settings and where each came from",
        description=f"Settings come from {FILE} or [tool.llama-harness] in {PROJECT_FILE}, in this "
        f"directory or above (or from the file that {FILE_VARIABLE} names), then from variables "
        f"such as {variable_of('environments')} (lists with commas), then from the command line.",
    )
    parser.add_argument("--show", action="store_true", help="print every setting (the default)")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(func=run_config)


def run_config(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    configuration = load_configuration()
    if options.json:
        settings = {
            key: {"value": configuration.value(key), "origin": configuration.origin(key)}
            for key in KEYS
        }
        say_json(settings)
        return EXIT_OK
    say(f"file: {configuration.file or 'none'}")
    usual = _usual()
    shown = [
        (key, usual.get(key, value) if value == UNSET else value, origin)
        for key, value, origin in show(configuration)
    ]
    say_columns([("KEY", "VALUE", "FROM"), *shown])
    return EXIT_OK


def _usual() -> Mapping[str, str]:
    """What holds where a key is not set."""
    from harness.builds.locations import cache_root
    from harness.matrix.axes import (
        DEFAULT_ENVIRONMENTS,
        DEFAULT_MODELS,
        DEFAULT_PROFILE,
        DEFAULT_SUBJECTS,
    )
    from harness.settings.axes import DRAFT_LENGTH, MODE

    return {
        "profile": DEFAULT_PROFILE,
        "builds": "those of the profile",
        "environments": ", ".join(DEFAULT_ENVIRONMENTS),
        "subjects": ", ".join(DEFAULT_SUBJECTS),
        "modes": ", ".join(map(MODE.write, MODE.varied)),
        "draft-lengths": ", ".join(map(DRAFT_LENGTH.write, DRAFT_LENGTH.varied)),
        "models": ", ".join(DEFAULT_MODELS),
        "sources": "as the catalogue lists them",
        "cache": str(cache_root()),
        "ledger": "the harness's own",
        "workers": "as cores and cells allow",
    }
