"""Runs a server inside a container as if it were a local program.

Same arguments, same standard output and error, same exit status; the files that the arguments name
are mounted read-only at the same paths and the port is on loopback. However this process ends, the
container is removed: by itself where it can, else by a small watcher that outlives it.
"""

import itertools
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.config.paths import exists
from harness.processes.reaper import unowned

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

Network = Literal["host", "published"]
"""Whether a container uses this host's network, or has a port of its own published on it."""

LABEL: Final = "llama-harness"
UNAVAILABLE: Final = "llama-harness: no container"
"""Starts the line that tells why a container could not be run."""

_UNAVAILABLE_STATUS: Final = 125
_SIGNAL_BASE: Final = 128
_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = "0.0.0.0"
_HOST_VARIABLE: Final = "LLAMA_ARG_HOST"
_PORT_VARIABLE: Final = "LLAMA_ARG_PORT"
_PASSED_ON: Final = re.compile(r"LLAMA_(?!HARNESS_).*|GGML_.*|CUDA_VISIBLE_DEVICES")
_SPLIT_MODEL: Final = re.compile(r"(.+-)\d{5}(-of-\d{5}\.gguf)")

_WATCHER: Final = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.read(int(sys.argv[1]), 1):
    os._exit(0)
sys.path[:] = sys.argv[3:]
import docker
from docker.errors import NotFound
containers = docker.from_env().containers
for _ in range(20):
    # A request to make it may be under way still.
    try:
        containers.get(sys.argv[2]).remove(force=True, v=True)
        break
    except NotFound:
        time.sleep(0.25)
