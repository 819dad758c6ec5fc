"""Releases: real builds in each era's archive, from a server with the API's shape and bad days."""

import hashlib
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.builds import AcquiredBuild, Build, Catalogue, Store
from harness.builds.catalogue import ReleaseAsset
from harness.builds.download import Patience
from harness.builds.platforms import this_platform
from harness.builds.sources.base import is_shared_library
from harness.builds.sources.release import GitHub, ReleaseSource
from harness.builds.upkeep import verify
from harness.cells.qualification import open_store
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.errors import BuildUnavailableError, DigestMismatchError, HarnessError
from harness.model import Cell, LoadRequest, Verdict
from tests.live.matrix_runs import ROOT, run_matrix, variables
from tests.live.release_archives import (
    entry,
    tar_in_build_bin,
    tar_in_own_folder,
    with_entries,
    zip_in_build_bin,
)
from tests.live.shared_library import with_library
from tests.unit.builds.builds_bench import API, Reply, Web, release, serving

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "linux", reason="packs this host's builds for Linux"),
]

MACHINE = this_platform().machine
STATIC = "b9246"

REQUESTS = (
    LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5),
    LoadRequest(model="tiny-mtp", mode="ngram"),
    LoadRequest(model="tiny-llama", mode="draft"),
    LoadRequest(model="tiny-llama", mode="off"),
)


@dataclass(frozen=True, kw_only=True)
class Era:
    """How releases were packed from some build on.

    Attributes:
        tag: One of the first such releases.
        end: Of the archives' names.
        pack: Packs a build's directory.
        digests: Whether the API tells digests.
    """

    tag: str
    end: str
    pack: Callable[[Path], bytes]
    digests: bool

    @property
    def asset(self) -> str:
        return f"llama-{self.tag}-bin-ubuntu-{MACHINE}.{self.end}"


ERAS = (
    Era(tag="b5276", end="zip", pack=zip_in_build_bin, digests=False),
    Era(tag="b7224", end="zip", pack=zip_in_build_bin, digests=True),
    Era(tag="b7224", end="tar.gz", pack=tar_in_build_bin, digests=True),
    Era(tag="b7486", end="tar.gz", pack=tar_in_own_folder, digests=True),
)
NEWEST = ERAS[-1]
PATH = f"/download/{NEWEST.tag}/{NEWEST.asset}"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as served:
        monkeypatch.setenv("GITHUB_API_URL", served.url)
        yield served


def served_archive(web: Web, era: Era, acquired: AcquiredBuild) -> bytes:
    """Serve a release, packed from a build, among assets for others; return the archive."""
    packed = era.pack(acquired.binary.parent)
    others = {
        f"llama-{era.tag}-bin-{each}.zip": b"other" for each in ("macos-arm64", "win-cpu-x64")
    }
    release(web, era.tag, {**others, era.asset: packed}, digests=era.digests)
    return packed


def released(acquired: AcquiredBuild, era: Era, **pins: str) -> Build:
    """The build as the catalogue has one that comes from a release."""
    origin = ReleaseAsset(tag=era.tag, sha256=pins)
    return Build(id=f"release-{era.tag}", number=acquired.build.number, sources=(origin,))


def impatient(root: Path) -> Store:
    """A store whose downloads are tried again at once."""
    patience = Patience(timeout_s=10, sleep=lambda _: None)
    return open_store(root, sources=lambda _: ReleaseSource(GitHub(patience=patience)))


def assert_cells_pass(
    build: Build, like: AcquiredBuild, store: Store, workbench: Workbench, *requests: LoadRequest
) -> None:
    with open_workbench(catalogue=Catalogue(builds=(build,)), store=store) as opened:
        assert opened.build(build.id).manifest.source == "release"
        for request in requests:
            cell = Cell(build=build.id, subject="reference", environment="cpu", request=request)
            result = run_cell(cell, opened)
            directly = run_cell(replace(cell, build=like.build.id), workbench)
            assert result.status is Verdict.PASS, result
            assert result.effective == directly.effective
            assert result.witnessed_by == directly.witnessed_by


