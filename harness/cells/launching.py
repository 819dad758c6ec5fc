"""The one launcher: a plan on a build in an environment, started as a server and ended.

argv reaches the server as the plan has it, but for what belongs to the host that the command line
came from: its addresses and its numbers of threads are replaced here, model files and ports where a
static command line is read (``harness.subjects.command_lines``). Each replacement is named.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from harness.cells.fitting import Fitted, fit
from harness.cells.workbench import Workbench
from harness.environments.hermetic import home_variables
from harness.errors import EnvironmentUnavailableError
from harness.flags.arguments import Argument, read_arguments
from harness.flags.capabilities import Capabilities
from harness.flags.families import HTTP_THREADS, PORT, THREADS
from harness.model import Failure, FailureKind, LaunchPlan, Provenance, Replacement, TinyModel
from harness.processes.loopback import HOST_FLAG, HOST_VARIABLE, WHY, is_address, on_loopback
from harness.processes.variables import joined
from harness.server import LaunchFailedError, RunningServer, launch
from harness.server.failure import UNEXPLAINED
from harness.server.ports import LAST_PORT
from harness.settings.observation import AT_ONCE, observing_environment

PORT_PLACEHOLDER: Final = "{port}"
(PORT_VARIABLE,) = PORT.variables
"""Sets the port of a server whose argv does not; every build has it."""

_BEGINS_WITH_COUNT: Final = re.compile(r"\s*\+?0*([1-9][0-9]{0,9})")
_NO_PORT_S: Final = 2.0
"""Longest wait for a server that listens on no port: for what it says of that."""
_OF_NO_PORT: Final = UNEXPLAINED | {FailureKind.PORT_IN_USE}
"""What may come of a port that there is not."""
_WHY_ONE_THREAD: Final = (
    "threads that wait for each other by spinning cost a tiny model minutes on a busy host"
)


@contextmanager
def launched(
    plan: LaunchPlan,
    *,
    build: str,
    environment: str,
    port: int,
    workbench: Workbench,
    thorough: bool = False,
) -> Iterator[RunningServer]:
    """Start a plan that ``hosted`` gave, wait until the server is healthy, and end it.

    Args:
        plan: The plan.
        build: The build's id.
        environment: The environment's name.
        port: Where it listens unless the plan says otherwise.
        workbench: Has both.
        thorough: Whether it says all that there is to say.

    Raises:
        LaunchFailedError: It could not be executed, ended, or was not healthy in time.
        HarnessError: Build or environment cannot be had.
    """
    if workbench.stopped.is_set():
        raise EnvironmentUnavailableError("the run was stopped")
    arguments = read_arguments(plan.argv, workbench.capabilities(build, environment))
    with workbench.launch_directory() as directory:
        _lay_out(plan, Path(directory))
        variables = {
            **joined(workbench.server_variables(build, environment), workbench.one_core),
            **home_variables(Path(directory)),
            **switches(port, arguments, thorough=thorough),
            **plan.env,
        }
        where = listening_port(plan.argv, variables)
        try:
            with launch(
                workbench.build(build).binary,
                plan.argv,
                port=where,
                env=variables,
                cwd=Path(directory),
                health_timeout_s=workbench.health_timeout_s if where else _NO_PORT_S,
                prefix=api_prefix(plan.argv, variables),
                key=api_key(plan.argv, variables, workbench.capabilities(build, environment)),
                one_at_a_time=has_few_http_threads(plan.argv, variables),
            ) as server:
                yield server
        except LaunchFailedError as error:
            word, address = listening_host(plan.argv, variables)
            if error.failure.kind not in _OF_NO_PORT or (where and is_address(address)):
                raise
            if not where:
                raise LaunchFailedError(_no_port(plan.argv, error.failure)) from error
            no_host = replace(
                error.failure,
                kind=FailureKind.BAD_VALUE,
                argument=word,
                message=f"{word} {address} is no address that a server can listen on",
            )
            raise LaunchFailedError(no_host) from error


def _lay_out(plan: LaunchPlan, directory: Path) -> None:
    for name, content in plan.files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            file.write_text(content, encoding="utf-8", newline="\n")
        else:
            shutil.copyfile(content, file)


def hosted(
    plan: LaunchPlan,
    capabilities: Capabilities,
    model: TinyModel | None,
    port: int,
    devices: Sequence[str] = (),
) -> Fitted:
    """The plan with what belongs to this host in place of what belongs to another.

    Args:
        plan: As its subject gives it.
        capabilities: Of the build that it is for.
        model: Stands for the models of another host; not needed where the plan was made here.
        port: Stands for its port.
        devices: What the build's server lists on this host.
    """
    fitted = Fitted(plan=plan)
    if plan.provenance is not Provenance.HERE and model is not None:
        fitted = fit(plan, capabilities, model, port, devices)
    plan, told = _own(fitted.plan, capabilities)
    return replace(fitted, plan=plan, replaced=(*fitted.replaced, *told))


def _own(
    plan: LaunchPlan, capabilities: Capabilities
) -> tuple[LaunchPlan, tuple[Replacement, ...]]:
    """The plan with addresses and thread counts of this host's, and what was replaced."""
    option = capabilities.option(HOST_FLAG)
    takes_list = option is not None and "comma-separated" in option.description
    no_host = (HOST_FLAG, "") in pairwise(plan.argv) or plan.env.get(HOST_VARIABLE) == ""
    addresses: tuple[tuple[str, str], ...] = ()
    if takes_list and no_host:
        argv, env = plan.argv, {**plan.env}  # Such builds refuse an empty list.
    else:
        argv, env, addresses = on_loopback(plan.argv, plan.env)
    told = [Replacement(given=given, used=used, why=WHY) for given, used in addresses]
    words = list(argv)
    for place, (flag, count) in enumerate(pairwise(argv), start=1):
        if flag in THREADS and _is_other_count(count):
            words[place] = "1"
            replacement = Replacement(
                given=f"{flag} {count}", used=f"{flag} 1", why=_WHY_ONE_THREAD
            )
            told.append(replacement)
    for variable in THREADS.variables:
        if _is_other_count(env.get(variable, "1")):
            given, used = f"{variable}={env[variable]}", f"{variable}=1"
            told.append(Replacement(given=given, used=used, why=_WHY_ONE_THREAD))
            env[variable] = "1"
    return replace(plan, argv=tuple(words), env=env), tuple(told)


