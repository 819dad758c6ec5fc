"""HTTP to a server that answers anything: bounded in time and size, and never a traceback."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.server.http import MAX_ANSWER_BYTES, ProtocolError, ServerClient
from harness.server.ports import LOOPBACK, reserved_port

Answer = Callable[[socket.socket], None]


@contextmanager
def answering(answer: Answer, asked: list[bytes] | None = None) -> Iterator[ServerClient]:
    """A server that treats every connection in one way, and writes down what it is asked."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        request = connection.recv(65_536)
                        if asked is not None:
                            asked.append(request)
                        answer(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield ServerClient(listener.getsockname()[1])
        finally:
            # On POSIX closing alone does not wake a thread that waits in accept, and Windows shuts
            # down only what is connected.
            if sys.platform == "win32":
                listener.close()
            else:
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def saying(body: bytes, status: str = "200 OK", headers: str = "") -> Answer:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def raw(data: bytes) -> Answer:
    return lambda connection: connection.sendall(data)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(1000):
        connection.sendall(b"y")
        time.sleep(0.02)


def test_answers_as_they_should_be() -> None:
    with answering(saying(b'{"a": 1}')) as client:
        assert client.status("/health", 5) == 200
        assert client.text("/metrics", 5) == '{"a": 1}'
        assert client.json("/slots", 5) == {"a": 1}
        assert client.post("/completion", {}, 5) == {"a": 1}


def test_what_is_asked_beside_is_read_behind() -> None:
    with answering(saying(b"[]")) as client, client.asking("/v1/models", 5) as asked:
        assert client.post("/completion", {}, 5) == []
        assert asked.json() == []


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_server_of_one_thread_is_asked_one_thing_at_a_time(*, one_at_a_time: bool) -> None:
    order: list[bytes] = []

    with answering(saying(b"[]"), order) as plain:
        client = ServerClient(plain.port, one_at_a_time=one_at_a_time)
        with client.asking("/v1/models", 5) as asked:
            client.status("/health", 5)
            asked.json()
    paths = [request.split()[1] for request in order]
    assert paths == ([b"/health", b"/v1/models"] if one_at_a_time else [b"/v1/models", b"/health"])


def test_what_was_read_holds_no_thread_of_the_server() -> None:
    ended: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        saying(b"[]")(connection)
        connection.settimeout(5)
        ended.append(connection.recv(1))  # the only thread waits for more, as old builds do

    with answering(answer) as plain:
        client = ServerClient(plain.port, one_at_a_time=True)
        with client.asking("/props", 4) as first, client.asking("/v1/models", 4) as second:
            assert first.json() == second.json() == []
    assert ended == [b"", b""]


def test_nobody_there_for_what_is_asked_beside() -> None:
    with reserved_port() as port:
        asked = ServerClient(port).asking("/v1/models", 5)
        with pytest.raises(ProtocolError, match="GET /v1/models"), asked:
            pass


def test_another_status_is_no_answer() -> None:
    with answering(saying(b'{"error": "loading"}', "503 Service Unavailable")) as client:
        assert client.status("/health", 5) == 503
        assert client.text("/metrics", 5) is None
        assert client.json("/slots", 5) is None
        with pytest.raises(ProtocolError, match="status 503"):
            client.post("/completion", {}, 5)


def test_nobody_there() -> None:
    with reserved_port() as port:
        client = ServerClient(port)
        assert client.status("/health", 5) is None
        with pytest.raises(ProtocolError, match="/slots"):
            client.json("/slots", 5)
        with pytest.raises(ProtocolError, match="/completion"):
            client.post("/completion", {}, 5)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01\x02\x03",
        b"hello\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno chunk",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http(data: bytes) -> None:
    with answering(raw(data)) as client:
        assert client.status("/health", 5) is None
        with pytest.raises(ProtocolError, match="GET /slots"):
            client.json("/slots", 5)
        with pytest.raises(ProtocolError, match="POST /completion"):
            client.post("/completion", {}, 5)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xff", b"[" * 100_000])
def test_what_is_no_json(body: bytes) -> None:
    with answering(saying(body)) as client, pytest.raises(ProtocolError, match="not JSON"):
        client.post("/completion", {}, 5)


def test_what_says_that_it_is_no_json_is_taken_at_its_word() -> None:
    page = raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi")
    with answering(page) as client, pytest.raises(ProtocolError, match="is text/html, not JSON"):
        client.post("/completion", {}, 5)


def test_an_answer_without_end_is_cut() -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(MAX_ANSWER_BYTES // 65_536 + 4):
            connection.sendall(b"x" * 65_536)

    with answering(endless) as client, pytest.raises(ProtocolError, match="more than"):
        client.text("/metrics", 60)


def test_an_answer_that_drips_is_bounded_in_all() -> None:
    with answering(dripping) as client:
        began = time.monotonic()
        assert client.status("/health", 0.3) is None
        assert time.monotonic() - began < 5


def test_a_server_that_is_too_slow_is_not_said_to_have_hung_up() -> None:
    over = threading.Event()

    def silent(_: socket.socket) -> None:
        over.wait(10)

    too_slow = r"POST /completion: no whole answer within 0\.1 s"
    with answering(silent) as client:
        for _ in range(3):  # the cut and the socket's own time-out come at the same moment
            with pytest.raises(ProtocolError, match=too_slow):
                client.post("/completion", {}, 0.1)
        over.set()


def test_a_server_that_hangs_up_is_not_said_to_be_slow() -> None:
    # A close with the request unread resets the connection.
    gone = "Remote end|reset by peer|aborted"
    with answering(lambda _: None) as client, pytest.raises(ProtocolError, match=gone):
        client.post("/completion", {}, 5)
