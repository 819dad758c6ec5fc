"""``llama-harness probe ID|PATH [--json]``: what a build's ``--help`` says it accepts."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.paths import expanded, is_dir, is_file
from harness.errors import EXIT_OK, ProbeError
from harness.flags.capabilities import Capabilities, probe
from harness.flags.lifetimes import lifetime
from harness.terminal import say, say_json

if TYPE_CHECKING:
    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "SubParsers") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "probe",
        help="print what a build's --help says it accepts",
        description="Ask a build for its --help and print what it accepts. "
        "A build of the catalogue that is not in the store yet is acquired first.",
    )
    parser.add_argument(
        "build", metavar="ID|PATH", help="a build of the catalogue, or a llama-server program"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        UnknownBuildError: No build of that id, and no such file either.
        ProbeError: The program does not answer like a llama-server.
        HarnessError: The build cannot be acquired.
    """
    binary, build_env = _locate(args.build)
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("LLAMA_")}
    capabilities = probe(binary, inherited | dict(build_env))
    if args.json:
        say_json(as_document(binary, capabilities))
    else:
        say("\n".join(summary(binary, capabilities)))
    return EXIT_OK


def as_document(binary: Path, capabilities: Capabilities) -> dict[str, Any]:
    """Everything that is known, for ``--json``."""
    return {
        "binary": str(binary),
        "flavour": capabilities.flavour,
        "draft_length_flag": capabilities.draft_length_flag,
        "speculative_types": capabilities.speculative_types,
        "takes_type_list": capabilities.takes_type_list,
        "mtp_token": capabilities.mtp_token,
        "mtp_switch": capabilities.mtp_switch,
        "spec_default": capabilities.spec_default,
        "options": capabilities.options,
        "upstream": {
            flag: told
            for option in capabilities.options
            for flag in option.spellings
            if (told := lifetime(flag)) is not None
        },
    }


def summary(binary: Path, capabilities: Capabilities) -> Iterator[str]:
    """The lines that a reader wants first."""
    length = capabilities.draft_length_flag
    option = capabilities.option(length) if length else None
    stubs = [option for option in capabilities.options if option.removed]
    removed = [spelling for option in stubs for spelling in option.spellings]
    if capabilities.mtp_token:
        mtp = f"--spec-type {capabilities.mtp_token}"
    else:
        mtp = capabilities.mtp_switch or "no"
    several = "several, separated by commas" if capabilities.takes_type_list else "one"
    types = ", ".join(capabilities.speculative_types)
    yield f"binary          {binary}"
    yield f"options         {len(capabilities.options) - len(stubs)}"
    yield f"flavour         {capabilities.flavour or 'none'}"
    length_told = f"{length} (default {option.default}{_upstream(length)})" if option else ""
    types_told = f"{types} ({several}{_upstream('--spec-type')})" if types else ""
    default_told = f"yes{_upstream('--spec-default')}" if capabilities.spec_default else ""
    yield f"draft length    {length_told or 'no flag'}"
    yield f"--spec-type     {types_told or 'no'}"
    yield f"MTP             {mtp}"
    yield f"--spec-default  {default_told or 'no'}"
    yield f"removed         {_removed(removed)}"


def _upstream(flag: str | None) -> str:
    """On which of upstream's builds a flag lives, to be put behind something."""
    told = lifetime(flag) if flag else None
    return f"; upstream {told}" if told else ""


def _removed(flags: Sequence[str]) -> str:
    """Flags that only say that they are removed, those of one lifetime together."""
    told = groupby(flags, key=_upstream)
    return (
        "; ".join(f"{', '.join(group)}{f' ({when[2:]})' if when else ''}" for when, group in told)
        or "none"
    )


def _locate(target: str) -> tuple[Path, Mapping[str, str]]:
    path = expanded(target)
    if is_dir(path):
        raise ProbeError(f"{path} is a directory; give the llama-server program in it")
    if is_file(path) or len(path.parts) > 1:
        return path.absolute(), {}
    from harness.builds import load_catalogue
    from harness.cells.qualification import open_store

    acquired = open_store().acquire(load_catalogue().get(target))
    return acquired.binary, acquired.env
