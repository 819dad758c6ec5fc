"""The few HTTP requests that a witness needs, with bounds on time and size."""

import http.client
import json
import socket
import time
from contextlib import closing, suppress
from types import TracebackType
from typing import Any, Final, Self

from harness.server.ports import LOOPBACK

_JSON: Final = "application/json"
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024


class ProtocolError(Exception):
    """The server answered something that is not what its API promises.

    Attributes:
        status: The status of the answer, where that was what was wrong.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ServerClient:
    """HTTP to one server on loopback.

    ``http.client`` rather than ``requests``: a cell lives for some 50 ms, and this connects and
    parses in a fraction of one.
    """

    def __init__(
        self, port: int, prefix: str = "", key: str | None = None, *, one_at_a_time: bool = False
    ) -> None:
        self.port = port
        self.key = key
        self.prefix = prefix
        self.one_at_a_time = one_at_a_time

    def without_key(self) -> "ServerClient":
        """HTTP to the same server as somebody who does not know its API key."""
        return ServerClient(self.port, self.prefix)

    def status(self, path: str, timeout_s: float) -> int | None:
        """Status code of a GET; None where nobody answers."""
        try:
            return self._request("GET", path, None, timeout_s)[0]
        except (OSError, http.client.HTTPException):
            return None

    def reply(self, path: str, body: object, timeout_s: float) -> tuple[int, Any]:
        """Status code and decoded body of a POST; the body is None where it is not JSON.

        Raises:
            ProtocolError: Nobody answers.
        """
        status, answer, _ = self._post(path, body, timeout_s)
        try:
            return status, json.loads(answer)
        except (ValueError, RecursionError):
            return status, None

    def text(self, path: str, timeout_s: float) -> str | None:
        """Body of a GET that answered 200, else None.

        Raises:
            ProtocolError: Nobody answers, or not in HTTP.
        """
        with self.asking(path, timeout_s) as asked:
            return asked.text()

    def json(self, path: str, timeout_s: float) -> Any:
        """Decoded body of a GET that answered 200, else None.

        Raises:
            ProtocolError: Nobody answers, or the body is not JSON.
        """
        with self.asking(path, timeout_s) as asked:
            return asked.json()

    def asking(self, path: str, timeout_s: float) -> "Asked":
        """A GET that the server works on while something else is done."""
        return Asked(self, path, timeout_s)

    def post(self, path: str, body: object, timeout_s: float) -> Any:
        """Decoded body of a POST.

        Raises:
            ProtocolError: Nobody answers, the status is not 200, or the body is not JSON.
        """
        status, answer, kind = self._post(path, body, timeout_s)
        if status != http.HTTPStatus.OK:
            raise ProtocolError(f"POST {path}: status {status}: {answer[:200]!r}", status)
        return _decode(f"POST {path}", answer, kind)

    def _post(self, path: str, body: object, timeout_s: float) -> tuple[int, bytes, str]:
        try:
            return self._request("POST", path, json.dumps(body).encode(), timeout_s)
        except (OSError, http.client.HTTPException) as error:
            raise ProtocolError(f"POST {path}: {error or type(error).__name__}") from error

    def _request(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> tuple[int, bytes, str]:
        with closing(self.send(method, path, body, timeout_s)) as connection:
            return _receive(connection)

    def send(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> http.client.HTTPConnection:
        """Send a request; whoever reads its answer closes the connection.

        Raises:
            OSError: Nobody answers.
            http.client.HTTPException: The request cannot be written.
        """
        connection = http.client.HTTPConnection(LOOPBACK, self.port)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        connection.sock = _BoundedSocket(self.port, timeout_s)
        try:
            connection.request(method, self.prefix + path, body, headers)
        except BaseException:
            connection.close()
            raise
        return connection


class Asked:
    """A GET as a context: sent on entering it, and read once, as text or as JSON.

    To a server that answers one request at a time it is sent when it is read: such a server waits
    for seconds whether a connection has more to ask, before it looks at the next one.

    Raises:
        ProtocolError: Nobody answers.
    """

    def __init__(self, client: ServerClient, path: str, timeout_s: float) -> None:
        self._client = client
        self._path = path
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        if not self._client.one_at_a_time:
            self._connection = self._sent()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def text(self) -> str | None:
        """See ``ServerClient.text``."""
        found = self._body()
        return None if found is None else found[0].decode("utf-8", "replace")

    def json(self) -> Any:
        """See ``ServerClient.json``."""
        found = self._body()
        return None if found is None else _decode(f"GET {self._path}", *found)

    def _sent(self) -> http.client.HTTPConnection:
        try:
            return self._client.send("GET", self._path, None, self._timeout_s)
        except (OSError, http.client.HTTPException) as error:
            raise ProtocolError(f"GET {self._path}: {error}") from error

    def _body(self) -> tuple[bytes, str] | None:
        connection = self._connection = self._connection or self._sent()
        try:
            # Closed at once: a server of few threads waits for more on a connection that is open.
            with closing(connection):
                status, body, kind = _receive(connection)
        except (OSError, http.client.HTTPException) as error:
            raise ProtocolError(f"GET {self._path}: {error}") from error
        return (body, kind) if status == http.HTTPStatus.OK else None


def _receive(connection: http.client.HTTPConnection) -> tuple[int, bytes, str]:
    response = connection.getresponse()
    answer = response.read(MAX_ANSWER_BYTES + 1)
    if len(answer) > MAX_ANSWER_BYTES:
        raise http.client.HTTPException(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    if response.length:
        raise http.client.IncompleteRead(answer, response.length)
    kind = response.headers.get_content_type() if "Content-Type" in response.headers else _JSON
    return response.status, answer, kind


class _BoundedSocket(socket.socket):
    """A connection that ends at a moment; a plain socket's time-out only bounds each silence."""

    def __init__(self, port: int, timeout_s: float) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        try:
            self.settimeout(timeout_s)
            self.connect((LOOPBACK, port))
            # As http.client does: a request in two pieces must not wait for an acknowledgement.
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.close()
            raise

    def recv_into(self, *arguments: Any) -> int:
        """Receive, within what is left of the time.

        Raises:
            TimeoutError: The time is over.
        """
        remaining = self._deadline - time.monotonic()
        if remaining > 0:
            self.settimeout(remaining)
            with suppress(TimeoutError):
                return super().recv_into(*arguments)
        # Said in full, so that it does not look as if the server had hung up.
        raise TimeoutError(f"no whole answer within {self._timeout_s:g} s")


def _decode(what: str, body: bytes, kind: str = _JSON) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        instead = "" if kind == _JSON else f"{kind}, "
        raise ProtocolError(f"{what}: the answer is {instead}not JSON: {body[:80]!r}") from error
