import hashlib
import io
import json
import socket
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.builds.catalogue import Build, ReleaseAsset
from harness.builds.download import Patience
from harness.builds.platforms import Platform
from harness.builds.sources.base import Delivery, Workspace
from harness.builds.sources.release import Asset, GitHub, ReleaseSource, choose_assets
from harness.errors import DigestMismatchError, SourceUnavailableError
from harness.terminal import Progress
from tests.unit.builds.builds_bench import Reply, Web, catalogue_text, needs_compiler, release
from tests.unit.builds.builds_bench import Workbench as Bench

LINUX = Platform(system="linux", machine="x64")
SERVER = b"#!/bin/sh\necho 'version: 5 (release)' >&2\n"


def tarball(*members: tuple[str, bytes | str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size, info.mode = len(content), 0o755
                archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zipball(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def deliver(
    web: Web, tmp_path: Path, patience: Patience
) -> Callable[..., tuple[Delivery, Workspace]]:
    def run(
        tag: str, platform: Platform = LINUX, token: str | None = None, **pinned: str
    ) -> tuple[Delivery, Workspace]:
        output = tmp_path / "output"
        output.mkdir(exist_ok=True)
        workspace = Workspace(
            output=output,
            scratch=tmp_path / "scratch",
            downloads=tmp_path / "downloads",
            compilers=tmp_path,
            packed=tmp_path / "packed",
            platform=platform,
            progress=Progress(),
            turn=lambda: (_ for _ in ()).throw(AssertionError("nothing to compile")),
            shared=lambda _: (_ for _ in ()).throw(AssertionError),
            cancelled=threading.Event(),
        )
        variant = pinned.pop("variant", "cpu")
        origin = ReleaseAsset(tag=tag, variant=variant, sha256=pinned)
        build = Build(id=tag, number=1, sources=(origin,))
        source = ReleaseSource(GitHub(api=web.url, token=token, patience=patience))
        return source.deliver(build, origin, workspace), workspace

    return run


Deliver = Callable[..., tuple[Delivery, Workspace]]


@pytest.mark.parametrize(
    ("tag", "name", "content"),
    [
        (
            "b5276",
            "llama-b5276-bin-ubuntu-x64.zip",
            zipball(("build/bin/llama-server", SERVER), ("build/bin/libggml.so", b"lib")),
        ),
        (
            "b7486",
            "llama-b7486-bin-ubuntu-x64.tar.gz",
            tarball(
                ("llama-b7486/llama-server", SERVER),
                ("llama-b7486/libggml.so.0", b"lib"),
                ("llama-b7486/libggml.so", "libggml.so.0"),
            ),
        ),
    ],
)
def test_linux_layouts(web: Web, deliver: Deliver, tag: str, name: str, content: bytes) -> None:
    release(web, tag, {name: content, f"llama-{tag}-bin-macos-arm64.zip": b"other"})
    delivery, workspace = deliver(tag)
    assert delivery.asset == name
    assert delivery.sha256 == hashlib.sha256(content).hexdigest()
    if sys.platform != "win32":
        assert delivery.binary.stat().st_mode & 0o111, "zips lose the exec bit"
    place = delivery.env["LD_LIBRARY_PATH"].replace("{directory}", str(workspace.output))
    assert (Path(place) / "libggml.so").read_bytes() == b"lib"
    assert not any(web.url in value for value in delivery.details.values())


def test_windows_is_flat_and_cuda_brings_its_runtime(web: Web, deliver: Deliver) -> None:
    files = {
        "llama-b6000-bin-win-cpu-x64.zip": zipball(("llama-server.exe", b"MZ")),
        "llama-b6000-bin-win-cuda-12.4-x64.zip": zipball(("llama-server.exe", b"MZcuda")),
        "cudart-llama-bin-win-cuda-12.4-x64.zip": zipball(("sub/cudart64_12.dll", b"dll")),
    }
    release(web, "b6000", files)
    windows = Platform(system="windows", machine="x64")
    delivery, _ = deliver("b6000", windows, variant="cuda-12.4")
    assert delivery.binary.name == "llama-server.exe"
    assert delivery.binary.read_bytes() == b"MZcuda"
    assert (delivery.binary.parent / "cudart64_12.dll").is_file()
    assert delivery.env == {}, "Windows looks beside the program by itself"


@pytest.mark.parametrize(
    ("system", "machine", "variant", "names", "wanted"),
    [
        ("linux", "x64", "cpu", ["llama-b1-bin-ubuntu-x64.zip"], 0),
        (
            "linux",
            "arm64",
            "cpu",
            ["llama-b1-bin-ubuntu-x64.tar.gz", "llama-b1-bin-ubuntu-arm64.tar.gz"],
            1,
        ),
        (
            "linux",
            "x64",
            "vulkan",
            ["llama-b1-bin-ubuntu-x64.zip", "llama-b1-bin-ubuntu-vulkan-x64.zip"],
            1,
        ),
        (
            "macos",
            "arm64",
            "cpu",
            ["llama-b1-bin-macos-x64.zip", "llama-b1-bin-macos-arm64.tar.gz"],
            1,
        ),
        ("macos", "x64", "cpu", ["llama-b1-bin-macos-x64.zip"], 0),
        (
            "windows",
            "x64",
            "cpu",
            ["llama-b1-bin-win-avx512-x64.zip", "llama-b1-bin-win-avx2-x64.zip"],
            1,
        ),
        (
            "windows",
            "x64",
            "cpu",
            ["llama-b1-bin-win-avx2-x64.zip", "llama-b1-bin-win-cpu-x64.zip"],
            1,
        ),
        ("windows", "x64", "cuda-12.4", ["llama-b1-bin-win-cuda-12.4-x64.zip"], 0),
        ("windows", "x64", "cuda-12.4", ["llama-b1-bin-win-cuda12.4-x64.zip"], 0),
        ("windows", "x64", "cuda-12.4", ["llama-b1-bin-win-cuda-cu12.4-x64.zip"], 0),
        (
            "windows",
            "x64",
            "cuda",
            ["llama-b1-bin-win-cpu-x64.zip", "llama-b1-bin-win-cuda-13.1-x64.zip"],
            1,
        ),
    ],
)
def test_asset_names_of_every_era(
    system: str, machine: str, variant: str, names: list[str], wanted: int
) -> None:
    assets = tuple(Asset(name=name, url="", sha256="") for name in names)
    platform = Platform(system=system, machine=machine)  # type: ignore[arg-type]
    chosen = choose_assets(assets, ReleaseAsset(tag="b1", variant=variant), platform)
    assert chosen[0].name == names[wanted]


def test_no_linux_cuda_asset_is_a_clear_reason() -> None:
    assets = (Asset(name="llama-b1-bin-ubuntu-x64.zip", url="", sha256=""),)
    with pytest.raises(
        SourceUnavailableError, match=r"no cuda-12.4 build for linux-x64; it has llama"
    ):
        choose_assets(assets, ReleaseAsset(tag="b1", variant="cuda-12.4"), LINUX)


def test_no_such_release(deliver: Deliver) -> None:
    with pytest.raises(SourceUnavailableError, match="no release b9999"):
        deliver("b9999")


@pytest.mark.parametrize("tag", ["b9110", "b9165", "b9172"])
def test_known_bad_releases_are_refused_by_name(web: Web, deliver: Deliver, tag: str) -> None:
    with pytest.raises(SourceUnavailableError, match=f"release {tag} is known to be bad"):
        deliver(tag)
    assert web.requests == []


def test_the_rate_limit_is_explained(web: Web, deliver: Deliver) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 600)}
    web.serve("/repos/ggml-org/llama.cpp/releases/tags/b1", Reply(status=403, headers=headers))
    with pytest.raises(
        SourceUnavailableError, match="rate limit is used up: try again in about 10 min"
    ):
        deliver("b1")


def test_the_token_goes_to_the_api_alone(web: Web, deliver: Deliver) -> None:
    release(web, "b1", {"llama-b1-bin-ubuntu-x64.zip": zipball(("llama-server", SERVER))})
    deliver("b1", token="secret")
    api, download = web.requests
    assert api.headers["authorization"] == "Bearer secret"
    assert "authorization" not in download.headers


def test_a_flaky_api_is_asked_again(web: Web, deliver: Deliver) -> None:
    name = "llama-b1-bin-ubuntu-x64.zip"
    release(web, "b1", {name: zipball(("llama-server", SERVER))})
    path = "/repos/ggml-org/llama.cpp/releases/tags/b1"
    web.replies[path].insert(0, Reply(status=502))
    assert deliver("b1")[0].asset == name
    assert web.paths().count(path) == 2


def test_the_digest_of_the_api_is_held_against_the_file(web: Web, deliver: Deliver) -> None:
    name = "llama-b1-bin-ubuntu-x64.zip"
    release(web, "b1", {name: zipball(("llama-server", SERVER))})
    web.serve(f"/download/b1/{name}", zipball(("llama-server", b"tampered")))
    with pytest.raises(DigestMismatchError, match=name):
        deliver("b1")


def test_a_pin_is_held_against_the_api(web: Web, deliver: Deliver) -> None:
    name = "llama-b1-bin-ubuntu-x64.zip"
    release(web, "b1", {name: zipball(("llama-server", SERVER))})
    with pytest.raises(DigestMismatchError, match="pinned is 0000"):
        deliver("b1", **{name: "0" * 64})


def test_an_old_asset_without_a_digest_says_so(web: Web, deliver: Deliver) -> None:
    name = "llama-b1-bin-ubuntu-x64.zip"
    release(web, "b1", {name: zipball(("llama-server", SERVER))}, digests=False)
    delivery, _ = deliver("b1")
    assert delivery.details["digest"] == "recorded, nobody stated one"
    assert len(delivery.sha256) == 64


def test_a_truncated_body_and_a_redirect(web: Web, deliver: Deliver) -> None:
    name = "llama-b1-bin-ubuntu-x64.tar.gz"
    content = tarball(("llama-b1/llama-server", SERVER), ("llama-b1/big", bytes(300_000)))
    release(web, "b1", {name: content})
    there = web.serve("/storage/blob", Reply(content, cut=len(content) // 2), Reply(content))
    web.serve(f"/download/b1/{name}", Reply(status=302, headers={"Location": there}))
    assert deliver("b1")[0].binary.read_bytes() == SERVER
    assert web.paths().count("/storage/blob") == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("llama-b1-bin-ubuntu-x64.tar.gz", tarball(("llama-b1/../../evil", b"x"))),
        ("llama-b1-bin-ubuntu-x64.tar.gz", tarball(("llama-b1/lib.so", "/etc/passwd"))),
        ("llama-b1-bin-ubuntu-x64.zip", zipball(("../evil", b"x"))),
    ],
)
def test_a_hostile_archive_is_refused(
    web: Web, deliver: Deliver, tmp_path: Path, name: str, content: bytes
) -> None:
    release(web, "b1", {name: content})
    with pytest.raises(SourceUnavailableError, match="refused"):
        deliver("b1")
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_without_a_server(web: Web, deliver: Deliver) -> None:
    release(web, "b1", {"llama-b1-bin-ubuntu-x64.zip": zipball(("build/bin/main", b"x"))})
    with pytest.raises(SourceUnavailableError, match="holds no llama-server"):
        deliver("b1")


def test_tags_are_paged_and_only_those_with_files(web: Web, patience: Patience) -> None:
    def page(first: int, count: int) -> bytes:
        rows = [
            {"tag_name": f"b{n}", "assets": [] if n % 10 == 0 else [{"name": "x"}]}
            for n in range(first, first + count)
        ]
        return json.dumps(rows).encode()

    path = "/repos/ggml-org/llama.cpp/releases?per_page=100&page="
    web.serve(f"{path}1", page(101, 100))
    web.serve(f"{path}2", page(201, 9))
    tags = list(GitHub(api=web.url, patience=patience).tags("ggml-org/llama.cpp"))
    assert len(tags) == 99
    assert "b110" not in tags


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_whoever_does_not_answer_costs_little_and_is_asked_once(silent: str) -> None:
    github = GitHub(api=silent)
    start = time.monotonic()
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(lambda _: github.unreachable(0.5), range(8)))
    assert len(set(answers)) == 1
    assert answers[0]
    assert time.monotonic() - start < 5


def test_where_nobody_listens_it_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert GitHub(api=f"http://127.0.0.1:{port}").unreachable()


def test_whoever_answers_is_reached(web: Web) -> None:
    assert GitHub(api=web.url).unreachable() == ""


@needs_compiler
def test_a_release_gives_way_to_another_source_where_nobody_answers(
    bench: Bench, silent: str
) -> None:
    sdist = bench.add("t1")
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    text = catalogue_text("t1", sdist, digest)
    first = '[[sources]]\nkind = "release"\ntag = "t1"\n\n[[sources]]'
    bench.catalogue("t1", text.replace("[[sources]]", first))
    result = bench.run("get", "t1", GITHUB_API_URL=silent)
    assert result.returncode == 0, result.stderr
    assert "compile t1" in result.stderr
    told = [line for line in result.stderr.splitlines() if silent in line]
    assert len(told) == 1, "one line says why it is compiled"
