"""Runs a server inside a container as if it were a local program.

Same arguments, same standard output and error, same exit code; the files that the arguments name
are mounted read-only at the same paths and the port is on loopback. However this process ends, the
container is removed: by itself where it can, else by a small watcher that outlives it.
"""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker.models.containers import Container

LABEL = "llama-harness"
_PASSED_ON = ("LLAMA_", "GGML_", "CUDA_VISIBLE_DEVICES")

_WATCHER = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
while os.read(int(sys.argv[1]), 1):
    pass
sys.path[:0] = sys.argv[3:]
import docker
from docker.errors import NotFound
try:
    docker.from_env().containers.get(sys.argv[2]).remove(force=True, v=True)
except NotFound:
    pass
"""


def main(settings: Mapping[str, Any], arguments: Sequence[str]) -> int:
    """Run the image's server with these arguments and return its exit code.

    Args:
        settings: ``image``, ``binary`` in it, and ``engine``: variables that name the engine.
        arguments: As for the server itself.
    """
    os.environ.update(settings["engine"])
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env()
        container = client.containers.create(
            settings["image"],
            command=container_arguments(arguments, host_network=_has_host_network()),
            **container_options(settings["binary"], arguments, os.environ),
        )
    except DockerException as error:
        sys.stderr.write(f"error: the container cannot be made: {error}\n")
        return 125
    watcher = _start_watcher(container.id or "")
    try:
        return _run(container)
    except DockerException as error:
        sys.stderr.write(f"error: the container cannot be run: {error}\n")
        return 125
    finally:
        with suppress(DockerException):
            container.remove(force=True, v=True)
        os.close(watcher)


def _run(container: "Container") -> int:
    def stop(number: int, _: FrameType | None) -> None:
        container.kill(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    stream = container.attach(stdout=True, stderr=True, stream=True, logs=True, demux=True)
    container.start()
    for out, err in stream:
        if out:
            sys.stdout.buffer.write(out)
            sys.stdout.buffer.flush()
        if err:
            sys.stderr.buffer.write(err)
            sys.stderr.buffer.flush()
    return int(container.wait()["StatusCode"])


def _start_watcher(container_id: str) -> int:
    """Start what removes the container when this process is gone; return the pipe it watches.

    The watcher leaves this process's tree and group, so that whoever kills those spares it.
    """
    read_end, write_end = os.pipe()
    starter = subprocess.Popen(
        [sys.executable, "-c", _WATCHER, str(read_end), container_id, *sys.path],
        pass_fds=(read_end,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    starter.wait()
    os.close(read_end)
    return write_end


def container_options(
    binary: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return how the container is made: program, mounts, port, variables, label."""
    mounts = {
        str(Path(each).parent): {"bind": str(Path(each).parent), "mode": "ro"}
        for each in arguments
        if Path(each).is_absolute() and Path(each).is_file()
    }
    options: dict[str, Any] = {
        "entrypoint": [binary],
        "environment": {
            name: value for name, value in environment.items() if name.startswith(_PASSED_ON)
        },
        "labels": {LABEL: str(os.getpid())},
        "volumes": mounts,
        "working_dir": "/",
        "init": False,
    }
    port = port_of(arguments)
    if _has_host_network():
        options["network_mode"] = "host"
    elif port:
        options["ports"] = {f"{port}/tcp": ("127.0.0.1", int(port))}
    return options


def container_arguments(arguments: Sequence[str], *, host_network: bool) -> list[str]:
    """Return the server's arguments inside the container.

    Behind a published port the server must listen on all of the container's addresses; the
    port itself is still on the host's loopback alone.
    """
    changed = list(arguments)
    if not host_network:
        for index, name in enumerate(changed[:-1]):
            if name == "--host":
                changed[index + 1] = "0.0.0.0"
    return changed


def port_of(arguments: Sequence[str]) -> str:
    """Return the port that the arguments name, empty without one."""
    for name, value in itertools.pairwise(arguments):
        if name == "--port" and value.isdigit():
            return value
    return ""


def _has_host_network() -> bool:
    # Engines on macOS run in a virtual machine whose network is not this host's.
    return sys.platform == "linux"
