"""One server process and its descendants, on every system."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from harness.processes.tree import group_options, kill_tree, strike_tree


class ServerProcess:
    """A server from its start on, the leader of a process group of its own.

    Args:
        program: The ``llama-server``.
        argv: Its arguments.
        env: Its whole environment.
        cwd: Its working directory.

    Raises:
        OSError: It cannot be executed.
        ValueError: An argument or a variable holds a NUL byte.
    """

    def __init__(
        self, program: Path, argv: Sequence[str], env: Mapping[str, str], cwd: Path
    ) -> None:
        self._popen = subprocess.Popen(
            [str(program), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            **group_options(),
        )
        assert self._popen.stdout is not None
        self.output: IO[bytes] = self._popen.stdout
        """Standard output and error, merged."""
        self.pid: int = self._popen.pid
        self._struck = False

    def poll(self) -> int | None:
        """Exit status, None while it runs."""
        return self._popen.poll()

    def strike(self) -> None:
        """Begin to end it and all it started; ``kill`` waits for that."""
        strike_tree(self._popen)
        self._struck = True

    def kill(self) -> int:
        """End it and all it started; return the exit status. Harmless when it has ended already.

        Nothing is lost by killing: a llama-server keeps no state, and its orderly shutdown
        costs up to a second.
        """
        return self._popen.wait() if self._struck else kill_tree(self._popen)


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
