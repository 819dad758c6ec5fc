"""A local HTTP server that answers as scripted, and stand-ins for the network's bad days."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import harness
from harness.builds.toolchain import find_toolchain
from harness.errors import SourceUnavailableError


def _has_compiler() -> bool:
    try:
        find_toolchain()
    except SourceUnavailableError:
        return False
    return True


needs_compiler = pytest.mark.skipif(not _has_compiler(), reason="no C++ compiler")


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


def handler(web: Web) -> type[BaseHTTPRequestHandler]:
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


@contextmanager
def serving() -> Iterator[Web]:
    """A server on loopback for as long as the context is open."""
    served = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(served))
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


API = "/repos/ggml-org/llama.cpp/releases/tags/"


def release(web: Web, tag: str, files: dict[str, bytes], *, digests: bool = True) -> None:
    """Serve a release in the shape of the REST API."""
    assets = []
    for name, content in files.items():
        url = web.serve(f"/download/{tag}/{name}", content)
        asset = {"name": name, "browser_download_url": url, "size": len(content)}
        if digests:
            asset["digest"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assets.append(asset)
    web.serve(f"{API}{tag}", json.dumps({"tag_name": tag, "assets": assets}).encode())


SERVER = r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#ifdef _WIN32
#include <winsock2.h>
typedef int socklen_t;
#else
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#define closesocket close
#endif
#include "generated.h"
int one(); int two(); int three();
extern "C" int four(void);

static int serve(int port) {
#ifdef _WIN32
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
#endif
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto listener = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, (const char *) &yes, sizeof yes);
    if (bind(listener, (sockaddr *) &address, sizeof address) || listen(listener, 8)) return 1;
    for (;;) {
        auto client = accept(listener, nullptr, nullptr);
        char request[4096];
        recv(client, request, sizeof request, 0);
        const char * body = "{\"status\": \"ok\", \"content\": \"aaaa\"}";
        char answer[256];
        int size = snprintf(answer, sizeof answer,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
            (int) strlen(body), body);
        send(client, answer, size, 0);
        closesocket(client);
    }
}

int main(int argc, char ** argv) {
    for (int i = 1; i < argc; ++i) {
        if (!strcmp(argv[i], "--version")) {
            fprintf(stderr, "version: %d (%s)\n", BUILD_NUMBER, GENERATED);
            return one() + two() + three() + four() == 10 ? 0 : 3;
        }
        if (!strcmp(argv[i], "--help")) {
            printf("-m,    --model FNAME      model path\n--port PORT               port\n");
            return 0;
        }
        if (!strcmp(argv[i], "--port") && i + 1 < argc) return serve(atoi(argv[i + 1]));
    }
    return 1;
}
"""
"""As much of a llama-server as a build needs to qualify."""

CMAKELISTS = """\
cmake_minimum_required(VERSION 3.14)
project(tiny C CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_library(part one.cpp two.cpp three.cpp four.c)
add_library(loose OBJECT loose.cpp)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/generated.h
    COMMAND ${CMAKE_COMMAND} -E copy
        ${CMAKE_SOURCE_DIR}/generated.in ${CMAKE_BINARY_DIR}/generated.h
    DEPENDS ${CMAKE_SOURCE_DIR}/generated.in)
add_executable(llama-server server.cpp ${CMAKE_BINARY_DIR}/generated.h $<TARGET_OBJECTS:loose>)
target_compile_definitions(llama-server PRIVATE BUILD_NUMBER=${LLAMA_BUILD_NUMBER})
target_include_directories(llama-server PRIVATE ${CMAKE_BINARY_DIR})
if(WIN32)
    target_link_libraries(llama-server PRIVATE part ws2_32)
else()
    target_link_libraries(llama-server PRIVATE part m)
endif()
"""

TINY_TREE = {
    "CMakeLists.txt": CMAKELISTS,
    "server.cpp": SERVER,
    "generated.in": '#define GENERATED "tiny"\n',
    # one.cpp and two.cpp clash in a way that no look at the text foretells.
    "one.cpp": "#define NAME(x) static int x##_helper() { return 1; }\nNAME(my)\n"
    "int one() { return my_helper(); }\n",
    "two.cpp": "namespace { int my_helper() { return 2; } }\nint two() { return my_helper(); }\n",
    "three.cpp": "int three() { return 3; }\n",
    "four.c": "int four(void) { return 4; }\n",
    "loose.cpp": "int loose() { return 0; }\n",
}
"""A tree of a few small files that cmake builds a llama-server from."""


def write_tree(directory: Path, **changes: str) -> Path:
    """Write the tiny tree; a change is given as ``four_c="..."``."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = {name.replace("_", "."): text for name, text in changes.items()}
    for name, text in {**TINY_TREE, **changed}.items():
        (directory / name).write_text(text, encoding="utf-8")
    return directory


def write_sdist(directory: Path, build_id: str, **changes: str) -> tuple[Path, str]:
    """Pack the tiny tree as an sdist ``tiny_server-1.0.tar.gz``; return it and its digest."""
    tree = write_tree(directory / "trees" / build_id, **changes)
    sdist = directory / f"tiny_{build_id}-1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(tree, f"tiny_{build_id}-1.0/vendor/llama.cpp")
    return sdist, hashlib.sha256(sdist.read_bytes()).hexdigest()


def catalogue_text(build_id: str, sdist: Path, sha256: str, number: int = 7) -> str:
    return (
        f'id = "{build_id}"\nnumber = {number}\n\n[[sources]]\nkind = "package"\n'
        f'project = "tiny-{build_id}"\nversion = "1.0"\nfile = "{sdist.name}"\n'
        f'sha256 = "{sha256}"\ntree = "vendor/llama.cpp"\n'
    )


class Workbench:
    """A store of its own, a directory of packages, and the command line to use them with."""

    def __init__(self, directory: Path) -> None:
        self.cache = directory / "cache"
        self.packages = directory / "packages"
        self.packages.mkdir()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
            "LLAMA_HARNESS_CACHE": str(self.cache),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.packages),
            "PYTHONPATH": str(Path(harness.__file__).parent.parent),
        }

    def add(self, build_id: str = "t1", **changes: str) -> Path:
        """Offer a tiny build; return its sdist."""
        sdist, sha256 = write_sdist(self.packages, build_id, **changes)
        self.catalogue(build_id, catalogue_text(build_id, sdist, sha256))
        return sdist

    def catalogue(self, build_id: str, text: str) -> None:
        directory = self.cache / "catalogue"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{build_id}.toml").write_text(text, encoding="utf-8")

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "harness", "builds", *arguments],
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def held(self) -> list[str]:
        """Every file of the store but locks and the catalogue."""
        return sorted(
            path.relative_to(self.cache).as_posix()
            for path in self.cache.rglob("*")
            if path.is_file()
            and path.relative_to(self.cache).parts[0] not in ("locks", "catalogue")
        )