"""


def main(settings: Mapping[str, Any], arguments: Sequence[str]) -> int:
    """Run the image's server with these arguments and return its exit status.

    A server that a signal ended ends this process by the same one.

    Args:
        settings: ``image``; ``binary`` in it; ``unset``, variables of it that the server must not
            see; ``network``; ``engine``, the variables that name it.
        arguments: As for the server itself.
    """
    os.environ.update(settings["engine"])
    try:
        status = _serve(settings, arguments)
    except Exception as error:  # noqa: BLE001  # the SDK lets errors of four libraries through
        sys.stderr.write(f"{UNAVAILABLE}: {brief(error)}\n")
        return _UNAVAILABLE_STATUS
    if status > _SIGNAL_BASE:
        _end_by_posix_signal(status - _SIGNAL_BASE)
    return status


def _serve(settings: Mapping[str, Any], arguments: Sequence[str]) -> int:
    import docker

    network: Network = settings["network"]
    options = container_options(arguments, os.environ, network, settings["unset"])
    with disposable(
        docker.from_env(),
        settings["image"],
        entrypoint=[settings["binary"]],
        command=container_arguments(arguments, network),
        **options,
    ) as container:
        return _run(container)


def _run(container: "Container") -> int:
    from docker.errors import DockerException

    def stop(number: int, _: FrameType | None) -> None:
        try:
            container.kill(signal.Signals(number).name)
        except DockerException:
            # Not started yet.
            raise SystemExit(_SIGNAL_BASE + number) from None

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    stream = container.attach(stdout=True, stderr=True, stream=True, demux=True)
    container.start()
    for out, err in stream:
        if out:
            sys.stdout.buffer.write(out)
            sys.stdout.buffer.flush()
        if err:
            sys.stderr.buffer.write(err)
            sys.stderr.buffer.flush()
    return int(container.wait()["StatusCode"])


@contextmanager
def disposable(client: "DockerClient", image: str, **options: Any) -> Iterator["Container"]:
    """Make a container, not started yet, that is removed however the context or this process ends.

    Its name is known to the watcher before the engine hears of it, so there is no moment at which
    it could be missed.
    """
    from docker.errors import NotFound

    name = f"{LABEL}-{uuid.uuid4().hex}"
    with _watched(name):
        try:
            yield client.containers.create(image, name=name, labels={LABEL: name}, **options)
        finally:
            with suppress(NotFound):
                client.containers.get(name).remove(force=True, v=True)


@contextmanager
def _watched(name: str) -> Iterator[None]:
    """Have a container removed where this process, or an exception, leaves the context early.

    The watcher leaves this process's tree and group and carries no owner's token, so that whoever
    kills those spares it.
    """
    read_end, write_end = os.pipe()
    starter = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _WATCHER, str(read_end), name, *sys.path],
        env=unowned(os.environ),
        pass_fds=(read_end,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_end)
    starter.wait()
    try:
        yield
        with suppress(BrokenPipeError):
            os.write(write_end, b"done")
    finally:
        os.close(write_end)


def server_variables(names: Iterable[str]) -> list[str]:
    """Return those of some variables that a server looks at."""
    return [name for name in names if _PASSED_ON.fullmatch(name)]


def container_options(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    network: Network,
    unset: Iterable[str] = (),
) -> dict[str, Any]:
    """Return how the container is made: mounts, port and variables.

    Args:
        arguments: The server's.
        environment: Variables; those that a server looks at go in.
        network: How the port comes to this host.
        unset: Variables of the image that do not hold unless ``environment`` has them too.
    """
    passed = {name: environment[name] for name in server_variables(environment)}
    paths = named_paths([*arguments, *passed.values()])
    variables: dict[str, str | None] = {**dict.fromkeys(unset), **passed}
    if "--host" not in arguments:
        # Not where it is an argument: the server would warn that one overrules the other.
        wanted = passed.get(_HOST_VARIABLE, _LOOPBACK)
        variables[_HOST_VARIABLE] = wanted if network == "host" else _EVERYWHERE
    options: dict[str, Any] = {
        "environment": variables,
        # An image's own check would ask port 8080, whoever listens there.
        "healthcheck": {"test": ["NONE"]},
        # As the first process of a container a server could not end itself by a signal.
        "init": True,
        # The output is read as it comes; the engine need not keep it too.
        "log_config": {"Type": "none"},
        "mounts": [
            {"Type": "bind", "Source": path, "Target": path, "ReadOnly": True} for path in paths
        ],
    }
    if network == "host":
        options["network_mode"] = "host"
    elif port := port_of(arguments, environment):
        options["ports"] = {f"{port}/tcp": (_LOOPBACK, int(port))}
    return options


def named_paths(words: Iterable[str]) -> list[str]:
    """Return the files and directories among some words, with all parts of a split model."""
    found: dict[str, None] = {}
    for word in words:
        path = Path(word)
        if not path.is_absolute() or not exists(path) or path == Path(path.anchor):
            continue
        found[word] = None
        if parts := _SPLIT_MODEL.fullmatch(path.name):
            pattern = f"{parts[1]}[0-9][0-9][0-9][0-9][0-9]{parts[2]}"
            found |= dict.fromkeys(str(each) for each in sorted(path.parent.glob(pattern)))
    return list(found)


def container_arguments(arguments: Sequence[str], network: Network) -> list[str]:
    """Return the server's arguments inside the container.

    Behind a published port the server must listen on all of the container's addresses; the
    port itself is still on the host's loopback alone.
    """
    changed = list(arguments)
    if network == "published":
        for index, name in enumerate(changed[:-1]):
            if name == "--host":
                changed[index + 1] = _EVERYWHERE
    return changed


def port_of(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the port that the arguments, else the variables, name; empty without one."""
    port = environment.get(_PORT_VARIABLE, "")
    for name, value in itertools.pairwise(arguments):
        if name == "--port":
            port = value
    return port if port.isdecimal() else ""


def brief(error: BaseException) -> str:
    """Return an engine's or the SDK's reason in one line."""
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())[:300]


def _end_by_posix_signal(number: int) -> None:
    """End this process by a signal, without a core file; return where there is no such signal."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
