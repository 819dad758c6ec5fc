"""Builds from container images, in a real engine: cells, exit statuses, and nothing left behind."""

import gc
import io
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

import msgspec
import psutil
import pytest
from docker.errors import APIError

from harness.builds import AcquiredBuild, Build, Catalogue
from harness.builds.bundle import export_bundle
from harness.builds.catalogue import ContainerImage
from harness.builds.offers import catalogue_text
from harness.cells.qualification import open_store
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.errors import BuildUnavailableError, DigestMismatchError, StoreError
from harness.model import Cell, LoadRequest, Verdict
from harness.server.http import ServerClient
from harness.server.ports import reserved_port
from harness.terminal import PlainProgress
from tests.live.engine import REPOSITORY, Engine, private_engine, private_registry
from tests.live.matrix_runs import command, variables
from tests.signals import KILL, signal_group

pytestmark = pytest.mark.live

BUILD = "b9246"
GONE_WITHIN_S = 15.0
PATIENCE_S = 120.0

REQUESTS = (
    LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5),
    LoadRequest(model="tiny-mtp", mode="mtp+ngram"),
    LoadRequest(model="tiny-llama", mode="draft", draft_n_max=2),
    LoadRequest(model="tiny-llama", mode="off"),
)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with private_engine() as running:
        yield running


@dataclass(frozen=True, kw_only=True)
class Imaged:
    """A build as an image has it."""

    build: Build
    direct: AcquiredBuild
    engine: Engine

    def cell(self, request: LoadRequest) -> Cell:
        return Cell(build=self.build.id, subject="reference", environment="cpu", request=request)


