"""Variants of a build, and bundles that carry sources where nothing can be fetched."""

import json
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from harness.builds.archives import unpack
from harness.builds.wheels import parse_python
from harness.errors import EXIT_CANNOT_TELL, EXIT_OK, EXIT_USAGE, UsageError
from tests.unit.builds.builds_bench import Workbench

posix = pytest.mark.skipif(sys.platform == "win32", reason="compiles the tiny tree")
compiles = pytest.mark.skipif(
    not (shutil.which("c++") or shutil.which("g++")), reason="no C++ compiler"
)


@posix
@compiles
def test_a_variant_is_a_build_of_its_own(bench: Workbench) -> None:
    bench.add()
    added = bench.run("add", "t1-fast", "--like", "t1", "--cmake-option", "TINY_FAST=ON")
    assert added.returncode == EXIT_OK, added.stderr
    built = bench.run("path", "-q", "t1-fast")
    assert built.returncode == EXIT_OK, built.stderr
    directory = Path(built.stdout.strip()).parent
    details = json.loads((directory / "manifest.json").read_text())["details"]
    assert details["own_options"] == "TINY_FAST=ON"
    assert "TINY_FAST=ON" in details["options"].split()
    assert "GGML_NATIVE=OFF" in details["options"].split(), "the recipe's own stay"
    # The same program under the plain build's name is not the plain build.
    directory.rename(directory.with_name("t1"))
    listed = json.loads(bench.run("list", "--json").stdout)
    assert next(row for row in listed if row["id"] == "t1")["binary"] is None


def test_a_variant_needs_an_option_and_a_compiled_source(bench: Workbench, tmp_path: Path) -> None:
    bench.add()
    wrong = {
        ("--like", "t1"): "--like needs a --cmake-option",
        ("--like", "t1", "--cmake-option", "GGML_CUDA"): "takes NAME=VALUE, not 'GGML_CUDA'",
        ("--like", "t1", "--cmake-option", "A=1", "--git", "x"): "name no other source",
        ("--like", "nope", "--cmake-option", "A=1"): "unknown build 'nope'",
        ("--local", str(tmp_path), "--cmake-option", "A=1"): "no source that is compiled",
    }
    for arguments, reason in wrong.items():
        result = bench.run("add", "mine", *arguments)
        assert result.returncode == EXIT_USAGE, result.stderr
        assert reason in result.stderr
        assert len(result.stderr.splitlines()) == 1


@posix
@compiles
def test_sources_in_a_bundle_need_no_index(bench: Workbench, tmp_path: Path) -> None:
    sdist = bench.add()
    bench.run("add", "t1-fast", "--like", "t1", "--cmake-option", "TINY_FAST=ON")
    bundle = tmp_path / "bundle.tar"
    made = bench.run("export", "-q", str(bundle), "t1", "t1-fast", "--sources")
    assert made.returncode == EXIT_OK, made.stderr
    with tarfile.open(bundle) as archive:
        names = archive.getnames()
    assert names.count(f"sources/{sdist.name}") == 1, "both are made from it"
    assert not [name for name in names if name.startswith("builds/")]
    away = {"LLAMA_HARNESS_CACHE": str(tmp_path / "away"), "PIP_FIND_LINKS": str(tmp_path)}
    imported = bench.run("import", str(bundle), **away)
    assert imported.stdout == f"{sdist.name}\n", imported.stderr
    for build_id in ("t1", "t1-fast"):
        built = bench.run("path", "-q", build_id, **away)
        assert built.returncode == EXIT_OK, built.stderr
    unpacked = tmp_path / "unpacked"
    unpack(bundle, unpacked)
    directory = {**away, "LLAMA_HARNESS_CACHE": str(tmp_path / "third")}
    assert bench.run("import", str(unpacked), **directory).returncode == EXIT_OK
    assert bench.run("export", "-q", str(bundle), "t1", "--sources", **directory).returncode == 0


@posix
def test_a_changed_source_is_refused(bench: Workbench, tmp_path: Path) -> None:
    sdist = bench.add()
    bundle, unpacked = tmp_path / "bundle.tar.xz", tmp_path / "unpacked"
    assert bench.run("export", "-q", str(bundle), "t1", "--sources").returncode == EXIT_OK
    unpack(bundle, unpacked)
    away = {"LLAMA_HARNESS_CACHE": str(tmp_path / "away")}
    source = unpacked / "sources" / sdist.name
    source.write_bytes(source.read_bytes() + b"\0")
    index = unpacked / "llama-harness-builds.json"
    changed = bench.run("import", str(unpacked), **away)
    assert changed.returncode == EXIT_CANNOT_TELL
    assert "it is not the file that the index lists" in changed.stderr
    import hashlib

    listed = json.loads(index.read_text())
    listed["sources"][sdist.name] = hashlib.sha256(source.read_bytes()).hexdigest()
    index.write_text(json.dumps(listed))
    forged = bench.run("import", str(unpacked), **away)
    assert forged.returncode == EXIT_CANNOT_TELL
    assert "which no build is pinned to; nothing was imported" in forged.stderr
    assert not (tmp_path / "away" / "packed").exists()


def test_what_export_cannot_pack(bench: Workbench, tmp_path: Path) -> None:
    bench.run("add", "mine", "--local", "/no/such/llama-server")
    target = str(tmp_path / "bundle.tar")
    local = bench.run("export", "-q", target, "mine", "--sources")
    assert "mine has no package as its source to be packed" in local.stderr
    python = bench.run("export", "-q", target, "mine", "--python", "3.12")
    assert python.returncode == EXIT_USAGE
    assert "give --wheels as well" in python.stderr
    assert not Path(target).exists()
    for text in ("3", "2.7", "3.10", "3.x", "python3.12"):
        with pytest.raises(UsageError, match="a version such as"):
            parse_python(text)
    assert parse_python("3.14") == "3.14"
