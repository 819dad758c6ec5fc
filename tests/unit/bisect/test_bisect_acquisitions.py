import time
from hashlib import sha256
from pathlib import Path

import pytest

from harness.bisect.lookahead import Wanted
from harness.bisect.run import _lookahead
from harness.builds import Build, Catalogue, Store
from harness.builds.catalogue import Origin, PackageFile
from harness.builds.sources.base import Delivery, Workspace
from harness.errors import BuildUnavailableError, SourceUnavailableError
from harness.terminal import Progress


class Package:
    """A source whose archives take a moment, and never compile."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        assert isinstance(origin, PackageFile)
        there = (workspace.downloads / origin.file).is_file()
        self.events.append(f"{build.id} compiled, archive there: {there}")
        raise SourceUnavailableError("it does not compile")

    def fetch(self, origin: PackageFile, workspace: Workspace) -> Path:
        time.sleep(0.3)
        file = workspace.downloads / origin.file
        file.write_bytes(b"sources")
        self.events.append(f"{origin.file} fetched")
        return file


def test_what_may_be_compiled_next_is_downloaded_meanwhile_and_removed_if_unused(
    tmp_path: Path,
) -> None:
    builds = tuple(
        Build(
            id=f"b{number}",
            number=number,
            sources=(
                PackageFile(
                    project="p", version="1", file=f"b{number}.tar.gz", sha256="0" * 64, tree="t"
                ),
            ),
        )
        for number in (1, 2, 3)
    )
    package = Package()
    store = Store(tmp_path, qualifier=lambda *_: "", sources=lambda _: package)
    one, two, three = (Wanted(axis="build", id=build.id) for build in builds)
    with _lookahead(Catalogue(builds=builds), store, Progress(), enabled=True) as ahead:
        with pytest.raises(BuildUnavailableError):
            ahead.get(one, [two, three])
        with pytest.raises(BuildUnavailableError):
            ahead.get(two)
    assert "b1 compiled, archive there: False" in package.events
    assert "b2 compiled, archive there: True" in package.events, "it waits for the download"
    assert list((tmp_path / "downloads").iterdir()) == []


def test_what_a_bundle_brought_is_not_downloaded(tmp_path: Path) -> None:
    archive = b"from a bundle"
    origin = PackageFile(
        project="p", version="1", file="b1.tar.gz", sha256=sha256(archive).hexdigest(), tree="t"
    )
    package = Package()
    store = Store(tmp_path, qualifier=lambda *_: "", sources=lambda _: package)
    store.packed.mkdir(parents=True)
    build = Build(id="b1", number=1, sources=(origin,))
    assert store.fetch(build) is not None
    (store.packed / origin.file).write_bytes(archive)
    assert store.fetch(build) is None
    assert package.events == ["b1.tar.gz fetched"]
    assert (store.packed / origin.file).read_bytes() == archive
