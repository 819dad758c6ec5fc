"""A build counts when it has been seen to run on this host; else the next source is tried."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.builds.catalogue import read_build
from harness.builds.hosts import HostFingerprint, cpu_features, host_fingerprint
from harness.builds.manifest import read_manifest, write_manifest
from harness.cells.qualification import open_store
from harness.errors import EXIT_CANNOT_TELL, EXIT_OK
from tests.unit.builds.builds_bench import Workbench
from tests.unit.builds.stand_in import FAULTS, local_text, write_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are scripts")

SAYS = {
    "illegal-instruction": "illegal instruction",
    "illegal-instruction-by-a-shell": "illegal instruction",
    "missing-library": "needs libggml.so.9, which this host does not have",
    "old-glibc": "needs GLIBC_2.99, which this host does not have",
    "killed": "killed from outside (SIGKILL)",
    "no-memory": "has not the memory that the server asks for",
    "other-architecture": "it is no program for this host",
    "no-loader": "the loader or interpreter that it names is not on this host",
    "never-generates": "it generates nothing",
    "no-server": "lists no --model and --port",
}


def test_every_fault_is_expected() -> None:
    assert {*FAULTS, "other-architecture", "no-loader"} - {""} == set(SAYS)


@pytest.mark.parametrize("fault", SAYS)
def test_the_next_source_serves(bench: Workbench, tmp_path: Path, fault: str) -> None:
    bad, good = write_server(tmp_path / "a" / "llama-server", fault), tmp_path / "b/llama-server"
    bench.catalogue("b20000", local_text("b20000", bad, write_server(good)))
    result = bench.run("path", "b20000")
    assert (result.returncode, result.stdout) == (EXIT_OK, f"{good}\n"), result.stderr
    (note,) = [line for line in result.stderr.splitlines() if "trying the next source" in line]
    assert str(bad) in note
    assert SAYS[fault] in note


@pytest.mark.parametrize("fault", SAYS)
def test_without_another_source_one_line_names_each_reason(
    bench: Workbench, tmp_path: Path, fault: str
) -> None:
    bad = write_server(tmp_path / "a" / "llama-server", fault)
    bench.catalogue("b20000", local_text("b20000", bad, tmp_path / "absent"))
    result = bench.run("path", "-q", "b20000")
    assert result.returncode == EXIT_CANNOT_TELL
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert SAYS[fault] in line
    assert "absent is neither a file" in line
    assert not (bench.cache / "builds" / "b20000").exists()


@pytest.mark.parametrize("fault", ["illegal-instruction", "missing-library", "killed"])
def test_a_matrix_of_such_a_build_has_errors_and_no_failures(
    bench: Workbench, tmp_path: Path, fault: str
) -> None:
    bad = write_server(tmp_path / "a" / "llama-server", fault)
    bench.catalogue("b20000", local_text("b20000", bad))
    results = tmp_path / "results.jsonl"
    words = ["matrix", "--build", "b20000", "--env", "cpu", "--model", "tiny-llama", "-n", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words, "--jsonl", str(results)],
        env=bench.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_CANNOT_TELL, done.stdout
    told = [line for line in done.stderr.splitlines() if SAYS[fault] in line]
    assert len(told) == 1, "the reason is told once, however many cells and workers"
    cells = [json.loads(line) for line in results.read_text().splitlines()]
    assert {cell["status"] for cell in cells} == {"error"}
    assert {cell["failure"]["kind"] for cell in cells} == {"build"}


def stored(bench: Workbench, tmp_path: Path) -> Path:
    """Acquire a build from a local program that has a second source; return its program."""
    first = write_server(tmp_path / "a" / "llama-server")
    second = write_server(tmp_path / "b" / "llama-server")
    bench.catalogue("b20000", local_text("b20000", first, second))
    assert bench.run("path", "-q", "b20000").stdout == f"{first}\n"
    return first


def elsewhere(bench: Workbench) -> HostFingerprint:
    """Make it look as if the store had been filled on another host."""
    other = msgspec.structs.replace(host_fingerprint(), kernel="Linux 0.0", features=("amx_tile",))
    directory = bench.cache / "builds" / "b20000"
    manifest = read_manifest(directory)
    assert manifest is not None
    (known,) = manifest.qualified
    assert known.host == host_fingerprint()
    moved = msgspec.structs.replace(known, host=other)
    write_manifest(directory, msgspec.structs.replace(manifest, qualified=(moved,)))
    return other


def standing(bench: Workbench) -> str:
    rows = json.loads(bench.run("list", "--json").stdout)
    return str(next(row["standing"] for row in rows if row["id"] == "b20000"))


def hosts(bench: Workbench) -> list[HostFingerprint]:
    manifest = read_manifest(bench.cache / "builds" / "b20000")
    assert manifest is not None
    return [one.host for one in manifest.qualified]


def test_on_another_host_a_stored_build_is_tried_again_once(
    bench: Workbench, tmp_path: Path
) -> None:
    first = stored(bench, tmp_path)
    assert standing(bench) == "qualified"
    other = elsewhere(bench)
    assert standing(bench) == "not tried"
    assert bench.run("path", "-q", "b20000").stdout == f"{first}\n"
    assert standing(bench) == "qualified"
    assert hosts(bench) == [other, host_fingerprint()], "both hosts of a shared store are known"
    # What is known is not tried again: the program would no longer qualify.
    source = first.with_suffix(".py")
    source.write_text("raise SystemExit(1)")
    assert bench.run("path", "-q", "b20000").stdout == f"{first}\n"


def test_what_no_longer_runs_is_replaced_by_another_source(
    bench: Workbench, tmp_path: Path
) -> None:
    first = stored(bench, tmp_path)
    elsewhere(bench)
    source = first.with_suffix(".py")
    source.write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    result = bench.run("path", "-q", "b20000")
    second = tmp_path / "b" / "llama-server"
    assert (result.stdout, result.stderr) == (f"{second}\n", "")
    assert standing(bench) == "qualified"


def test_where_no_other_source_is_left_the_stored_build_stays_for_other_hosts(
    bench: Workbench, tmp_path: Path
) -> None:
    only = write_server(tmp_path / "a" / "llama-server")
    bench.catalogue("b20000", local_text("b20000", only))
    bench.run("path", "-q", "b20000")
    elsewhere(bench)
    only.with_suffix(".py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    result = bench.run("path", "-q", "b20000")
    assert result.returncode == EXIT_CANNOT_TELL
    assert "illegal instruction" in result.stderr
    assert standing(bench) == "not on this host"


def test_a_store_that_is_only_read_serves_another_host_too(
    bench: Workbench, tmp_path: Path
) -> None:
    first = stored(bench, tmp_path)
    other = elsewhere(bench)
    locks = bench.cache / "locks"
    for lock in locks.iterdir():
        lock.unlink()
    locks.rmdir()
    locks.write_text("a file, so that no lock can be made, not even by root")
    store = open_store(bench.cache)
    acquired = store.acquire(read_build(bench.cache / "catalogue" / "b20000.toml"))
    assert acquired.binary == first
    assert hosts(bench)[0] == other


def test_the_fingerprint_of_this_host_is_the_same_twice() -> None:
    assert host_fingerprint() == host_fingerprint()
    assert str(host_fingerprint())


def test_features_that_matter() -> None:
    intel = "processor : 0\nflags\t\t: fpu sse2 pni ssse3 sse4_1 avx2 amx_tile smep syscall\n"
    assert cpu_features(intel) == {"pni", "ssse3", "sse4_1", "avx2", "amx_tile"}
    arm = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes sha2 atomics sve2 i8mm\n"
    assert cpu_features(arm) == {"fp", "asimd", "aes", "sha2", "atomics", "sve2", "i8mm"}
    assert cpu_features("") == set()


@pytest.mark.parametrize(
    ("change", "readable"),
    [
        ({"qualified": [1]}, True),
        ({"qualified": "x"}, True),
        ({"env": {"A=B": "x"}}, False),
        ({"env": {"A": "x\0"}}, False),
        ({"binary": "/bin/true"}, False),
        ({"binary": "../../../../bin/true"}, False),
        ({"binary": "."}, False),
    ],
)
def test_a_damaged_manifest(tmp_path: Path, change: dict[str, object], readable: bool) -> None:
    sound = {
        "build": "b1", "number": 1, "source": "package", "asset": "a", "sha256": "",
        "binary": "llama-server", "env": {}, "details": {}, "reported_version": "",
        "seconds": 1.0, "acquired": "2026-01-01T00:00:00Z", "files": {},
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps({**sound, **change}))
    manifest = read_manifest(tmp_path)
    assert (manifest is not None) is readable
    assert manifest is None or manifest.qualified == ()


def test_what_may_be_gone_in_a_minute_is_told_and_not_remembered(
    bench: Workbench, tmp_path: Path
) -> None:
    first = stored(bench, tmp_path)
    elsewhere(bench)
    source = first.with_suffix(".py")
    fine = source.read_text()
    source.write_text(f"import sys\nif '--port' in sys.argv: sys.exit('out of memory')\n{fine}")
    result = bench.run("path", "-q", "b20000")
    assert result.returncode == EXIT_CANNOT_TELL
    assert "it is in the store, and cannot be tried now" in result.stderr
    assert standing(bench) == "not tried"
    source.write_text(fine)
    assert bench.run("path", "-q", "b20000").stdout == f"{first}\n"
