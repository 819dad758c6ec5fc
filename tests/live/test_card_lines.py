"""Command lines for hosts with NVIDIA cards, on real builds that find spoofed ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from harness.cells.workbench import Workbench
from harness.cli import main
from tests.live.cards import BUILDS, needs_card, small_card

pytestmark = pytest.mark.live

OLD, B8929, B9246, B9464, NEW = BUILDS
FFN: Final = [f"blk.0.ffn_{part}.weight=CUDA_Host" for part in ("down", "gate", "norm", "up")]
NO_ROOM: Final = "a device has not the memory that the server asks for: CUDA error: out of memory"


def check(
    environment: str, words: str, builds: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> Mapping[str, Any]:
    """What ``check`` answers of a command line, by build; all that it asks for must be told."""
    chosen = [word for build in builds for word in ("--build", build)]
    main(["check", "--strict", "--json", "--env", environment, *chosen, "--", *words.split()])
    (line,) = json.loads(capsys.readouterr().out)["command_lines"]
    told: Mapping[str, Any] = line["builds"]
    assert set(told) == set(builds)
    return told


def effective(told: Mapping[str, Any], settings: Mapping[str, object]) -> None:
    assert told["status"] == "pass", told
    assert not told["lacks"]
    assert not told["not_seen"]
    assert not told["cannot_tell"]
    assert {name: told["settings"].get(name) for name in settings} == settings


@pytest.fixture(autouse=True)
def cards(workbench: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for build in BUILDS:
        needs_card(workbench, build)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("environment", "words", "settings"),
    [
        ("cuda-spoof", "-ngl 99 -dev CUDA0", {"gpu_layers": "2/2", "devices": ["CUDA0"]}),
        ("cuda-spoof:two-gpus", "-ngl 99 -dev CUDA1", {"gpu_layers": "2/2", "devices": ["CUDA1"]}),
        ("cuda-spoof", "-ngl 0 -dev CUDA0", {"gpu_layers": "0/2"}),
        ("cuda-spoof:two-gpus", "-ngl 99 -ts 3,1", {"gpu_layers": "2/2", "tensor_split": [2, 0]}),
        ("cuda-spoof:two-gpus", "-ngl 99 -ts 1,1", {"gpu_layers": "2/2", "tensor_split": [1, 1]}),
        ("cuda-spoof", "-ngl 99 -ot ffn_.*=CPU", {"gpu_layers": "2/2", "tensor_overrides": FFN}),
    ],
)
def test_effective_on_every_build(
    environment: str,
    words: str,
    settings: Mapping[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for told in check(environment, words, BUILDS, capsys).values():
        effective(told, settings)


def test_rows_are_split_until_upstream_dropped_it(capsys: pytest.CaptureFixture[str]) -> None:
    told = dict(check("cuda-spoof:two-gpus", "-ngl 99 -sm row", BUILDS, capsys))
    newest = told.pop(NEW)
    for one in told.values():
        effective(one, {"gpu_layers": "2/2", "split_mode": "row"})
    assert (newest["status"], newest["starts"], newest["blame"]) == ("fail", False, "--split-mode")
    assert "cannot split by rows on this build" in newest["message"]


def test_a_card_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for told in check("cuda-spoof:two-gpus", "-dev CUDA7", BUILDS, capsys).values():
        assert (told["status"], told["starts"], told["blame"]) == ("fail", False, "-dev")
        assert told["message"].endswith("the build refuses -dev: invalid device: CUDA7")


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("-fit on", {"fit": True, "fit_outcome": "context 4096 and 0 layers on CUDA0"}),
        ("-fit on -fitt 64", {"fit_target": 64, "fit_outcome": "nothing changed"}),
        ("-fit on -ngl 99", {"gpu_layers": "2/2", "fit_outcome": "failed"}),
    ],
)
def test_fitting_into_200_mib(
    words: str, settings: Mapping[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernels of CUDA take 132 to 164 of them, which no build reckons with."""
    Path("small.toml").write_text(small_card(200), encoding="utf-8")
    told = dict(check("cuda-spoof:small.toml", words, BUILDS, capsys))
    assert told.pop(OLD)["blame"] == "-fit"
    for one in told.values():
        effective(one, settings)


def test_100_mib_are_too_few_for_the_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.toml").write_text(small_card(100), encoding="utf-8")
    for one in check("cuda-spoof:small.toml", "-fit on", BUILDS[1:], capsys).values():
        assert (one["status"], one["starts"], one["blame"]) == ("fail", False, None)
        assert one["message"].endswith(NO_ROOM)
        assert not one["advice"]


def test_without_the_spoof_the_same_lines_meet_no_card(capsys: pytest.CaptureFixture[str]) -> None:
    for told in check("cpu", "-ngl 99", BUILDS, capsys).values():
        assert told["starts"]
        assert [one["word"] for one in told["cannot_tell"]] == ["-ngl"]
    for told in check("cpu", "-dev CUDA0", BUILDS, capsys).values():
        assert "devices" not in told["settings"]


def test_what_a_result_says_of_devices(workbench: Workbench) -> None:
    spoofed = "NVIDIA GeForce RTX 4090 (spoofed)"
    for build in BUILDS:
        assert workbench.devices(build, "cpu") == ()
        assert workbench.devices(build, "cuda-spoof:no-driver") == ()
        assert workbench.devices(build, "cuda-spoof") == (f"CUDA0: {spoofed}",)
        two = (f"CUDA0: {spoofed}", f"CUDA1: {spoofed}")
        assert workbench.devices(build, "cuda-spoof:two-gpus") == two
