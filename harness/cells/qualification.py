"""Whether a build runs on this host at all: it is started with a plain command line.

``open_store`` gives the store whose builds have been seen to run here.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.builds.catalogue import Build
from harness.builds.store import SourceFactory, Store
from harness.config.configuration import load_configuration
from harness.environments import open_environment
from harness.environments.cuda_packages import are_of_cuda
from harness.environments.hermetic import home_variables
from harness.environments.linking import missing_libraries, with_libraries
from harness.environments.one_core import one_core_variables
from harness.errors import EnvironmentUnavailableError, ModelError, ProbeError, UnqualifiedError
from harness.flags.capabilities import probe
from harness.gguf_models import ensure_models
from harness.gguf_models.models import PLAIN_MODEL
from harness.model import Failure, FailureKind
from harness.processes.loopback import HOST_FLAG, LOOPBACK
from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.processes.running import ask_server
from harness.processes.variables import joined
from harness.server import LaunchFailedError, RunningServer, launch
from harness.server.failure import (
    ATTEMPTS,
    HOST_FAULTS,
    PASSING_FAULTS,
    WORTH_ANOTHER_TRY,
    classify_exit,
)
from harness.server.http import ProtocolError
from harness.server.launch import why_not_executable
from harness.server.ports import reserved_port

MODELS_DIRECTORY: Final = "models"
_TOKENS: Final = 4
_ANSWER_S: Final = 30.0
_VERSION_S: Final = 30.0
_PLAIN_VARIABLES: Final = {
    "LLAMA_ARG_CTX_SIZE": "512",
    "LLAMA_ARG_N_PARALLEL": "1",
    "LLAMA_ARG_THREADS": "1",
    "GGML_NO_BACKTRACE": "1",
}


def open_store(
    root: Path | None = None, *, extract: bool = False, sources: SourceFactory | None = None
) -> Store:
    """The store at a root, or the user's; each of its builds is tried before it is handed out.

    Args:
        root: Its directory; the configured one if None.
        extract: Copy programs out of container images instead of running containers.
        sources: Gives the source of each kind; the real ones if None.
    """

    def qualify(build: Build, binary: Path, env: Mapping[str, str]) -> str:
        return qualify_build(build, binary, env, models=store.root / MODELS_DIRECTORY)

    store = Store(root, qualifier=qualify, extract=extract, sources=sources)
    return store


def qualify_build(build: Build, binary: Path, env: Mapping[str, str], *, models: Path) -> str:
    """See a build answer ``--help``, load the tiny model, generate and end, in ``cpu``.

    Args:
        build: Which one.
        binary: Its program.
        env: Variables that it needs.
        models: Where the tiny models are kept.

    Returns:
        Why it cannot be tried here, where it is linked against a GPU's driver: whether it starts is
        then a matter of the environment. Empty where it qualifies.

    Raises:
        UnqualifiedError: It does not; the message says what this host lacks or refuses.
    """
    with tempfile.TemporaryDirectory(prefix="llama-harness-", ignore_cleanup_errors=True) as place:
        directory = Path(place)
        with (
            Reaper() as reaper,
            open_environment("cpu", home=directory / "environment") as opened,
        ):
            variables = {**joined(opened, env), OWNER_VARIABLE: reaper.token}
            try:
                found = with_libraries(build.id, binary, "cpu", variables)
            except EnvironmentUnavailableError as error:
                names = missing_libraries(binary, variables).get(binary.name, ())
                if are_of_cuda(names):
                    return f"it is linked against {', '.join(names)}"
                raise UnqualifiedError(f"it needs {', '.join(names)}, not on this host") from error
            try:
                probe(binary, found)
            except ProbeError as error:
                reason = _why_no_help(binary, found) or str(error)
                raise UnqualifiedError(reason) from error
            failure = start_plainly(
                binary,
                found,
                directory=directory / "launch",
                models=models,
                health_timeout_s=load_configuration().settings.health_timeout,
            )
            if failure is not None:
                passing = failure.kind in PASSING_FAULTS
                raise UnqualifiedError(failure.message, passing=passing)
    return ""


def start_plainly(
    binary: Path,
    variables: Mapping[str, str],
    *,
    directory: Path,
    models: Path,
    health_timeout_s: float,
) -> Failure | None:
    """Start a server with nothing but a model and an address, and let it generate.

    Args:
        binary: The program.
        variables: All variables of an environment, with what the build needs.
        directory: Its working directory and home; made if it is missing.
        models: Where the tiny models are kept.
        health_timeout_s: Longest wait for health, in seconds.

    Returns:
        Why it did not come to an answer; None where it did.
    """
    directory.mkdir(exist_ok=True)
    try:
        model = ensure_models(models)[PLAIN_MODEL].path
    except ModelError:  # a store that is only read
        model = ensure_models(directory / MODELS_DIRECTORY)[PLAIN_MODEL].path
    failure: Failure | None = None
    for _ in range(ATTEMPTS):
        try:
            with reserved_port() as port:
                argv = ("-m", str(model), HOST_FLAG, LOOPBACK, "--port", str(port))
                env = {
                    **joined(variables, one_core_variables()),
                    **home_variables(directory),
                    **_PLAIN_VARIABLES,
                }
                with launch(
                    binary,
                    argv,
                    port=port,
                    env=env,
                    cwd=directory,
                    health_timeout_s=health_timeout_s,
                ) as server:
                    failure = _generate(server)
        except LaunchFailedError as error:
            failure = error.failure
        except OSError as error:
            return Failure(kind=FailureKind.HOST_LIMIT, message=f"this host refuses it: {error}")
        if failure is None or failure.kind not in WORTH_ANOTHER_TRY:
            break
    return failure


def _generate(server: RunningServer) -> Failure | None:
    request = {"prompt": "a", "n_predict": _TOKENS}
    try:
        answer = server.client.post("/completion", request, _ANSWER_S)
    except ProtocolError as error:
        return server.death() or Failure(kind=FailureKind.PROTOCOL, message=str(error))
    if not isinstance(answer, dict) or not answer.get("content"):
        return Failure(kind=FailureKind.PROTOCOL, message="it generates nothing")
    return None


def _why_no_help(binary: Path, variables: Mapping[str, str]) -> str:
    """What the host lacks for a program to say anything; empty where that is not the reason."""
    try:
        done = ask_server(binary, "--version", env=variables, timeout_s=_VERSION_S, merged=True)
    except TimeoutError:
        return ""
    except OSError as error:
        return why_not_executable(binary, error)
    failure = classify_exit(done.returncode, done.stdout.splitlines(), ())
    return failure.message if failure.kind in HOST_FAULTS else ""
