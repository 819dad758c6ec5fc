"""One server process and its descendants, on every system."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from harness.processes.tree import group_options, kill_tree


class ServerProcess(Protocol):
    """A started server, wherever it runs."""

    @property
    def output(self) -> IO[bytes]:
        """Standard output and error, merged."""

    @property
    def pid(self) -> int:
        """Process id on this host."""

    def poll(self) -> int | None:
        """Exit status, None while it runs."""

    def kill(self) -> int:
        """End it and all it started; return the exit status. Harmless when already ended."""


class Runtime(Protocol):
    """What starts servers: this host, or a container engine."""

    def start(
        self, program: Path, argv: Sequence[str], env: Mapping[str, str], cwd: Path
    ) -> ServerProcess:
        """Start ``program``.

        Raises:
            OSError: It cannot be executed.
        """


class HostRuntime:
    """Servers as processes of this host, each the leader of a group of its own."""

    def start(
        self, program: Path, argv: Sequence[str], env: Mapping[str, str], cwd: Path
    ) -> "HostProcess":
        """Start ``program``; see ``Runtime``."""
        return HostProcess(
            subprocess.Popen(
                [str(program), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                **group_options(),
            )
        )


class HostProcess:
    """A process of this host."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        assert popen.stdout is not None
        self.output: IO[bytes] = popen.stdout
        self.pid: int = popen.pid

    def poll(self) -> int | None:
        """Exit status, None while it runs."""
        return self._popen.poll()

    def kill(self) -> int:
        """Kill the whole process tree.

        Nothing is lost by killing: a llama-server keeps no state, and its orderly shutdown
        costs up to a second.
        """
        return kill_tree(self._popen)


def listening_ports(pid: int) -> set[int]:
    """The TCP ports on which a process and its descendants listen, as far as this host tells."""
    import psutil

    ports: set[int] = set()
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            ports |= {
                connection.laddr.port
                for connection in process.net_connections(kind="tcp")
                if connection.status == psutil.CONN_LISTEN
            }
    except (psutil.Error, OSError):
        return ports
    return ports