@pytest.fixture(scope="session", params=["one program", "with a library"])
def origin(
    workbench: Workbench, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AcquiredBuild:
    """A build as it was acquired, and the same with a library of its own."""
    real = workbench.build(STATIC)
    if request.param == "one program":
        return real
    return replace(real, binary=with_library(real.binary, tmp_path_factory.mktemp("shared")))


@pytest.mark.parametrize("era", ERAS, ids=[f"{each.tag}-{each.end}" for each in ERAS])
def test_a_release_of_each_era_runs_cells(
    web: Web, workbench: Workbench, tmp_path: Path, era: Era, origin: AcquiredBuild
) -> None:
    real = origin
    packed = served_archive(web, era, real)
    build, store = released(real, era), open_store(tmp_path)
    acquired = store.acquire(build)
    assert acquired.manifest.asset == era.asset
    assert acquired.manifest.sha256 == hashlib.sha256(packed).hexdigest()
    told = "checked" if era.digests else "recorded, nobody stated one"
    assert acquired.manifest.details["digest"] == told
    assert acquired.manifest.reported_version == real.manifest.reported_version
    beside = map(is_shared_library, real.binary.parent.iterdir())
    assert ("LD_LIBRARY_PATH" in acquired.env) == any(beside)
    assert verify(store, build.id) == ()
    assert_cells_pass(build, real, store, workbench, *REQUESTS)
    assert web.paths() == [f"{API}{era.tag}", f"/download/{era.tag}/{era.asset}"]


def test_from_add_to_a_green_row(web: Web, workbench: Workbench, tmp_path: Path) -> None:
    """As a user does it, from a server that first stumbles and then sends one on."""
    real = workbench.build(STATIC)
    era = replace(NEWEST, tag="b9246")
    packed = served_archive(web, era, real)
    there = web.serve("/storage/blob", Reply(packed, cut=len(packed) // 2), Reply(packed))
    moved = Reply(status=302, headers={"Location": there})
    web.serve(f"/download/{era.tag}/{era.asset}", Reply(status=503), moved)
    web.replies[f"{API}{era.tag}"].insert(0, Reply(status=502))
    env = {"LLAMA_HARNESS_CACHE": str(tmp_path / "cache")}
    for words in (
        ["add", "released", "--release", era.tag, "--number", "9246"],
        ["get", "released"],
    ):
        subprocess.run(
            [sys.executable, "-m", "harness", "builds", *words],
            env=variables(env),
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    pinned = (tmp_path / "cache/catalogue/released.toml").read_text(encoding="utf-8")
    assert hashlib.sha256(packed).hexdigest() in pinned
    assert web.paths().count("/storage/blob") == 2, "it was resumed"
    run = run_matrix(tmp_path, ["--build", "released", "--env", "cpu", "--draft-max", "5"], env)
    assert run.status == 0, run.stdout
    assert {each.status for each in run.results} <= {Verdict.PASS, Verdict.DEGRADED}
    assert len(run.results) > 10


@pytest.fixture
def refused(web: Web, workbench: Workbench, tmp_path: Path) -> "Refused":
    return Refused(web=web, workbench=workbench, root=tmp_path / "cache")


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A release with something wrong: what is said of it, and that it does no lasting harm."""

    web: Web
    workbench: Workbench
    root: Path

    @property
    def real(self) -> AcquiredBuild:
        return self.workbench.build(STATIC)

    def by(self, error: type[HarnessError], match: str, **pins: str) -> None:
        """Acquire it in vain, and again when all is well: then its cells run."""
        build = released(self.real, NEWEST, **pins)
        store = impatient(self.root)
        with pytest.raises(error, match=match) as caught:
            store.acquire(build)
        (line,) = str(caught.value).splitlines()
        assert build.id in line or NEWEST.asset in line
        assert store.find(build) is None
        assert not list((self.root / "tmp").iterdir()), "no scratch stays"
        served_archive(self.web, NEWEST, self.real)
        build = released(self.real, NEWEST)
        assert_cells_pass(build, self.real, store, self.workbench, REQUESTS[0])


def test_no_such_release(refused: Refused) -> None:
    refused.by(BuildUnavailableError, f"ggml-org/llama.cpp has no release {NEWEST.tag}")


def test_a_file_that_is_gone(refused: Refused) -> None:
    served_archive(refused.web, NEWEST, refused.real)
    refused.web.serve(PATH, Reply(status=404))
    refused.by(BuildUnavailableError, "HTTP status 404")


def test_no_asset_for_this_host(refused: Refused) -> None:
    release(refused.web, NEWEST.tag, {f"llama-{NEWEST.tag}-bin-macos-arm64.tar.gz": b"other"})
    refused.by(BuildUnavailableError, f"has no cpu build for linux-{MACHINE}; it has llama-")


@pytest.mark.parametrize("status", [403, 429])
def test_the_rate_limit(refused: Refused, status: int) -> None:
    reset = str(int(time.time()) + 600)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    refused.web.serve(f"{API}{NEWEST.tag}", Reply(status=status, headers=headers))
    refused.by(BuildUnavailableError, "rate limit is used up: try again in about 10 min, or set")


def test_a_server_that_stays_down(refused: Refused) -> None:
    served_archive(refused.web, NEWEST, refused.real)
    refused.web.serve(PATH, Reply(status=503))
    refused.by(BuildUnavailableError, "HTTP status 503")
    assert refused.web.paths().count(PATH) > 3, "it was asked again"


def test_a_body_that_stays_truncated_is_resumed_by_the_next_call(refused: Refused) -> None:
    packed = served_archive(refused.web, NEWEST, refused.real)
    refused.web.serve(PATH, Reply(packed, cut=1_000_000, ranges=False))
    refused.by(BuildUnavailableError, "only a part arrived in 5 tries .*resumes it")
    start = refused.web.requests[-1].headers["range"]
    assert start in {f"bytes={count << 18}-" for count in (1, 2, 3)}


def test_another_file_than_the_api_tells_of(refused: Refused) -> None:
    packed = served_archive(refused.web, NEWEST, refused.real)
    refused.web.serve(PATH, packed[:-1] + bytes([packed[-1] ^ 1]))
    refused.by(DigestMismatchError, f"{NEWEST.asset}: its SHA-256 is .* nothing was kept")


def test_another_file_than_the_pinned_one(refused: Refused) -> None:
    served_archive(refused.web, replace(NEWEST, digests=False), refused.real)
    refused.by(DigestMismatchError, "pinned is 0000", **{NEWEST.asset: "0" * 64})


@pytest.mark.parametrize(
    "evil",
    [
        [entry("llama-b7486/../../evil")],
        [entry("llama-b7486/liba.so", tarfile.SYMTYPE, "../../../evil")],
        [entry("llama-b7486/liba.so", tarfile.SYMTYPE, "/etc/passwd")],
        [entry("llama-b7486/liba.so", tarfile.LNKTYPE, "../evil")],
        [entry("llama-b7486/pipe", tarfile.FIFOTYPE)],
        [entry("llama-b7486/disk", tarfile.BLKTYPE)],
    ],
    ids=["dots", "link", "absolute-link", "hard-link", "pipe", "device"],
)
def test_a_hostile_archive(refused: Refused, evil: list[tarfile.TarInfo]) -> None:
    """A real build, with one entry more."""
    packed = with_entries(tar_in_own_folder(refused.real.binary.parent), *evil)
    release(refused.web, NEWEST.tag, {NEWEST.asset: packed})
    refused.by(BuildUnavailableError, "refused, ")
    assert not list(refused.root.parent.rglob("*evil*"))
