"""Free TCP ports on loopback, each held by one launch at a time."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LOOPBACK: Final = "127.0.0.1"
LAST_PORT: Final = 65535
_ATTEMPTS: Final = 100
_ANSWER_S: Final = 0.5


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that no other launch of any harness process uses meanwhile.

    A llama-server binds with SO_REUSEPORT where the system has it, so two servers on one port do
    not collide: the system deals their requests out between them, and a cell would be judged by
    another cell's server. The UDP port of the same number serves as the reservation; the system
    drops it when this process ends, however it ends.

    Raises:
        OSError: No port could be had.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reservation:
        for attempt in range(1, _ATTEMPTS + 1):
            port = _free_tcp_port()
            try:
                reservation.bind((LOOPBACK, port))
            except OSError:
                if attempt == _ATTEMPTS:
                    raise
                continue
            break
        yield port


def is_listened_to(port: int) -> bool:
    """Whether some process on loopback takes connections on a TCP port."""
    if sys.platform == "win32":
        # Windows tries a refused connection again for two seconds, and knows who listens.
        return _is_listed(port)
    try:
        socket.create_connection((LOOPBACK, port), timeout=_ANSWER_S).close()
    except TimeoutError:
        return True  # A listener whose queue is full.
    except OSError:
        return False
    return True


def _is_listed(port: int) -> bool:
    import psutil

    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        for connection in psutil.net_connections(kind="tcp4")
    )


def _free_tcp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
