"""A container engine of the tests' own, and images made of real builds."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from harness.builds.container import LABEL
from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.server.ports import LOOPBACK, reserved_port

REPOSITORY = "ghcr.io/ggml-org/llama.cpp"
START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A running engine.

    Attributes:
        host: Its address, as ``DOCKER_HOST`` takes it.
        client: A client of it.
    """

    host: str
    client: docker.DockerClient

    def containers(self) -> list[Container]:
        """All containers of the harness's, running or not."""
        return self.client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)

    def events(self, kind: str, since: float) -> int:
        """How often something happened to a container since a time."""
        found = self.client.events(
            since=int(since),
            until=int(time.time()) + 1,
            filters={"type": "container", "event": kind},
            decode=True,
        )
        return sum(1 for _ in found)

    def add_image(self, tag: str, program: Path) -> str:
        """Make an image like upstream's of one program and the libraries it needs; give its name.

        Upstream's has this entry point, directory and variable, and Ubuntu's libraries.
        """
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(program, "app/llama-server")
            for library in libraries(program):
                archive.add(library.resolve(), str(library).lstrip("/"))
        self.client.api.import_image_from_data(
            packed.getvalue(),
            repository=REPOSITORY,
            tag=tag,
            changes=[
                "ENV LLAMA_ARG_HOST=0.0.0.0",
                "WORKDIR /app",
                'ENTRYPOINT ["/app/llama-server"]',
            ],
        )
        return f"{REPOSITORY}:{tag}"


def libraries(program: Path) -> list[Path]:
    """The dynamic loader and the libraries that a program needs, where the program looks."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    return [Path(name) for name in re.findall(r"(/\S+) \(0x", listed.stdout)]


@contextmanager
def private_registry() -> Iterator[str]:
    """Start an empty registry on loopback; give its ``host:port``."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        pytest.skip("needs docker-registry on PATH for a registry of its own")
    with tempfile.TemporaryDirectory(prefix="registry-") as directory, reserved_port() as port:
        settings = Path(directory) / "config.json"
        # JSON is YAML, which it reads.
        settings.write_text(
            json.dumps(
                {
                    "version": 0.1,
                    "storage": {"filesystem": {"rootdirectory": f"{directory}/data"}},
                    "http": {"addr": f"{LOOPBACK}:{port}"},
                }
            ),
            encoding="utf-8",
        )
        with Reaper() as reaper:
            daemon = subprocess.Popen(
                [program, "serve", str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, OWNER_VARIABLE: reaper.token},
            )
            try:
                deadline = time.monotonic() + START_S
                while not _listens(port):
                    assert daemon.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                yield f"{LOOPBACK}:{port}"
            finally:
                daemon.terminate()
                daemon.wait(timeout=60)


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex((LOOPBACK, port)) == 0


@contextmanager
def private_engine() -> Iterator[Engine]:
    """Start an engine with nothing in it, which touches no other; skip where that cannot be."""
    program = shutil.which("dockerd")
    if sys.platform != "linux" or os.geteuid() != 0 or program is None:
        pytest.skip("needs Linux, root and dockerd on PATH for an engine of its own")
    # A socket's path must be short; pytest's directories are long.
    directory = Path(tempfile.mkdtemp(prefix="engine-"))
    host = f"unix://{directory}/s"
    words = [
        *(program, "--host", host, "--pidfile", str(directory / "pid")),
        *("--data-root", str(directory / "data"), "--exec-root", str(directory / "exec")),
        *("--storage-driver", "vfs", "--bridge", "none"),
        *("--iptables=false", "--ip6tables=false"),
    ]
    log = directory / "log"
    try:
        with Reaper() as reaper, log.open("wb") as out:
            daemon = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, OWNER_VARIABLE: reaper.token},
                start_new_session=True,
            )
            try:
                client = connected(host, daemon, log)
                try:
                    yield Engine(host=host, client=client)
                finally:
                    client.close()
            finally:
                daemon.terminate()
                daemon.wait(timeout=60)
    finally:
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
            if (place := line.split()[1]).startswith(str(directory)):
                subprocess.run(["umount", place], check=False)
        shutil.rmtree(directory)


def connected(host: str, daemon: "subprocess.Popen[bytes]", log: Path) -> docker.DockerClient:
    """A client, as soon as the engine answers."""
    if sys.platform == "win32":
        pytest.skip("needs sockets of the file system")
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            break
        with socket.socket(socket.AF_UNIX) as trial:
            if trial.connect_ex(host.removeprefix("unix://")) == 0:
                return docker.DockerClient(base_url=host)
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    pytest.skip(f"dockerd does not start here: {said[-1] if said else 'no word'}")
