"""``llama-harness record``: run an application and write down which servers it starts."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from harness.builds import AcquiredBuild, load_catalogue
from harness.cells.qualification import MODELS_DIRECTORY, open_store
from harness.config.paths import expanded
from harness.environments.environment import environment
from harness.environments.hermetic import home_variables
from harness.environments.linking import with_libraries
from harness.environments.names import parse_environment
from harness.environments.one_core import one_core_variables
from harness.environments.server_layer import LAYER, server_layer
from harness.errors import EXIT_CANNOT_TELL, EXIT_INTERRUPTED, EXIT_OK, UsageError
from harness.flags.capabilities import probe
from harness.gguf_models import ensure_models, file_for
from harness.model import TinyModel
from harness.processes.reaper import Reaper
from harness.processes.variables import joined
from harness.shim.application import (
    INTERRUPTED,
    Beginning,
    application_variables,
    healthy_starts,
    run_application,
)
from harness.shim.install import SERVER, Shim, install_shim, programs_directory
from harness.shim.placing import copies, placed
from harness.shim.recordings import (
    Recording,
    Run,
    collect_launches,
    describe,
    save_recording,
)
from harness.terminal import note, open_progress, say

SHIM_VARIABLE: Final = "LLAMA_HARNESS_SHIM"
"""Tells the application where the stand-in is, if it looks elsewhere than PATH."""

SHIM_PLACEHOLDER: Final = "{shim}"
"""Stands for the same in its arguments."""

_SIGNAL_EXIT: Final = 128


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``record``; it sets ``func``, which returns an exit code."""
    parser = subparsers.add_parser(
        "record",
        help="run an application and record the servers it starts",
        description=(
            "Runs APP with a stand-in named llama-server first on PATH, which records every start "
            "and then runs the build, with a tiny model in place of the application's own. The "
            "recording is a subject: --subject recording:FILE. Ctrl-C ends the application, not "
            "the recording; what the application leaves running is ended with it."
        ),
        epilog="Exit status: 0 a start was recorded, whatever became of the application; 2 wrong "
        "usage; 3 the application started no server, or the build cannot be had.",
    )
    parser.add_argument(
        "--build", action="append", default=[], metavar="ID",
        help="the build behind the name; several, or a glob, run the application once for each",
    )  # fmt: skip
    parser.add_argument(
        "--profile", default="", metavar="NAME",
        help="the builds of a profile, as of `matrix`: smoke, full or all",
    )  # fmt: skip
    parser.add_argument(
        "--env", action="append", default=[], metavar="E",
        help="run it in an environment, e.g. cuda-spoof, with the user's home (default: in the "
        "user's own variables)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("recording.json"), metavar="FILE",
        help="where the recording goes (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--shim-name", action="append", default=[], metavar="NAME",
        help="another name of the stand-in, e.g. llama for `llama serve`",
    )  # fmt: skip
    parser.add_argument(
        "--shim-env", action="append", default=[], metavar="NAME",
        help="a variable that tells the application where its server is",
    )  # fmt: skip
    parser.add_argument(
        "--shim-at", type=Path, metavar="PATH",
        help="put the stand-in there, and what was there back at the end",
    )  # fmt: skip
    parser.add_argument(
        "--starts", type=int, metavar="N",
        help="end the application when N recorded servers were seen healthy",
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
        "application", nargs="+", metavar="APP",
        help=f"the application and its arguments, after --; {SHIM_PLACEHOLDER} in them stands for "
        f"the stand-in's path, which ${SHIM_VARIABLE} holds as well",
    )  # fmt: skip
    parser.set_defaults(func=record)


@dataclass(frozen=True, kw_only=True)
class _Backing:
    """What stands behind the stand-in in one run.

    Attributes:
        build: The build.
        environment: The environment's name; empty for the user's own variables.
        models: The tiny models that the build loads.
    """

    build: AcquiredBuild
    environment: str
    models: Mapping[str, TinyModel]


def record(arguments: argparse.Namespace) -> int:
    """Run the application, then print and save what it asked for."""
    for name in arguments.env:
        parse_environment(name)
    catalogue = load_catalogue()
    if bool(arguments.build) == bool(arguments.profile):
        raise UsageError("record: name builds with --build, or all of a --profile")
    named = arguments.build
    builds = catalogue.select(named) if named else catalogue.profile(arguments.profile)
    store = open_store()
    with open_progress(quiet=arguments.quiet) as progress:
        acquired = [store.acquire(build, progress=progress) for build in builds]
    models = ensure_models(store.root / MODELS_DIRECTORY)
    runs = []
    for build in acquired:
        for name in arguments.env or [""]:
            backing = _Backing(build=build, environment=name, models=models)
            with _ended_by_signals():
                runs.append(_run(backing, arguments, store.root))
    for run in runs:
        _tell(run, arguments.application, named=len(runs) > 1)
    starts = sum(len(run.launches) for run in runs)
    if not starts:
        interrupted = any(run.cut_short == INTERRUPTED for run in runs)
        return EXIT_INTERRUPTED if interrupted else EXIT_CANNOT_TELL
    recording = Recording(application=arguments.application, runs=runs)
    try:
        save_recording(recording, arguments.output)
    except OSError as error:
        raise UsageError(f"--output {arguments.output}: cannot be written: {error}") from error
    counted = "1 start" if starts == 1 else f"{starts} starts"
    note(f"{counted} saved; test with --subject recording:{arguments.output}")
    return EXIT_OK


