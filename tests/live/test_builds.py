"""The catalogue's builds, acquired by the harness's own means and held against what it expects."""

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from harness.builds import AcquiredBuild, Build, load_catalogue
from harness.builds.catalogue import pinned_directory
from harness.builds.upkeep import verify
from harness.cells.qualification import open_store
from harness.flags.capabilities import probe

REAL = [build for build in load_catalogue(pinned_directory()).builds if not build.emulated]

pytestmark = pytest.mark.live


@pytest.fixture(params=REAL, ids=[build.id for build in REAL])
def acquired(request: pytest.FixtureRequest) -> AcquiredBuild:
    build: Build = request.param
    store = open_store()
    if build.fork and store.find(build) is None:
        pytest.skip(f"{build.id} is not in the store; no other test of this run needs it compiled")
    return store.acquire(build)


def test_help_shows_what_the_catalogue_expects(acquired: AcquiredBuild) -> None:
    expected = acquired.build.expected
    assert expected is not None
    capabilities = probe(acquired.binary, {**os.environ, **acquired.env})
    found = {name: getattr(capabilities, name) for name in msgspec.structs.asdict(expected)}
    assert found == msgspec.structs.asdict(expected)


def test_the_manifest_agrees_with_the_store(acquired: AcquiredBuild) -> None:
    store = open_store()
    manifest = json.loads((store.directory(acquired.build.id) / "manifest.json").read_text())
    pins = {
        getattr(origin, "sha256", "")
        for origin in acquired.build.sources
        if origin.kind == "package"
    }
    assert manifest["sha256"] in pins
    assert "version" in manifest["reported_version"]
    assert verify(store, acquired.build.id) == ()


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_a_compiled_server_is_one_stripped_file(acquired: AcquiredBuild) -> None:
    if acquired.manifest.details.get("recipe") != "unity":
        pytest.skip("not compiled here by the harness's recipe")
    directory = acquired.binary.parent
    names = {path.name for path in directory.iterdir()}
    assert names - {"headers"} == {"llama-server", "manifest.json"}
    content = Path(acquired.binary).read_bytes()
    assert b".symtab\0" not in content, "stripped"
    assert b"libllama.so" not in content, "static"
    assert len(content) < 60e6
