"""A local HTTP server that answers as scripted, and stand-ins for the network's bad days."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.builds.download import Patience


@dataclass
class Reply:
    """One answer; ``cut`` sends only that many bytes of the announced body and hangs up."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    ranges: bool = True


@dataclass
class Request:
    path: str
    headers: dict[str, str]


class Web:
    """Paths and their scripted replies; the last reply of a path is repeated."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.requests: list[Request] = []
        self.url = ""

    def serve(self, path: str, *replies: Reply | bytes) -> str:
        self.replies[path] = [
            Reply(body=each) if isinstance(each, bytes) else each for each in replies
        ]
        return self.url + path

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def next(self, path: str) -> Reply:
        waiting = self.replies.get(path) or [Reply(status=404)]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}))
            reply = web.next(self.path)
            body, status = reply.body, reply.status
            wanted = self.headers.get("Range")
            if wanted and status == 200 and reply.ranges:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                status = 206 if start < len(body) else 416
                body = body[start:]
            self.send_response(status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if reply.cut is not None:
                self.wfile.write(body[: reply.cut])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
            else:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def web() -> Iterator[Web]:
    served = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(served))
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def patience() -> Patience:
    """Five tries without the waits."""
    return Patience(tries=5, timeout_s=5, sleep=lambda _: None)


@pytest.fixture
def slept() -> tuple[list[float], Callable[[float], None]]:
    waits: list[float] = []
    return waits, waits.append


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
