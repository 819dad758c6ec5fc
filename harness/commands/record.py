"""``llama-harness record``: run an application and write down which servers it starts."""

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.builds import load_catalogue
from harness.cells.qualification import open_store
from harness.errors import EXIT_CANNOT_TELL, EXIT_INTERRUPTED, EXIT_OK, UsageError
from harness.shim.install import Shim, install_shim
from harness.shim.recordings import (
    Launch,
    Recording,
    collect_launches,
    describe,
    save_recording,
)
from harness.terminal import note, open_progress, say

SHIM_VARIABLE: Final = "LLAMA_HARNESS_SHIM"
"""Tells the application's command line where the stand-in is, if it looks elsewhere than PATH."""

_CLOCK_SLACK_S: Final = 5.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``record``; it sets ``func``, which returns an exit code."""
    parser = subparsers.add_parser(
        "record",
        help="run an application and record the servers it starts",
        description=(
            "Runs APP with a stand-in named llama-server first on PATH (and named by "
            f"${SHIM_VARIABLE}), which records every start and then runs the build. The recording "
            "is a subject: --subject recording:FILE. Ctrl-C ends the application, not the "
            "recording."
        ),
    )
    parser.add_argument("--build", required=True, metavar="ID", help="the build behind the name")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("recording.json"), metavar="FILE",
        help="where the recording goes (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--health-only", action="store_true",
        help="start no server: record, and answer /health in its place",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="end the application after this long"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "application", nargs="+", metavar="APP", help="the application and its arguments, after --"
    )
    parser.set_defaults(func=record)


def record(arguments: argparse.Namespace) -> int:
    """Run the application, then print and save what it asked for."""
    build = load_catalogue().get(arguments.build)
    with open_progress(quiet=arguments.quiet) as progress:
        acquired = open_store().acquire(build, progress=progress)
    with tempfile.TemporaryDirectory(prefix="llama-harness-record-") as directory:
        shim = install_shim(
            Path(directory) / "bin",
            acquired.binary,
            env=acquired.env,
            health_only=arguments.health_only,
        )
        status, interrupted = run_application(arguments.application, shim, arguments.timeout)
        launches = collect_launches(shim.recordings)
        end_servers(launches, (acquired.binary, shim.program))
    if not launches:
        note(
            f"{arguments.application[0]} ended with status {status} and started no llama-server; "
            f"if it does not look for one on PATH, point it at ${SHIM_VARIABLE}"
        )
        return EXIT_INTERRUPTED if interrupted else EXIT_CANNOT_TELL
    recording = Recording(
        build=build.id, application=arguments.application, status=status, launches=launches
    )
    try:
        save_recording(recording, arguments.output)
    except OSError as error:
        raise UsageError(f"--output {arguments.output}: cannot be written: {error}") from error
    say(describe(launches))
    starts = "1 start" if len(launches) == 1 else f"{len(launches)} starts"
    note(f"{starts} saved; test with --subject recording:{arguments.output}")
    return EXIT_OK


def run_application(
    application: Sequence[str], shim: Shim, timeout_s: float | None
) -> tuple[int, bool]:
    """Run an application with the stand-in first on its PATH.

    Returns:
        Its exit status, and whether the user interrupted it.

    Raises:
        UsageError: There is no such program.
    """
    program = shutil.which(application[0])
    if program is None:
        raise UsageError(f"record: there is no program {application[0]!r} here or on PATH")
    try:
        child = subprocess.Popen(
            [program, *application[1:]], env=application_environment(os.environ, shim)
        )
    except OSError as error:
        raise UsageError(
            f"record: {shlex.join(application)}: cannot be started: {error}"
        ) from error
    interrupted = False
    try:
        status = child.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.terminate()
        status = _end(child)
    except KeyboardInterrupt:  # the terminal sent it to the application as well
        interrupted = True
        status = _end(child)
    return status, interrupted


def application_environment(env: Mapping[str, str], shim: Shim) -> dict[str, str]:
    """The user's variables, with the stand-in first on PATH."""
    directory = str(shim.program.parent)
    return {
        **env,
        "PATH": os.pathsep.join([directory, env.get("PATH", os.defpath)]),
        SHIM_VARIABLE: str(shim.program),
    }


def _end(child: "subprocess.Popen[bytes]") -> int:
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        return child.wait(timeout=10)
    child.kill()
    return child.wait()


def end_servers(launches: Sequence[Launch], programs: Sequence[Path]) -> None:
    """Kill recorded servers that outlived their application.

    A process id may have gone to another process since: only one that was started when the
    recording says, and that runs one of ``programs``, is killed.
    """
    import psutil

    names = {str(program) for program in programs}
    for launch in launches:
        try:
            process = psutil.Process(launch.pid)
            ours = names.intersection(process.cmdline()) and (
                abs(process.create_time() - launch.time) < _CLOCK_SLACK_S
            )
            if ours:
                process.kill()
                process.wait(timeout=5)
        except (psutil.Error, OSError):
            continue