@pytest.fixture
def imaged(engine: Engine, workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Imaged:
    direct = workbench.build(BUILD)
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    reference = engine.add_image(f"server-{BUILD}", direct.binary)
    origin = ContainerImage(reference=reference)
    build = Build(id=f"image-{BUILD}", number=direct.build.number, sources=(origin,))
    # The engine removes a container on its own time, after it has ended.
    assert eventually(lambda: engine.containers() == [], GONE_WITHIN_S)
    return Imaged(build=build, direct=direct, engine=engine)


@contextmanager
def bench(imaged: Imaged, directory: Path, *, extract: bool = False) -> Iterator[Workbench]:
    store = open_store(directory / "cache", extract=extract)
    with open_workbench(catalogue=Catalogue(builds=(imaged.build,)), store=store) as opened:
        yield opened


def eventually(happens: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("extract", [False, True], ids=["container", "extracted"])
def test_cells_mean_the_same_as_on_the_build_itself(
    imaged: Imaged, workbench: Workbench, tmp_path: Path, *, extract: bool
) -> None:
    start = time.time()
    with bench(imaged, tmp_path, extract=extract) as opened:
        results = [run_cell(imaged.cell(request), opened) for request in REQUESTS]
        assert opened.build(imaged.build.id).manifest.source == "image"
    for request, result in zip(REQUESTS, results, strict=True):
        directly = run_cell(
            Cell(build=BUILD, subject="reference", environment="cpu", request=request), workbench
        )
        assert result.status is Verdict.PASS, result
        assert result.effective == directly.effective
        assert result.witnessed_by == directly.witnessed_by
    # --version, --help and each cell; or one that is only there to copy from.
    started = 0 if extract else len(REQUESTS) + 2
    assert imaged.engine.events("start", start) >= started
    assert (imaged.engine.events("start", start) == 0) == extract
    assert imaged.engine.containers() == []


def test_an_image_is_pulled_and_pinned_by_the_digest_of_its_registry(
    imaged: Imaged, tmp_path: Path
) -> None:
    with private_registry() as registry:
        images = imaged.engine.client.images
        name, tag = f"{registry}/ggml-org/llama.cpp", f"server-{BUILD}"
        image = images.get(f"{REPOSITORY}:server-{BUILD}")
        assert image.tag(name, tag)
        pushed = [
            event["aux"]["Digest"]
            for event in images.push(name, tag, stream=True, decode=True)
            if "aux" in event
        ]
        images.remove(f"{name}:{tag}")
        images.remove(str(image.id), force=True)
        out = io.StringIO()
        origin = ContainerImage(reference=f"{name}:{tag}", digest=pushed[0])
        build = replace(imaged, build=msgspec.structs.replace(imaged.build, sources=(origin,)))
        store = open_store(tmp_path / "cache")
        acquired = store.acquire(build.build, progress=PlainProgress(out))
        assert acquired.manifest.asset == origin.reference
        assert f"pull {origin.reference}: done" in out.getvalue()
        with bench(build, tmp_path) as opened:
            assert run_cell(build.cell(REQUESTS[0]), opened).status is Verdict.PASS
        images.remove(f"{name}:{tag}", force=True)


def test_an_extracted_build_replaces_one_that_runs_in_containers(
    imaged: Imaged, tmp_path: Path
) -> None:
    in_container = open_store(tmp_path).acquire(imaged.build)
    assert open_store(tmp_path).acquire(imaged.build).manifest == in_container.manifest
    assert in_container.binary.read_bytes().startswith(b"#!")
    with pytest.raises(StoreError, match="runs in containers of this machine"):
        export_bundle(open_store(tmp_path), tmp_path / "builds.tar.gz", builds=[imaged.build])
    extracted = open_store(tmp_path, extract=True).acquire(imaged.build)
    assert extracted.binary.read_bytes() == imaged.direct.binary.read_bytes()
    export_bundle(open_store(tmp_path), tmp_path / "builds.tar.gz", builds=[imaged.build])


def test_output_and_exit_status_are_the_servers(imaged: Imaged, tmp_path: Path) -> None:
    binary = open_store(tmp_path).acquire(imaged.build).binary
    for words in (["--version"], ["--help"], ["--no-such-flag"]):
        inside, outside = (
            subprocess.run([program, *words], capture_output=True, text=True, check=False)
            for program in (binary, imaged.direct.binary)
        )
        assert (inside.returncode, inside.stdout) == (outside.returncode, outside.stdout)
        assert inside.stderr == outside.stderr
    assert imaged.engine.containers() == []


@contextmanager
def serving(imaged: Imaged, directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The program that the store has of an image, while its server runs in a container."""
    binary = open_store(directory).acquire(imaged.build).binary
    with bench(imaged, directory) as opened, ExitStack() as stack:
        model = opened.models["tiny-llama"].path
        port = stack.enter_context(reserved_port())
        process = stack.enter_context(
            subprocess.Popen(
                [binary, "-m", str(model), "--port", str(port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        stack.callback(process.kill)
        client = ServerClient(port)
        assert eventually(lambda: client.status("/health", 1.0) == HTTPStatus.OK, PATIENCE_S)
        yield process


def server_pids(engine: Engine) -> list[int]:
    """The servers in containers, by their process ids on this host."""
    found = []
    for container in engine.containers():
        # Each may end while it is looked at.
        with suppress(APIError, psutil.NoSuchProcess):
            pids = [int(row[1]) for row in container.top()["Processes"] or ()]
            found += [pid for pid in pids if psutil.Process(pid).name() == "llama-server"]
    return found


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, KILL])
def test_a_server_that_a_signal_ends_is_told_from_one_that_exits(
    imaged: Imaged, tmp_path: Path, number: signal.Signals
) -> None:
    with serving(imaged, tmp_path) as process:
        (server,) = server_pids(imaged.engine)
        os.kill(server, number)
        assert process.wait(timeout=PATIENCE_S) == -number
    assert imaged.engine.containers() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_server(imaged: Imaged, tmp_path: Path, number: signal.Signals) -> None:
    with serving(imaged, tmp_path) as process:
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE_S) == 0, "as the server's own orderly end"
    assert imaged.engine.containers() == []


def test_killing_the_program_removes_its_container(imaged: Imaged, tmp_path: Path) -> None:
    with serving(imaged, tmp_path) as process:
        signal_group(process.pid, KILL)
        assert eventually(lambda: imaged.engine.containers() == [], GONE_WITHIN_S)


@pytest.mark.parametrize("number", [KILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_run_leaves_no_container(
    imaged: Imaged, tmp_path: Path, number: signal.Signals
) -> None:
    cache = tmp_path / "cache"
    open_store(cache).add_to_catalogue(imaged.build.id, catalogue_text(imaged.build))
    with subprocess.Popen(
        command("--build", imaged.build.id, "--env", "cpu", "-n", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=variables({"LLAMA_HARNESS_CACHE": str(cache), "LLAMA_HARNESS_CONFIG": ""}),
        start_new_session=True,
    ) as run:
        try:
            # Two workers' servers at once: both are in the middle of a cell.
            assert eventually(lambda: len(server_pids(imaged.engine)) > 1, PATIENCE_S)
            signal_group(run.pid, number)
            output, _ = run.communicate(timeout=PATIENCE_S)
        finally:
            if run.poll() is None:
                signal_group(run.pid, KILL)
    assert run.returncode == (130 if number is signal.SIGINT else -number), output
    assert eventually(lambda: imaged.engine.containers() == [], GONE_WITHIN_S)
    time.sleep(1)
    assert imaged.engine.containers() == [], "none comes late"


def one_line(error: Exception) -> str:
    (line,) = str(error).splitlines()
    return line


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_no_engine_is_one_line(
    imaged: Imaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(BuildUnavailableError, match="no container engine answers") as caught:
        open_store(tmp_path / "cache").acquire(imaged.build)
    assert "DOCKER_HOST" in one_line(caught.value)
    # The SDK does not close the socket on which nobody answered.
    del caught
    gc.collect()


def test_no_image_is_one_line(imaged: Imaged, tmp_path: Path) -> None:
    origin = ContainerImage(reference="llama-harness.invalid/llama.cpp:server-b1")
    build = Build(id="b1", number=1, sources=(origin,))
    with pytest.raises(BuildUnavailableError, match="cannot be pulled") as caught:
        open_store(tmp_path).acquire(build)
    assert origin.reference in one_line(caught.value)


def test_another_image_than_the_pinned_one_is_refused(imaged: Imaged, tmp_path: Path) -> None:
    origin = ContainerImage(reference=f"{REPOSITORY}:server-{BUILD}", digest=f"sha256:{'0' * 64}")
    build = Build(id="pinned", number=1, sources=(origin,))
    with pytest.raises(DigestMismatchError, match="pinned is sha256:0000"):
        open_store(tmp_path).acquire(build)


def test_an_image_that_went_away_is_an_error_of_the_harness(imaged: Imaged, tmp_path: Path) -> None:
    """Not a failure of the subject, whose flags nobody has read."""
    with bench(imaged, tmp_path) as opened:
        acquired = opened.build(imaged.build.id)
        opened.capabilities(imaged.build.id)
        imaged.engine.client.images.remove(acquired.manifest.asset, force=True)
        result = run_cell(imaged.cell(REQUESTS[0]), opened)
    assert result.status is Verdict.ERROR
    assert result.failure is not None
    assert "No such image" in result.failure.message
