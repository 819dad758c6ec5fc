"""As much of an HTTP server as the harness needs: one answer for each connection."""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_END_OF_HEAD: Final = b"\r\n\r\n"
_MAX_HEAD: Final = 65_536
_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Response:
    """What is sent back."""

    body: bytes
    status: int = 200
    content_type: str = "application/json; charset=utf-8"


Handler = Callable[[str, str, bytes], Response]
"""Method, path and body to an answer."""


class HttpServer:
    """Listens on loopback; ``http.server`` would take longer to import than a test takes."""

    def __init__(self, port: int, handler: Handler) -> None:
        self._handler = handler
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, port))
        self._socket.listen(64)

    def serve_forever(self) -> None:
        """Response until the process ends."""
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_TIMEOUT_S)
            try:
                request = _receive(connection)
                if request is None:
                    return
                answer = self._handler(*request)
                connection.sendall(
                    f"HTTP/1.1 {answer.status} -\r\n"
                    f"Content-Type: {answer.content_type}\r\n"
                    f"Content-Length: {len(answer.body)}\r\n"
                    "Connection: close\r\n\r\n".encode()
                    + answer.body
                )
            except OSError:
                # The other side went away.
                return


def _receive(connection: socket.socket) -> tuple[str, str, bytes] | None:
    data = b""
    while _END_OF_HEAD not in data:
        chunk = connection.recv(_MAX_HEAD)
        if not chunk or len(data) > _MAX_HEAD:
            return None
        data += chunk
    head, _, body = data.partition(_END_OF_HEAD)
    first, *fields = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    length = 0
    for line in fields:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    while len(body) < length:
        chunk = connection.recv(_MAX_HEAD)
        if not chunk:
            return None
        body += chunk
    return method, rest.partition(" ")[0].partition("?")[0], body
