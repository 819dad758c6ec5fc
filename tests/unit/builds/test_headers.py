"""Headers of ggml beside a build: from its own compile, or fetched alone, or why there are none."""

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.builds.headers import NAMES, headers_digest, keep_headers
from harness.errors import SourceUnavailableError
from tests.unit.builds.builds_bench import Workbench, catalogue_text, needs_compiler, write_tree

HEADERS = sorted(name for names in NAMES.values() for name in names)


def write_headers(tree: Path, text: str = "") -> None:
    for part, names in NAMES.items():
        for name in names:
            file = tree / "ggml" / part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"/* {name} {text} */\n", encoding="utf-8")


def offer(bench: Workbench) -> Path:
    """A build whose archive has headers."""
    tree = write_tree(bench.packages / "trees" / "t1")
    write_headers(tree)
    sdist = bench.packages / "tiny_t1-1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(tree, "tiny_t1-1.0/vendor/llama.cpp")
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    bench.catalogue("t1", catalogue_text("t1", sdist, digest))
    return sdist


def manifest(bench: Workbench) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((bench.cache / "builds/t1/manifest.json").read_text())
    return read


def forget_headers(bench: Workbench) -> None:
    """Make the stored build one that came before headers were kept."""
    told = manifest(bench)
    del told["details"]["headers"]
    told["files"] = {name: one for name, one in told["files"].items() if "/" not in name}
    (bench.cache / "builds/t1/manifest.json").write_text(json.dumps(told))
    shutil.rmtree(bench.cache / "builds/t1/headers")


def kept(bench: Workbench) -> list[str]:
    return sorted(file.name for file in (bench.cache / "builds/t1/headers").glob("*"))


@needs_compiler
def test_a_compile_keeps_them_and_an_older_build_gets_them_without_one(bench: Workbench) -> None:
    sdist = offer(bench)
    assert bench.run("get", "-q", "t1").returncode == 0
    first = manifest(bench)
    assert kept(bench) == HEADERS
    assert first["details"]["headers"] == sdist.name
    assert {name for name in first["files"] if "/" in name} == {f"headers/{n}" for n in HEADERS}

    forget_headers(bench)
    binary = bench.cache / "builds/t1/llama-server"
    made = binary.stat().st_mtime_ns
    again = bench.run("path", "t1")
    assert "compile" not in again.stderr
    assert manifest(bench) == first
    assert kept(bench) == HEADERS
    assert binary.stat().st_mtime_ns == made
    assert bench.run("verify", "t1").stdout == "t1: ok\n"
    assert not list((bench.cache / "tmp").iterdir())

    anew = bench.run("get", "--anew", "t1")
    assert "compile t1" in anew.stderr
    assert binary.stat().st_mtime_ns != made
    assert kept(bench) == HEADERS


@needs_compiler
def test_a_build_runs_without_them_and_they_are_not_asked_for_again_and_again(
    bench: Workbench,
) -> None:
    sdist = offer(bench)
    assert bench.run("get", "-q", "t1").returncode == 0
    forget_headers(bench)
    away = sdist.rename(bench.packages / "away")
    result = bench.run("path", "-q", "t1")
    assert result.returncode == 0
    reason = manifest(bench)["details"]["no_headers"]
    assert reason.startswith("its headers cannot be had: ")
    assert sdist.name in reason or "tiny-t1" in reason
    away.rename(sdist)
    assert bench.run("path", "-q", "t1").returncode == 0
    assert manifest(bench)["details"]["no_headers"] == reason
    assert bench.run("get", "-q", "t1").returncode == 0
    assert "no_headers" not in manifest(bench)["details"]
    assert kept(bench) == HEADERS


@needs_compiler
def test_sources_without_any(bench: Workbench) -> None:
    bench.add()
    assert bench.run("get", "-q", "t1").returncode == 0
    assert manifest(bench)["details"]["no_headers"] == "its sources have no ggml.h below ggml"
    assert not (bench.cache / "builds/t1/headers").exists()


def test_the_digest_tells_headers_apart_by_every_byte(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two", "three"):
        write_headers(tmp_path / name, text=name if name != "two" else "one")
        keep_headers(tmp_path / name, tmp_path / name)
        digests.add(headers_digest(tmp_path / name / "headers"))
    assert len(digests) == 2
    assert all(len(digest) == 16 for digest in digests)


def test_headers_are_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    write_headers(tmp_path)
    (tmp_path / "ggml/src/ggml-backend-impl.h").unlink()
    with pytest.raises(SourceUnavailableError, match=r"no ggml-backend-impl\.h below ggml"):
        keep_headers(tmp_path, tmp_path)
    assert not (tmp_path / "headers").exists()
