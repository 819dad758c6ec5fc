"""What a stored build consists of, as it lies there now and not as its manifest says."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec
import pytest

from harness.builds import AcquiredBuild, Build
from harness.builds.content import content_of, digest_of_file
from harness.builds.digest import sha256_of
from harness.builds.manifest import Manifest
from harness.config.memory import Memory

LONG_AGO = 1_600_000_000


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with closing(Memory(tmp_path / "kept.sqlite")) as opened:
        yield opened


@pytest.fixture
def build(tmp_path: Path) -> AcquiredBuild:
    directory = tmp_path / "b1"
    directory.mkdir()
    binary = directory / "llama-server"
    binary.write_bytes(b"a program")
    manifest = Manifest(
        build="b1",
        number=1,
        source="package",
        asset="a.tar.gz",
        sha256="",
        binary=binary.name,
        env={},
        details={},
        reported_version="",
        seconds=1,
        acquired=datetime.now(UTC),
        files={binary.name: sha256_of(binary)},
    )
    return AcquiredBuild(build=cast("Build", None), binary=binary, env={}, manifest=manifest)


def test_another_program_under_the_same_id_is_another_content(
    build: AcquiredBuild, memory: Memory
) -> None:
    directory = build.binary.parent
    before = content_of(build, directory, memory)
    assert before is not None
    assert content_of(build, directory, memory) == before
    build.binary.write_bytes(b"b program")
    assert content_of(build, directory, memory) != before
    build.binary.write_bytes(b"a program")
    assert content_of(build, directory, memory) == before


def test_a_library_beside_it_counts(build: AcquiredBuild, memory: Memory) -> None:
    directory = build.binary.parent
    before = content_of(build, directory, memory)
    (directory / "lib").mkdir()
    (directory / "lib" / "libggml.so").write_bytes(b"1")
    with_library = content_of(build, directory, memory)
    (directory / "lib" / "libggml.so").write_bytes(b"2")
    assert len({before, with_library, content_of(build, directory, memory)}) == 3


def test_its_record_of_trials_does_not_count(build: AcquiredBuild, memory: Memory) -> None:
    directory = build.binary.parent
    before = content_of(build, directory, memory)
    (directory / "manifest.json").write_text("{}")
    assert content_of(build, directory, memory) == before


def test_variables_that_it_needs_count(build: AcquiredBuild, memory: Memory) -> None:
    directory = build.binary.parent
    other = msgspec.structs.replace(build.manifest, env={"LD_LIBRARY_PATH": "{directory}"})
    changed = replace(build, manifest=other)
    assert content_of(build, directory, memory) != content_of(changed, directory, memory)


@pytest.mark.parametrize("source", ["local", "image"])
def test_what_runs_elsewhere_has_no_content(
    build: AcquiredBuild, memory: Memory, source: str
) -> None:
    other = msgspec.structs.replace(build.manifest, source=source)
    elsewhere = replace(build, manifest=other)
    assert content_of(elsewhere, build.binary.parent, memory) is None


@pytest.mark.skipif(sys.platform == "win32", reason="a file there keeps the time of its making")
def test_a_change_with_size_and_time_kept_is_noticed(tmp_path: Path, memory: Memory) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    os.utime(file, (LONG_AGO, LONG_AGO))
    first = digest_of_file(file, memory)
    file.write_bytes(b"two")
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert digest_of_file(file, memory) != first


def test_an_untouched_file_is_read_once(
    tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    # Where it could be changed again within the grain of its time stamps, it is read again.
    first = digest_of_file(file, memory)
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr("harness.builds.content.sha256_of", counted)
    digest_of_file(file, memory)
    assert len(read) == 1
    monkeypatch.setattr("harness.builds.content._SETTLED_S", -60.0)
    assert [digest_of_file(file, memory) for _ in range(3)] == [first] * 3
    assert len(read) == 2
