"""Builds on hosts that this one is not: older processors, and arm64, under qemu's user emulation.

The harness sees none of it: a program that runs another one under qemu is a ``local`` build.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from harness.builds import AcquiredBuild, Build, Store
from harness.builds.catalogue import LocalBinary
from harness.builds.hosts import host_fingerprint
from harness.builds.platforms import this_platform
from harness.cells.qualification import open_store
from harness.errors import EXIT_FAIL, EXIT_OK, BuildUnavailableError
from harness.terminal import Progress
from tests.live.foreign_hosts import (
    CROSS,
    compile_for_arm64,
    compiled,
    fetch_sources,
    pinned,
    sources_of,
    wrapper,
)
from tests.live.matrix_runs import variables

pytestmark = [pytest.mark.live, pytest.mark.slow]

COMPILED = ("b8929", "b9246", "b10435", "b11434")
SAMPLE = "b9246"
ARM64_ROOT = Path("/usr") / CROSS
"""Where Debian puts the libraries that programs for arm64 need."""

PROCESSORS = {"Nehalem": "avx2", "Haswell": "avx512f"}
"""What qemu can be, and a feature of newer processors that it then does not have."""

EM_AARCH64 = 183

EMULATION_S = "600"
"""How long an emulated server may take to become healthy."""


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)} on PATH")


needs_x64 = pytest.mark.skipif(
    this_platform().machine != "x64",
    reason=f"what is compiled here is for {this_platform().machine}, not for x86-64",
)
needs_qemu_x64 = needs("qemu-x86_64")
needs_qemu_arm64 = needs("qemu-aarch64", f"{CROSS}-g++", f"{CROSS}-gcc", f"{CROSS}-strip")


class Notes(Progress):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """For what these tests compile: the user's store keeps none of it."""
    return open_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def sources(store: Store) -> Path:
    """The sources that all variants of one build are compiled from."""
    return fetch_sources(pinned(SAMPLE), store)


@pytest.fixture(scope="module")
def native(store: Store, sources: Path) -> AcquiredBuild:
    """A build for this very processor: what ``builds add --cmake-option GGML_NATIVE=ON`` makes."""
    build = pinned(SAMPLE)
    origin = msgspec.structs.replace(sources_of(build), options={"GGML_NATIVE": "ON"})
    variant = msgspec.structs.replace(build, id="native", profiles=(), sources=(origin,))
    return store.acquire(variant, order=("package",))


@pytest.fixture(scope="module")
def both(store: Store, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store that knows one build as ``arm64`` and as ``here``."""
    directory = tmp_path_factory.mktemp("arm64")
    binary = compile_for_arm64(pinned(SAMPLE), sources, directory)
    assert elf_machine(binary) == EM_AARCH64
    emulated = wrapper(directory / "on-arm64", "qemu-aarch64", "-L", ARM64_ROOT, binary)
    for name, program in {"arm64": emulated, "here": compiled(SAMPLE, store).binary}.items():
        number = str(pinned(SAMPLE).number)
        added = run(directory, "builds", "add", name, "--local", str(program), "--number", number)
        assert added.returncode == EXIT_OK, added.stderr
    return directory


def elf_machine(binary: Path) -> int:
    """The processor that a program is for, by ELF's number."""
    return int.from_bytes(binary.read_bytes()[18:20], "little")


def on_processor(processor: str, binary: Path, directory: Path) -> LocalBinary:
    """A program as it is on another x86-64 processor."""
    place = directory / f"{binary.parent.name}-on-{processor}"
    return LocalBinary(path=str(wrapper(place, "qemu-x86_64", "-cpu", processor, binary)))


def acquire(directory: Path, *sources: LocalBinary, notes: Notes | None = None) -> AcquiredBuild:
    """Acquire a build from the first of these programs that qualifies, in a store of its own."""
    build = Build(id="foreign", number=pinned(SAMPLE).number, sources=sources)
    return open_store(directory / "store").acquire(build, progress=notes, order=("local",))


def qualifies(acquired: AcquiredBuild) -> bool:
    """Whether it was really tried and nothing was found against it."""
    tried = acquired.manifest.qualified
    return bool(tried) and not any(each.refusal or each.untried for each in tried)


@needs_x64
@needs_qemu_x64
@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("build_id", COMPILED)
def test_what_the_harness_compiles_runs_on_older_processors(
    build_id: str, processor: str, store: Store, tmp_path: Path
) -> None:
    binary = compiled(build_id, store).binary
    acquired = acquire(tmp_path, on_processor(processor, binary, tmp_path))
    assert qualifies(acquired)
    assert build_id.removeprefix("b") in acquired.manifest.reported_version


@needs_x64
@needs_qemu_x64
@pytest.mark.parametrize(("processor", "newer"), PROCESSORS.items())
def test_what_is_compiled_for_a_newer_processor_is_refused_and_the_next_source_tried(
    processor: str,
    newer: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under Nehalem it cannot even print its help, under Haswell it dies once it computes."""
    if newer not in host_fingerprint().features:
        pytest.skip(f"needs a processor with {newer} to compile for, newer than {processor}")
    native: AcquiredBuild = request.getfixturevalue("native")
    store: Store = request.getfixturevalue("store")
    monkeypatch.chdir(tmp_path)  # Where core files are wanted, qemu writes them here.
    assert qualifies(native), "on the processor that it was compiled for"
    refused = on_processor(processor, native.binary, tmp_path)
    reason = (
        f"local {refused.path} does not run on this host: the binary needs instructions that this "
        "host's processor does not have (illegal instruction)"
    )
    with pytest.raises(BuildUnavailableError) as caught:
        acquire(tmp_path, refused)
    assert str(caught.value) == f"foreign: {reason}"

    notes = Notes()
    portable = on_processor(processor, compiled(SAMPLE, store).binary, tmp_path)
    acquired = acquire(tmp_path, refused, portable, notes=notes)
    assert acquired.binary == Path(portable.path)
    assert qualifies(acquired)
    assert notes.lines == [f"foreign: {reason}; trying the next source"]


@needs_qemu_arm64
@pytest.mark.skipif(not ARM64_ROOT.is_dir(), reason=f"needs {ARM64_ROOT}, arm64's libraries")
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--draft-max", "8"), EXIT_FAIL, "arm64 has removed --draft-max; write "),
        (("-c", "512"), EXIT_OK, "starts, without speculation"),
        (
            ("--spec-type", "draft-mtp", "--spec-draft-n-max", "4"),
            EXIT_OK,
            "starts, with draft-mtp up to 4",
        ),
    ],
    ids=["removed", "plain", "mtp"],
)
def test_a_command_line_is_checked_on_arm64(
    words: Sequence[str], status: int, said: str, both: Path
) -> None:
    """What is found there is what is found here."""
    chosen = ("--build", "arm64", "--build", "here")
    done = run(both, "check", *chosen, "--", "-m", "x.gguf", *words)
    assert done.returncode == status, done.stdout + done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    findings = [line for line in lines if line[0] in {"ok", "FAIL", "?"}]
    assert [name for _, name, _ in findings] == ["arm64", "here"]
    (mark, _, there), (mark_here, _, here) = findings
    assert there.startswith(said)
    assert (mark, there.replace("arm64", "here", 1)) == (mark_here, here)


def run(directory: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the harness in a directory, with a store of its own there."""
    own = {
        "LLAMA_HARNESS_CACHE": str(directory / "store"),
        "LLAMA_HARNESS_HEALTH_TIMEOUT": EMULATION_S,
    }
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        env=variables(own),
        cwd=directory,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=3600,
        check=False,
    )