def _is_other_count(word: str) -> bool:
    """Whether a word is a number of threads other than 1; a build still refuses other words."""
    return word != "1" and word.removeprefix("-").isdecimal()


def switches(port: int, arguments: Sequence[Argument], *, thorough: bool = False) -> dict[str, str]:
    """The harness's own variables of a launch, without those whose option stands in argv.

    argv would win anyway, but some builds then warn of a variable that the subject never set.
    """
    in_argv = {argument.option.env for argument in arguments if argument.option}
    wanted = {**observing_environment(thorough=thorough), PORT_VARIABLE: str(port)}
    return {name: value for name, value in wanted.items() if name not in in_argv}


def listening_port(argv: Sequence[str], variables: Mapping[str, str]) -> int:
    """The port that arguments, else variables, make a server listen on; 0 where it is none."""
    port = variables.get(PORT_VARIABLE, "")
    for flag, value in pairwise(argv):
        if flag in PORT:
            port = value
    return int(port) if port.isdecimal() and int(port) <= LAST_PORT else 0


def listening_host(argv: Sequence[str], variables: Mapping[str, str]) -> tuple[str, str]:
    """The flag, else the variable, that sets a server's address, and the address."""
    for flag, value in reversed([*pairwise(argv)]):
        if flag == HOST_FLAG:
            return flag, value
    return HOST_VARIABLE, variables.get(HOST_VARIABLE, "")


def api_prefix(argv: Sequence[str], variables: Mapping[str, str]) -> str:
    """What stands before every path of a server's API."""
    prefix = variables.get("LLAMA_ARG_API_PREFIX", "")
    for flag, value in pairwise(argv):
        if flag == "--api-prefix":
            prefix = value
    return prefix


def api_key(
    argv: Sequence[str], variables: Mapping[str, str], capabilities: Capabilities
) -> str | None:
    """A key that a server's API asks for, the first of several; None where it asks for none."""
    option = capabilities.option("--api-key")
    takes_list = option is None or "comma-separated" in option.description
    keys = variables.get("LLAMA_API_KEY", "")
    for flag, value in pairwise(argv):
        if flag == "--api-key":
            keys = value
        elif flag == "--api-key-file":
            with suppress(OSError, UnicodeDecodeError):
                return Path(value).read_text(encoding="utf-8").partition("\n")[0] or None
    return (keys.split(",")[0] if takes_list else keys) or None


def has_few_http_threads(argv: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Whether a server has no thread for each connection that the harness opens at once."""
    count = variables.get(HTTP_THREADS.variables[0], "")
    for flag, value in pairwise(argv):
        if flag in HTTP_THREADS:
            count = value
    read = _BEGINS_WITH_COUNT.match(count)  # which is all that builds read of it
    return read is not None and int(read[1]) <= AT_ONCE


def _no_port(argv: Sequence[str], failure: Failure) -> Failure:
    word = next((value for flag, value in reversed([*pairwise(argv)]) if flag in PORT), "")
    return replace(
        failure,
        kind=FailureKind.BAD_VALUE,
        argument=PORT.flags[0],
        message=f"{PORT.flags[0]} {word} is no port that a server can be asked at",
    )


def launch_key(build: str, environment: str, plan: LaunchPlan, port: int) -> object:
    """What two launches share that are the same but for the port."""
    argv = tuple(PORT_PLACEHOLDER if word == str(port) else word for word in plan.argv)
    files = tuple(sorted((name, str(content)) for name, content in plan.files.items()))
    return (build, environment, argv, tuple(sorted(plan.env.items())), files)
