"""The compiler that is fetched: when it is taken, that it comes once and whole, and what else."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import harness
from harness.builds import fetched_compiler
from harness.builds.fetched_compiler import FetchedCompiler, package_for, planned_compiler
from harness.builds.hosts import HostFingerprint, host_fingerprint
from harness.builds.pip_settings import PipSettings
from harness.builds.platforms import Platform, this_platform
from harness.builds.recipe import first_error
from harness.builds.sources.base import Turn, Workspace
from harness.builds.sources.index import PackageIndexes
from harness.builds.store import Store
from harness.builds.tables import read_table
from harness.builds.toolchain import Toolchain, find_toolchain
from harness.processes.running import CancelledError
from harness.terminal import Progress
from tests.unit.builds.builds_bench import needs_compiler
from tests.unit.builds.test_recipe import make, version

FILE = "ziglang-9.9-py3-none-any.whl"
GLIBC = "glibc 2.36"
LINUX = Platform(system="linux", machine="x64")

# The stand-in for the driver: it is called as `zig clang --driver-mode=g++ --target=T
# -resource-dir D ...`, notes that it was, and has the host's own compiler do the work.
ZIG = """#!/bin/sh
here=${0%/*}
echo "$@" >> "$here/calls"
[ "$1" = clang ] && [ "$4" = -resource-dir ] && [ -f "$5/include/stddef.h" ] || exit 9
mode=$2
shift 5
for word; do
  shift
  # ccache adds it for a clang.
  [ "$word" = -fcolor-diagnostics ] || set -- "$@" "$word"
done
case $mode in *g++) exec c++ "$@" ;; *) exec cc "$@" ;; esac
"""

MAKES_USELESS = """#!/bin/sh
for out; do :; done
printf '#!/bin/sh\\nexit 1\\n' > "$out"
chmod +x "$out"
"""

needs_posix = pytest.mark.skipif(sys.platform != "linux", reason="it is fetched on Linux alone")


def write_wheel(directory: Path, zig: str = ZIG) -> str:
    """Pack a wheel with the stand-in; return its digest."""
    directory.mkdir(exist_ok=True)
    with zipfile.ZipFile(directory / FILE, "w") as wheel:
        info = zipfile.ZipInfo("ziglang/zig")
        info.external_attr = 0o755 << 16
        wheel.writestr(info, zig)
        for name in ("lib/include/stddef.h", "lib/std/std.zig", "lib/includes.txt"):
            wheel.writestr(f"ziglang/{name}", "")
        wheel.writestr("ziglang-9.9.dist-info/RECORD", "")
    return hashlib.sha256((directory / FILE).read_bytes()).hexdigest()


def table(sha256: str) -> dict[str, Any]:
    pinned = {"file": FILE, "sha256": sha256, "target": "x86_64-linux-gnu"}
    return {"project": "ziglang", "version": "9.9", str(this_platform()): pinned}


class Host:
    """A store, a directory of packages, and the host's toolchain."""

    def __init__(self, directory: Path) -> None:
        self.packages = directory / "packages"
        self.store = Store(directory / "store", qualifier=lambda *_: "")
        self.toolchain = replace(find_toolchain({"PATH": os.environ["PATH"]}), is_gcc=True)
        self.cancelled = threading.Event()
        self.output = directory / "output"
        self.notes = Notes()
        self.options: dict[str, str] = {}

    @property
    def place(self) -> Path:
        return self.store.compilers / "ziglang-9.9-x86_64-linux-gnu"

    def compiler(self) -> FetchedCompiler:
        settings = PipSettings(indexes=(), find_links=(str(self.packages),))
        return FetchedCompiler(PackageIndexes(settings))

    def workspace(self) -> Workspace:
        self.output.mkdir(exist_ok=True)

        def shared(name: str) -> AbstractContextManager[Path]:
            return self.store.workspace(name, cancelled=self.cancelled)

        def no_turn() -> Turn:
            raise AssertionError

        return Workspace(
            output=self.output,
            scratch=self.output,
            downloads=self.store.root / "downloads",
            compilers=self.store.compilers,
            packed=self.store.packed,
            platform=this_platform(),
            progress=self.notes,
            turn=no_turn,
            shared=shared,
            cancelled=self.cancelled,
        )

    def take(self, compiler: FetchedCompiler | None = None) -> Toolchain:
        compiler = compiler or self.compiler()
        return compiler.in_place_of(self.toolchain, self.workspace(), options=self.options)

    def left(self) -> list[str]:
        """What lies in the store besides the compiler and locks."""
        files = (path.relative_to(self.store.root) for path in self.store.root.rglob("*"))
        return [str(file) for file in files if len(file.parts) > 1 and file.parts[0] in LEFT]


LEFT = ("tmp", "downloads")


class Notes(Progress):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with a wheel for it, whatever its C library."""
    made = Host(tmp_path)
    sha256 = write_wheel(made.packages)
    monkeypatch.setattr(fetched_compiler, "read_table", lambda _: table(sha256))
    monkeypatch.setattr(fetched_compiler, "host_fingerprint", lambda: on(GLIBC))
    return made


def on(libc: str) -> HostFingerprint:
    return msgspec.structs.replace(host_fingerprint(), libc=libc)


def gcc(**changes: Any) -> Toolchain:
    program = Path("program")
    found = Toolchain(
        cmake=program,
        ninja=program,
        compiler="c++",
        c_compiler="cc",
        compiler_version="c++ 12.2.0",
        is_gcc=True,
        cache=None,
        strip=None,
    )
    return replace(found, **changes)


@pytest.mark.parametrize(
    ("platform", "host", "libc", "taken"),
    [
        (LINUX, gcc(), GLIBC, True),
        (Platform(system="linux", machine="arm64"), gcc(), GLIBC, True),
        (Platform(system="linux", machine="ppc64le"), gcc(), GLIBC, False),
        (Platform(system="macos", machine="arm64"), gcc(), "", False),
        (Platform(system="windows", machine="x64"), gcc(), "", False),
        (LINUX, gcc(named=True), GLIBC, False),
        (LINUX, gcc(is_gcc=False), GLIBC, False),
        (LINUX, gcc(), "musl 1.2.5", False),
        (LINUX, gcc(), "", False),
    ],
)
def test_where_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, platform: Platform, host: Toolchain, libc: str, taken: bool
) -> None:
    monkeypatch.setattr(fetched_compiler, "host_fingerprint", lambda: on(libc))
    package = package_for(platform, host)
    assert (package is not None) is taken
    if package:
        machine = {"x64": "x86_64", "arm64": "aarch64"}[platform.machine]
        assert package.target == f"{machine}-linux-gnu"
        assert machine in package.file
        assert package.version in package.file


def test_the_pins_are_whole() -> None:
    pinned = read_table("compiler.toml")
    wheels = [value for value in pinned.values() if isinstance(value, dict)]
    assert len(wheels) == 2
    for wheel in wheels:
        assert wheel["file"].startswith(f"{pinned['project']}-{pinned['version']}-py3-none-")
        assert len(bytes.fromhex(wheel["sha256"])) == 32


@pytest.mark.parametrize("variable", ["CC", "CXX"])
def test_a_compiler_that_the_user_names_is_named(variable: str) -> None:
    own = shutil.which("c++") or pytest.skip("no c++")
    path = {"PATH": os.environ["PATH"]}
    assert find_toolchain({**path, variable: own}).named
    assert not find_toolchain({**path, variable: ""}).named


@needs_posix
@needs_compiler
def test_it_comes_once_and_compiles(host: Host, tmp_path: Path) -> None:
    taken = host.take()
    assert taken.compiler == str(host.place / "clang++")
    assert taken.c_compiler == str(host.place / "clang")
    assert taken.compiler_version.endswith("(ziglang 9.9)")
    assert not taken.is_gcc
    assert not taken.refused
    kept = sorted(path.name for path in host.place.rglob("*") if path.is_file())
    assert kept[:3] == ["calls", "clang", "clang++"]
    assert [name for name in kept if not name.startswith("works-")][3:] == ["stddef.h", "zig"]
    assert host.left() == []

    shutil.rmtree(host.packages)
    assert host.take() == taken, "nothing is fetched again"
    calls = (host.place / "calls").read_text().splitlines()
    assert len([call for call in calls if "trial.cpp" in call]) == 1, "nor tried again"

    compiled = make(tmp_path / "tiny", replace(taken, cache=None))
    assert version(compiled.binary) == "version: 42 (tiny)"
    assert compiled.details["compiler"] == taken.compiler_version
    assert "--driver-mode=gcc" in (host.place / "calls").read_text()


@needs_compiler
def test_options_of_a_source_are_for_the_hosts_own(host: Host) -> None:
    host.options = {"GGML_OPENMP": "ON"}
    assert host.take() == host.toolchain
    assert not host.store.root.exists()


@needs_posix
@needs_compiler
def test_another_gcc_or_c_library_has_it_tried_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.take()
    host.toolchain = replace(host.toolchain, compiler_version="c++ 99")
    host.take()
    monkeypatch.setattr(fetched_compiler, "host_fingerprint", lambda: on("glibc 9.9"))
    host.take()
    assert len(list(host.place.glob("works-*"))) == 3


@needs_posix
@needs_compiler
def test_no_wheel_and_a_wrong_digest_leave_the_host_its_own(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetched_compiler, "read_table", lambda _: table("0" * 64))
    compiler = host.compiler()
    taken = host.take(compiler)
    assert "SHA-256" in taken.refused
    assert taken == replace(host.toolchain, refused=taken.refused)
    assert not host.place.exists()
    assert host.left() == []

    write_wheel(host.packages)
    assert host.take(compiler).refused == taken.refused, "one process asks once"
    assert len(host.notes.told) == 1
    shutil.rmtree(host.packages)
    assert "ziglang" in host.take().refused


@needs_posix
@needs_compiler
@pytest.mark.parametrize(
    ("zig", "reason"),
    [
        ("#!/bin/sh\necho 'regex:1: error: no such header' >&2\nexit 1\n", "no such header"),
        (MAKES_USELESS, "does not run on this host"),
        ("#!/nowhere/sh\n", "does not work on this host"),
        ("", "does not work on this host"),
    ],
    ids=["compiles nothing", "its programs fail", "not started", "empty"],
)
def test_one_that_does_not_work_is_not_used(
    host: Host, monkeypatch: pytest.MonkeyPatch, zig: str, reason: str
) -> None:
    sha256 = write_wheel(host.packages, zig)
    monkeypatch.setattr(fetched_compiler, "read_table", lambda _: table(sha256))
    taken = host.take()
    assert reason in taken.refused
    assert taken.compiler == host.toolchain.compiler
    assert not list(host.place.glob("works-*"))
    assert host.left() == []


@needs_posix
@needs_compiler
def test_a_refusal_stands_in_the_manifest(host: Host, tmp_path: Path) -> None:
    shutil.rmtree(host.packages)
    compiled = make(tmp_path / "tiny", host.take())
    assert "ziglang 9.9: " in compiled.details["compiler_refused"]
    assert compiled.details["compiler"] == host.toolchain.compiler_version


@needs_posix
@needs_compiler
def test_two_at_once_fetch_it_once(host: Host) -> None:
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: host.take(), range(4)))
    assert taken == [taken[0]] * 4
    assert not taken[0].refused
    calls = (host.place / "calls").read_text().splitlines()
    assert len([call for call in calls if "trial.cpp" in call]) == 1


CHILD = """
import sys
from pathlib import Path
from harness.builds import fetched_compiler
from tests.unit.builds import test_fetched_compiler as tests

def slow(wheel, target, *, below):
    whole(wheel, target, below=below)
    print("unpacking", flush=True)
    sys.stdin.read()

whole, fetched_compiler.unpack = fetched_compiler.unpack, slow
fetched_compiler.read_table = lambda _: tests.table(sys.argv[2])
fetched_compiler.host_fingerprint = lambda: tests.on(tests.GLIBC)
tests.Host(Path(sys.argv[1])).take()
"""


@needs_posix
@needs_compiler
def test_one_that_is_killed_midway_is_cleared_away(host: Host, tmp_path: Path) -> None:
    sha256 = hashlib.sha256((host.packages / FILE).read_bytes()).hexdigest()
    root = str(Path(harness.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), sha256],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"unpacking\n"
        assert list((host.store.root / "tmp").glob("@compiler~*/ziglang/zig"))
        assert not host.place.exists()
        host.cancelled.set()
        with pytest.raises(CancelledError):
            host.take()  # it waits for the other one, and not beyond the user's patience
        host.cancelled.clear()
        child.kill()
    assert not host.take().refused
    assert host.left() == []


@needs_posix
@needs_compiler
def test_doctor_names_it_without_fetching_it(host: Host) -> None:
    def tell() -> str:
        return planned_compiler(host.toolchain, this_platform(), host.store.compilers)

    own = host.toolchain.compiler_version
    assert tell() == f"clang of ziglang 9.9, to be fetched when a build is compiled; else {own}"
    assert not host.store.root.exists()
    host.take()
    assert tell() == f"clang of ziglang 9.9, in the store; else {own}"
    host.toolchain = replace(host.toolchain, named=True)
    assert tell() == own


def test_the_linkers_own_words_are_told() -> None:
    said = "/usr/bin/ld: cannot find -lnope: No such file or directory\n"
    for last in (
        "zig: error: linker command failed with exit code 1 (use -v to see invocation)",
        "collect2: error: ld returned 1 exit status",
    ):
        assert first_error(said + last) == said.strip()


@needs_posix
@needs_compiler
def test_a_compiler_cache_knows_units_again_and_tells_versions_apart(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("CCACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CCACHE_DIR", str(tmp_path / "objects"))
    taken = host.take()
    if taken.cache is None or taken.cache.stem != "ccache":
        pytest.skip("no ccache")
    cache = taken.cache

    def counted(name: str) -> tuple[int, int]:
        """Hits and misses of a compile of the tiny tree."""
        subprocess.run([cache, "--zero-stats"], check=True, stdout=subprocess.DEVNULL)
        make(tmp_path / name, taken)
        told = subprocess.run([cache, "--print-stats"], check=True, capture_output=True, text=True)
        counts = {key: int(count) for key, count in map(str.split, told.stdout.splitlines())}
        return counts["direct_cache_hit"], counts["cache_miss"]

    hits, misses = counted("first")
    assert (hits, misses >= 3) == (0, True)
    assert counted("second") == (misses, 0)
    # The same compiler, fetched again somewhat later.
    for file in (host.place / "clang", host.place / "clang++"):
        os.utime(file, (1_800_000_000, 1_800_000_000))
    assert counted("third") == (misses, 0)
    for file in (host.place / "clang", host.place / "clang++"):
        file.write_text(file.read_text().replace("9.9", "9.8"))
    assert counted("fourth") == (0, misses)
