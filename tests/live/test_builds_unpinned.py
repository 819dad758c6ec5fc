"""A build that nobody pinned, from its number to a green row, by way of a killed compile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.builds import load_catalogue
from harness.builds.catalogue import read_build
from harness.builds.fetched_compiler import package_for
from harness.builds.manifest import read_manifest
from harness.builds.platforms import this_platform
from harness.builds.toolchain import find_toolchain
from harness.errors import EXIT_FAIL
from harness.model import Verdict
from tests.live.matrix_runs import ROOT, run_matrix, variables
from tests.signals import KILL

pytestmark = [pytest.mark.live, pytest.mark.slow]

WANTED = 9700
PROCESSES = 8
PATIENCE_S = 1800.0


@dataclass(frozen=True, kw_only=True)
class Harness:
    """The ``builds`` command with a store of its own."""

    cache: Path

    @property
    def env(self) -> Mapping[str, str]:
        own = {"LLAMA_HARNESS_CACHE": str(self.cache)}
        # Workflows name a compiler; here it is the harness that chooses.
        return {**own, "CC": "", "CXX": ""} if sys.platform == "linux" else own

    def start(self, words: Sequence[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "harness", "builds", *words],
            env=variables(self.env),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def output(self, *words: str, status: int = 0) -> str:
        with self.start(words) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == status, err
        return out


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    return Harness(cache=tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def build_id(harness: Harness) -> str:
    """The nearest build to the wanted one that a package has and the catalogue has not."""
    pinned = {build.number for build in load_catalogue().builds}
    offered = json.loads(harness.output("list", "--available", "--json"))
    assert len(offered) > 250
    assert [each["number"] for each in offered] == sorted({each["number"] for each in offered})
    found = min(
        (each for each in offered if each["number"] not in pinned),
        key=lambda each: abs(each["number"] - WANTED),
    )
    file = Path(harness.output("add", found["id"]).strip())
    build = read_build(file)
    assert build.number == found["number"]
    assert all(getattr(origin, "sha256", "") for origin in build.sources)
    return build.id


def compiled(harness: Harness, build_id: str) -> set[Path]:
    """What compiles under way have made so far; killed ones are cleared away meanwhile."""
    return {
        Path(place, name)
        for work in harness.cache.glob(f"tmp/{build_id}~*")
        for place, _, names in os.walk(work / "build" / "ggml")
        for name in names
        if name.endswith(".o")
    }


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
@pytest.mark.parametrize("number", [KILL, signal.SIGTERM])
def test_a_killed_compile_leaves_no_compiler(
    harness: Harness, build_id: str, number: signal.Signals
) -> None:
    earlier = compiled(harness, build_id)
    with harness.start(["get", build_id]) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not compiled(harness, build_id) - earlier:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        process.communicate()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert len(children) > 1
    assert not alive
    assert compiled(harness, build_id), "it was killed in the middle"
    assert not (harness.cache / "builds").exists()


def test_eight_processes_compile_it_once(harness: Harness, build_id: str) -> None:
    """And what the killed ones left is gone."""
    processes = [harness.start(["path", build_id]) for _ in range(PROCESSES)]
    outcomes = [process.communicate(timeout=PATIENCE_S) for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES, outcomes
    assert len({out for out, _ in outcomes}) == 1
    assert sum(f"compile {build_id}" in err for _, err in outcomes) == 1
    assert not list((harness.cache / "tmp").iterdir())
    assert not list((harness.cache / "downloads").iterdir())


def test_the_fetched_compiler_made_it(harness: Harness, build_id: str) -> None:
    """Once for all those processes, the killed ones among them."""
    if package_for(this_platform(), find_toolchain(variables(harness.env))) is None:
        pytest.skip("no compiler is fetched here")
    manifest = read_manifest(harness.cache / "builds" / build_id)
    assert manifest
    assert "compiler_refused" not in manifest.details
    assert manifest.details["compiler"].startswith("clang version")
    (compiler,) = (harness.cache / "compilers").iterdir()
    assert len(list(compiler.glob("works-*"))) == 1


def test_its_row_is_green(harness: Harness, build_id: str, tmp_path: Path) -> None:
    run = run_matrix(tmp_path, ["--build", build_id], harness.env)
    assert run.status == 0, run.stdout
    statuses = [each.status for each in run.results]
    assert set(statuses) <= {Verdict.PASS, Verdict.DEGRADED}
    assert statuses.count(Verdict.PASS) > 50


def test_a_flipped_byte_is_found(harness: Harness, build_id: str) -> None:
    binary = Path(harness.output("path", build_id).strip())
    assert harness.output("verify", build_id) == f"{build_id}: ok\n"
    content = bytearray(binary.read_bytes())
    content[len(content) // 2] ^= 1
    binary.write_bytes(content)
    told = harness.output("verify", build_id, status=EXIT_FAIL)
    assert f"{build_id}: damaged\n  {binary.name} has changed: SHA-256 " in told
