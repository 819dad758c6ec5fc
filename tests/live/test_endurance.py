"""Hosts that are busy, narrow, full or unreliable: a clear verdict or message, and nothing lost."""

import multiprocessing
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from harness.cells.running import run_cell
from harness.cells.workbench import open_workbench
from harness.model import Cell, FailureKind, LoadRequest, Verdict
from harness.processes.reaper import owned_processes
from harness.report.jsonl import read_results
from harness.server import ports
from tests.live.matrix_runs import ROOT, Run, command, run_matrix, variables

if sys.platform != "linux":
    pytest.skip("limits and signals as Linux has them", allow_module_level=True)

pytestmark = pytest.mark.live

CELLS = ["--build", "b8929", "--env", "cpu", "--model", "tiny-llama"]
FEW = [*CELLS, "--mode", "off", "--mode", "draft"]
FEW_COUNT = 8
ALL_COUNT = 28
PATIENCE_S = 300.0
GOOD = {Verdict.PASS, Verdict.DEGRADED}
CELL = Cell(
    build="b8929",
    subject="reference",
    environment="cpu",
    request=LoadRequest(model="tiny-llama", mode="off"),
)


def has_namespaces(*kinds: str) -> bool:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        return False
    return (
        subprocess.run(["unshare", *kinds, "true"], capture_output=True, check=False).returncode
        == 0
    )


needs_mounts = pytest.mark.skipif(
    not has_namespaces("-m"), reason="mounting in a namespace of its own needs root on Linux"
)
needs_network = pytest.mark.skipif(
    not has_namespaces("-n") or shutil.which("ip") is None,
    reason="a network namespace needs root on Linux, and ip",
)


def in_shell(
    directory: Path, before: str, words: Sequence[str], wrapper: Sequence[str] = ()
) -> Run:
    """Run the command after shell commands that narrow what it may have."""
    jsonl = directory / "results.jsonl"
    words = command(*words, "--jsonl", str(jsonl), "-o", f"cache_dir={directory / 'pytest'}")
    done = subprocess.run(
        [*wrapper, "sh", "-e", "-c", f"{before}\nexec {shlex.join(words)}"],
        capture_output=True,
        text=True,
        cwd=directory,
        env=variables(),
        timeout=PATIENCE_S,
        check=False,
    )
    return Run(
        status=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr,
        jsonl=jsonl,
        junit=directory / "none.xml",
    )


def said(run: Run) -> str:
    return run.stdout + run.stderr


@contextmanager
def busy_cores() -> Iterator[None]:
    spinners = [
        multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    for spinner in spinners:
        spinner.start()
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.join()


def _spin() -> None:
    while True:
        pass


def test_every_core_busy(tmp_path: Path) -> None:
    with busy_cores():
        run = run_matrix(tmp_path, [*FEW, "-n", "2"])
    assert run.status == 0, said(run)
    assert [result.status for result in run.results] == [Verdict.PASS] * FEW_COUNT


@pytest.mark.parametrize("workers", ["0", "2"])
def test_few_open_files_suffice(tmp_path: Path, workers: str) -> None:
    run = in_shell(tmp_path, "ulimit -n 40", [*FEW, "-n", workers])
    assert run.status == 0, said(run)
    assert len(run.results) == FEW_COUNT


def test_too_few_open_files_are_told_before_the_first_cell(tmp_path: Path) -> None:
    run = in_shell(tmp_path, "ulimit -n 16", [*FEW, "-n", "0"])
    assert run.status == 3
    assert re.search(r"llama-harness: .* 16 open files, .* ulimit -n", run.stderr)
    assert "Traceback" not in said(run)


def test_open_files_that_run_out_within_a_cell() -> None:
    import resource

    with open_workbench(share_launches=False) as workbench:
        assert run_cell(CELL, workbench).status is Verdict.PASS
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
        # What is open stays open; one more is one too many.
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, allowed[1]))
        try:
            result = run_cell(CELL, workbench)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
        assert result.status is Verdict.ERROR
        assert result.failure is not None
        assert "Too many open files" in result.failure.message
        assert run_cell(CELL, workbench).status is Verdict.PASS


def test_no_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with (
        open_workbench(share_launches=False) as workbench,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
    ):
        taken.bind((ports.LOOPBACK, 0))
        monkeypatch.setattr(ports, "_free_tcp_port", lambda: taken.getsockname()[1])
        result = run_cell(CELL, workbench)
    assert result.status is Verdict.ERROR
    assert result.failure is not None
    assert result.failure.kind is FailureKind.HARNESS
    assert "the host refuses a launch: " in result.failure.message
    assert "Address already in use" in result.failure.message