def _run(backing: _Backing, arguments: argparse.Namespace, root: Path) -> Run:
    """Run the application once."""
    build = backing.build
    with ExitStack() as stack:
        reaper = stack.enter_context(Reaper())
        scratch = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(
                    prefix="llama-harness-record-", ignore_cleanup_errors=True
                )
            )
        )
        home = home_variables(scratch / "home")
        given: Mapping[str, str] = {}
        spoof = None
        if backing.environment:
            opened = stack.enter_context(
                environment(backing.environment, home=scratch / "environment")
            )
            # Home, settings and cache stay the user's: an application is itself only with them.
            given = {name: value for name, value in opened.variables.items() if name not in home}
            spoof = opened.spoof
        variables = {**os.environ, **given}
        needed = {**build.env, **_libraries(backing, joined(variables, build.env))}
        if spoof is not None:
            layer = server_layer(spoof, build, joined(variables, needed))
            if layer.absent:
                note(f"{build.build.id}: {LAYER} is absent: {layer.absent}")
            needed |= layer.variables
        shim = install_shim(
            stack.enter_context(programs_directory(root)),
            scratch / "shim",
            build.binary,
            names=arguments.shim_name,
            env=joined(needed, one_core_variables()),
            overriding=home,
            owner=reaper.token,
            models=None if arguments.health_only else _models(backing, variables, needed),
        )
        program = shim.program
        if arguments.shim_at:
            stack.enter_context(placed(program, arguments.shim_at, root))
            program = expanded(arguments.shim_at).absolute()
        stack.callback(_take_away_copies, shim, program)
        told = dict.fromkeys([*arguments.shim_env, SHIM_VARIABLE], str(program))
        healthy = healthy_starts(shim.recordings)

        def enough() -> bool:
            return bool(arguments.starts) and healthy() >= arguments.starts

        ending = run_application(
            [word.replace(SHIM_PLACEHOLDER, str(program)) for word in arguments.application],
            application_variables(os.environ, {**given, **told}, shim.directory),
            reaper.token,
            timeout_s=arguments.timeout,
            enough=enough,
            begun=Beginning(
                recordings=shim.recordings,
                programs=(str(shim.directory), str(program)),
                enough=enough if arguments.starts else None,
            ),
        )
        if ending.left:
            note(f"ended what it left running: {', '.join(ending.left)}")
        return Run(
            build=build.build.id,
            environment=backing.environment,
            status=ending.status,
            cut_short=ending.cut_short,
            launches=collect_launches(shim.recordings),
        )


def _take_away_copies(shim: Shim, program: Path) -> None:
    """Remove the copies of the stand-in that the application made: they start nothing later."""
    own = [*shim.directory.iterdir(), program]
    for copy in copies(shim.started_as, own):
        with suppress(OSError):
            copy.unlink()
            note(f"took away {copy}, a copy of the stand-in that the application made")


def _libraries(backing: _Backing, variables: Mapping[str, str]) -> Mapping[str, str]:
    """Where libraries are that a program is linked against and its environment lacks."""
    build = backing.build
    found = with_libraries(build.build.id, build.binary, backing.environment, variables)
    return {name: value for name, value in found.items() if variables.get(name) != value}


def _models(
    backing: _Backing, variables: Mapping[str, str], needed: Mapping[str, str]
) -> Mapping[str, TinyModel]:
    capabilities = probe(backing.build.binary, joined(variables, needed))
    return {
        name: file_for(model, mtp_token=capabilities.mtp_token)
        for name, model in backing.models.items()
    }


def _tell(run: Run, application: Sequence[str], *, named: bool) -> None:
    where = " in ".join(filter(None, [run.build, run.environment]))
    if named:
        say(f"{where}:")
    if run.launches:
        say(describe(run.launches))
    name = application[0]
    if run.cut_short:
        note(f"{where}: {name} was ended: {run.cut_short}")
    elif run.status:
        note(f"{where}: {name} itself failed: {_ending(run.status)}")
    if not run.launches:
        note(
            f"{where}: {name} started no {SERVER}; if it looks for one elsewhere than on PATH, see "
            f"{SHIM_PLACEHOLDER}, --shim-env, --shim-at and --shim-name"
        )


def _ending(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"it ended with status {status}"


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Leave in order, with everything ended and put back, when asked to by a signal."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(_SIGNAL_EXIT + number)

    names = ["SIGTERM"] if sys.platform == "win32" else ["SIGTERM", "SIGHUP"]
    former = {getattr(signal, name): signal.signal(getattr(signal, name), leave) for name in names}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
