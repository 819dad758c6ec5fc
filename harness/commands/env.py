"""``llama-harness env``: runs a command inside an environment, checks a spoof, captures a card."""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, UsageError
from harness.terminal import note, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.builds import AcquiredBuild
    from harness.environments.environment import Environment
    from harness.environments.machine import SpoofedMachine

_SIGNAL_EXIT: Final = 128


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command; its ``func`` takes the parsed arguments and returns the exit code.

    What stands after ``--`` reaches ``func`` as ``unknown``, so that options of the command that
    is run are never taken for ours.
    """
    parser = subparsers.add_parser(
        "env",
        help="run a command inside an environment, e.g. with a GPU that is not there",
        usage=(
            "llama-harness env NAME [--profile P] -- COMMAND...\n"
            "       llama-harness env cuda-spoof [--profile P] --self-test [--build ID...]\n"
            "       llama-harness env cuda-spoof --capture FILE"
        ),
    )
    parser.add_argument("environment", metavar="NAME", help="cpu, cuda, cuda-spoof[:PART[+PART]]")
    parser.add_argument(
        "--profile", metavar="P", help="the GPU to pretend: a shipped profile, or a .toml file"
    )
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="check that all layers of the spoof agree, and that nothing is seen without it",
    )
    parser.add_argument(
        "--build",
        metavar="ID",
        action="append",
        default=[],
        help="with --self-test: only the servers of builds whose id matches (default: every build "
        "in the store)",
    )
    parser.add_argument(
        "--capture", metavar="FILE", type=Path, help="write a profile of this host's real GPUs"
    )
    parser.set_defaults(func=run, passes_unknown=True)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say and return the exit code; the command's own where one ran.

    Raises:
        UsageError: The arguments do not go together, or the command is not found.
        EnvironmentUnavailableError: This host cannot provide the environment.
    """
    from harness.environments.names import parse_environment

    arguments.command = _command(arguments.unknown)
    spoofed = parse_environment(arguments.environment).kind == "cuda-spoof"
    if arguments.build and not arguments.self_test:
        raise UsageError("--build says whose servers --self-test asks: give --self-test as well")
    tasks: list[Callable[[argparse.Namespace], int]] = []
    if arguments.self_test:
        tasks.append(_self_test)
    if arguments.capture is not None:
        tasks.append(_capture)
    if arguments.command:
        tasks.append(_run_command)
    if len(tasks) != 1:
        raise UsageError("env needs one of: -- COMMAND..., --self-test, --capture FILE")
    if not spoofed and (arguments.profile or tasks[0] is not _run_command):
        raise UsageError(
            "--profile, --self-test and --capture belong to cuda-spoof, "
            f"not {arguments.environment}"
        )
    return tasks[0](arguments)


def _command(words: "Sequence[str]") -> list[str]:
    if words and words[0].startswith("-") and words[0] != "--":
        raise UsageError(f"env has no option {words[0]}; write -- before the command to run")
    return list(words[1:] if words and words[0] == "--" else words)


def _machine(arguments: argparse.Namespace) -> "SpoofedMachine | None":
    from harness.environments.machine import load_profile

    return load_profile(arguments.profile) if arguments.profile else None


def _run_command(arguments: argparse.Namespace) -> int:
    from harness.environments.environment import environment

    with (
        tempfile.TemporaryDirectory(prefix="llama-harness-env-") as home,
        environment(arguments.environment, home=Path(home), machine=_machine(arguments)) as opened,
    ):
        _say_absent(opened)
        program = shutil.which(arguments.command[0], path=opened.variables["PATH"])
        if program is None:
            raise UsageError(f"{arguments.command[0]}: no such command on the environment's PATH")
        code = _wait([program, *arguments.command[1:]], opened)
        _say_unanswered(opened)
    return code


def _wait(command: list[str], opened: "Environment") -> int:
    try:
        process = subprocess.Popen(command, env=dict(opened.variables))
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be run: {error.strerror}") from error
    with process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                # The terminal has sent it to the command as well, which decides what to do.
                continue
    return _SIGNAL_EXIT - code if code < 0 else code


def _say_absent(opened: "Environment") -> None:
    for layer, reason in opened.absent.items():
        note(f"{opened.name}: {layer} is absent: {reason}")


def _say_unanswered(opened: "Environment") -> None:
    calls = opened.spoof.unanswered() if opened.spoof else ()
    if calls:
        note(f"{opened.name}: the driver library had no answer for {', '.join(calls)}")


def _self_test(arguments: argparse.Namespace) -> int:
    from harness.environments.consistency import check_consistency
    from harness.environments.names import parse_environment
    from harness.environments.variants import FAILURES

    failing = FAILURES & parse_environment(arguments.environment).variants
    if failing:
        raise UsageError(f"--self-test needs layers that answer, and {min(failing)} is a failure")
    checked = failed = 0
    absent: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="llama-harness-env-") as home:
        for check in check_consistency(
            arguments.environment,
            home=Path(home) / "home",
            machine=_machine(arguments),
            builds=_stored(arguments.build),
        ):
            setting = _setting(check.setting)
            if check.ok is None:
                absent[check.layer] = check.detail
                continue
            checked += 1
            failed += not check.ok
            mark = "ok  " if check.ok else "FAIL"
            say(f"{mark} {setting:<60} {check.layer:<13} {check.detail}")
        left = list((Path(home) / "home").glob(".*spoof*"))
    for layer, detail in absent.items():
        say(f"--   {layer}: {detail}")
    if left:
        say(f"FAIL the spoof left {', '.join(map(str, left))}")
        failed += 1
    say(f"{checked} checks, {failed} failed, {len(absent)} layers absent")
    if failed:
        return EXIT_FAIL
    return EXIT_OK if checked else EXIT_CANNOT_TELL


def _stored(wanted: "Sequence[str]") -> "list[AcquiredBuild]":
    """The builds of the store that run here, those that match if any are wanted."""
    from harness.builds import load_catalogue
    from harness.cells.qualification import open_store

    catalogue, store = load_catalogue(), open_store()
    chosen = catalogue.select(wanted) if wanted else catalogue.builds
    ready = (store.ready(build) for build in chosen if not build.emulated)
    return [build for build in ready if build is not None]


def _setting(setting: str | None) -> str:
    if setting is None:
        return "CUDA_VISIBLE_DEVICES not set"
    return setting if setting == "spoof off" else f"CUDA_VISIBLE_DEVICES={setting}"


def _capture(arguments: argparse.Namespace) -> int:
    from harness.environments.capture import capture_profile, write_profile

    machine = capture_profile(os.environ)
    write_profile(machine, arguments.capture)
    names = ", ".join(card.name for card in machine.cards)
    say(f"{arguments.capture}: {names}, driver {machine.driver_version}")
    return EXIT_OK