@needs_network
def test_a_handful_of_ports_suffices(tmp_path: Path) -> None:
    """Each launch takes a port, and each of its requests one more for a while."""
    narrow = (
        "ip link set lo up\n"
        "echo 50000 50031 > /proc/sys/net/ipv4/ip_local_port_range\n"
        "echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse"
    )
    run = in_shell(tmp_path, narrow, [*FEW, "-n", "2"], wrapper=["unshare", "-n"])
    results = run.results
    assert len(results) == FEW_COUNT, said(run)
    assert run.status in {0, 3}, said(run)
    assert {result.status for result in results} <= {*GOOD, Verdict.ERROR, Verdict.FLAKY}
    for result in results:
        if result.status is Verdict.ERROR:
            assert result.failure is not None
            assert result.failure.message
    assert "Traceback" not in said(run)


def test_no_room_for_results(tmp_path: Path) -> None:
    done = subprocess.run(
        command(*FEW, "-n", "0", "--jsonl", "/dev/full", "-o", f"cache_dir={tmp_path / 'pytest'}"),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=variables(),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 3
    assert "/dev/full: cannot be written: No space left on device" in done.stdout
    assert "|b8929" in done.stdout, "what was found is shown although it cannot be kept"
    assert "Traceback" not in done.stdout + done.stderr


@needs_mounts
def test_a_disk_that_fills_up_keeps_whole_results(tmp_path: Path) -> None:
    """The disk with the results has room for some of them."""
    kept = tmp_path / "kept.jsonl"
    (tmp_path / "small").mkdir()
    narrow = "mount -t tmpfs -o size=16k tmpfs small"
    words = command(*FEW, "-n", "0", "--jsonl", "small/results.jsonl")
    words += ["-o", f"cache_dir={tmp_path / 'pytest'}"]
    copy = f"{shlex.join(words)} || status=$?; cp small/results.jsonl {shlex.quote(str(kept))}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{narrow} && {{ {copy}; exit $status; }}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=variables(),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "small/results.jsonl: cannot be written: No space left on device" in done.stdout
    assert kept.read_bytes().endswith(b"\n")
    assert 0 < len(list(read_results([kept]))) < FEW_COUNT
    assert not list((tmp_path / "small").iterdir()), "the mount was the command's own"


@needs_mounts
def test_no_room_for_scratch(tmp_path: Path) -> None:
    """The temporary directory is on a full disk."""
    (tmp_path / "small").mkdir()
    narrow = (
        "mount -t tmpfs -o size=64k,nr_inodes=5 tmpfs small\n"
        f"export TMPDIR={shlex.quote(str(tmp_path / 'small'))}"
    )
    run = in_shell(tmp_path, narrow, [*FEW, "-n", "0"], wrapper=["unshare", "-m"])
    assert run.status == 3, said(run)
    results = run.results
    assert len(results) == FEW_COUNT
    for result in results:
        assert result.status is Verdict.ERROR
        assert result.failure is not None
        assert "No space left on device" in result.failure.message
    assert "Traceback" not in said(run)


@needs_mounts
def test_a_read_only_cache_with_the_build_is_of_use(tmp_path: Path) -> None:
    with open_workbench() as workbench:
        cache = workbench.store.root
        workbench.build("b8929")
        _ = workbench.one_core
    place = shlex.quote(str(cache))
    narrow = f"mount --bind {place} {place}\nmount -o remount,ro,bind {place}\n! touch {place}/x"
    run = in_shell(tmp_path, narrow, [*FEW, "-n", "2"], wrapper=["unshare", "-m"])
    assert run.status == 0, said(run)
    assert [result.status for result in run.results] == [Verdict.PASS] * FEW_COUNT


@needs_mounts
def test_a_read_only_cache_without_the_build_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    narrow = (
        "mount -t tmpfs -o ro tmpfs cache\n"
        f"export LLAMA_HARNESS_CACHE={shlex.quote(str(tmp_path / 'cache'))}"
    )
    run = in_shell(tmp_path, narrow, [*FEW, "-n", "0"], wrapper=["unshare", "-m"])
    assert run.status == 3, said(run)
    assert "Read-only file system" in said(run)
    assert "LLAMA_HARNESS_CACHE" in said(run)
    assert "Traceback" not in said(run)


def test_a_slow_cache_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every read of a file through Python takes its time, as on a network file system."""
    read_bytes, read_text = Path.read_bytes, Path.read_text

    def slowly(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            time.sleep(0.05)
            return function(*arguments, **named)

        return call

    monkeypatch.setattr(Path, "read_bytes", slowly(read_bytes))
    monkeypatch.setattr(Path, "read_text", slowly(read_text))
    with open_workbench(share_launches=False) as workbench:
        assert run_cell(CELL, workbench).status is Verdict.PASS


def test_a_clock_that_jumps_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    chance, real = random.Random(1), time.time
    monkeypatch.setattr(time, "time", lambda: real() + chance.uniform(-1e8, 1e8))
    with open_workbench(share_launches=False) as workbench:
        result = run_cell(CELL, workbench)
    assert result.status is Verdict.PASS
    assert 0 < result.wall_ms < PATIENCE_S * 1000


def test_no_duration_is_taken_from_the_wall_clock() -> None:
    """Durations and deadlines come of ``monotonic`` and ``perf_counter`` alone.

    What other programs date by the wall clock must be: when GitHub lifts its limit, when a
    recording was made, when a file was touched, and how old what is kept between runs is.
    """
    dates = {
        "harness/builds/content.py",
        "harness/builds/sources/release.py",
        "harness/config/memory.py",
        "harness/shim/recorder.py",
    }
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "harness").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if path.relative_to(ROOT).as_posix() not in dates
        and re.search(r"\btime\.time\(|from time import .*\btime\b", line)
    ]
    assert not found


@contextmanager
def started(directory: Path, workers: str) -> Iterator["subprocess.Popen[str]"]:
    scratch = directory / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        command(
            *CELLS,
            *("-n", workers, "--jsonl", str(directory / "results.jsonl")),
            *("-o", f"cache_dir={directory / 'pytest'}"),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=variables({"TMPDIR": str(scratch)}),
    ) as run:
        try:
            yield run
        finally:
            run.kill()


def test_servers_that_are_killed_now_and_then(tmp_path: Path) -> None:
    """A cell whose server is killed is run again; whatever it comes to has a reason."""
    chance, killed = random.Random(7), 0
    with started(tmp_path, "0") as run:
        until = time.monotonic() + PATIENCE_S
        while run.poll() is None and killed < 5:
            assert time.monotonic() < until
            for server in owned_processes(home=tmp_path / "scratch"):
                with suppress(psutil.Error):
                    server.kill()
                    killed += 1
            time.sleep(chance.uniform(0.05, 0.3))
        output = run.communicate(timeout=PATIENCE_S)[0]
    assert killed
    results = list(read_results([tmp_path / "results.jsonl"]))
    assert len(results) == ALL_COUNT, output
    assert len({result.id for result in results}) == ALL_COUNT
    assert run.returncode in {0, 1, 3}, output
    for result in results:
        assert result.status in GOOD or result.failure or result.attempts
    assert "Traceback" not in output
    assert not owned_processes(home=tmp_path / "scratch")


def test_a_worker_that_is_killed_costs_one_cell_a_verdict(tmp_path: Path) -> None:
    jsonl = tmp_path / "results.jsonl"
    with started(tmp_path, "2") as run:
        until = time.monotonic() + PATIENCE_S
        while not jsonl.exists() or jsonl.read_bytes().count(b"\n") < 2:
            assert run.poll() is None, run.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.01)
        worker = parent_of_a_server(tmp_path / "scratch", until)
        psutil.Process(worker).kill()
        output = run.communicate(timeout=PATIENCE_S)[0]
    results = list(read_results([jsonl]))
    assert len({result.id for result in results}) == ALL_COUNT, output
    assert len(results) == ALL_COUNT
    lost = [result for result in results if result.status not in GOOD]
    assert len(lost) <= 1
    assert run.returncode == 3, output
    for result in lost:
        assert result.failure is not None
        assert "worker process that ran it died" in result.failure.message
    until = time.monotonic() + 5
    while owned_processes(home=tmp_path / "scratch"):
        assert time.monotonic() < until
        time.sleep(0.05)


def parent_of_a_server(scratch: Path, until: float) -> int:
    while time.monotonic() < until:
        for server in owned_processes(home=scratch):
            with suppress(psutil.Error):
                return server.ppid()
    pytest.fail("no server was seen")
