"""What makes a build's server find the spoofed cards, and what it says where that cannot be had."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.builds import AcquiredBuild, load_catalogue
from harness.builds.headers import CARD_STARTER, NAMES, headers_digest
from harness.builds.manifest import Manifest
from harness.environments import server_layer as server_layer_module
from harness.environments.environment import Environment
from harness.environments.server_layer import (
    LOADED_VARIABLE,
    PROGRAM_VARIABLE,
    STARTER_VARIABLE,
    ServerLayer,
    server_layer,
)
from tests.unit.environments.conftest import OpenEnvironment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")

OFFLOADS = "echo version"
IGNORES = "echo 'warning: no usable GPU found, --gpu-layers option will be ignored'"
SAYS = 'for name in CARD CARD_PROGRAM; do eval "echo $name=\\$LLAMA_HARNESS_$name"; done; echo "$@"'


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    folder = tmp_path / "headers"
    folder.mkdir()
    for names in NAMES.values():
        for name in names:
            (folder / name).write_text(name)
    return folder


@pytest.fixture(autouse=True)
def _no_compiler_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library is only handed on here."""

    def compile_card(headers: Path, cache: Path) -> Path:
        library = tmp_path / "library"
        library.write_bytes(headers_digest(headers).encode())
        return library

    monkeypatch.setattr(server_layer_module, "compile_card", compile_card)


def build(
    tmp_path: Path, script: str, headers: Path | str, details: Mapping[str, str] | None = None
) -> AcquiredBuild:
    folder = tmp_path / "it's a build"
    folder.mkdir(exist_ok=True)
    binary = folder / "llama-server"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    return AcquiredBuild(
        build=load_catalogue().get("b9246"),
        binary=binary,
        env={},
        headers=headers,
        manifest=Manifest(
            build="b9246", number=9246, source="package", asset="", sha256="",
            binary="llama-server", env={}, details=dict(details or {}), reported_version="",
            seconds=0, acquired=datetime(2026, 1, 1, tzinfo=UTC), files={},
        ),
    )  # fmt: skip


def layer_of(inside: Environment, of: AcquiredBuild) -> ServerLayer:
    assert inside.spoof is not None
    return server_layer(inside.spoof, of, inside.variables)


def test_a_server_that_loads_by_itself(
    opened: OpenEnvironment, tmp_path: Path, headers: Path
) -> None:
    one = build(tmp_path, OFFLOADS, headers)
    with opened("cuda-spoof") as inside:
        layer = layer_of(inside, one)
        assert layer.absent == ""
        library = Path(layer.variables[LOADED_VARIABLE])
        assert library.read_text() == headers_digest(headers)
        assert (library.parent / "machine.txt").read_text().startswith("driver_version")
        assert layer.variables == {
            LOADED_VARIABLE: str(library), PROGRAM_VARIABLE: str(one.binary),
        }  # fmt: skip
        assert inside.variables.keys().isdisjoint(layer.variables), "only the server is given them"
        assert layer_of(inside, one) == layer, "made once more, it is the same"
    assert not library.exists()


def test_a_server_with_a_starter_is_told_nothing_else(
    opened: OpenEnvironment, tmp_path: Path, headers: Path
) -> None:
    details = {CARD_STARTER: headers_digest(headers)}
    with opened("cuda-spoof") as inside:
        layer = layer_of(inside, build(tmp_path, IGNORES, headers, details))
        assert [*layer.variables] == [STARTER_VARIABLE]
        assert not layer.absent


def test_an_application_starts_it_with_what_it_needs(
    opened: OpenEnvironment, tmp_path: Path, headers: Path
) -> None:
    one = build(tmp_path, SAYS, headers, {CARD_STARTER: headers_digest(headers)})
    (one.binary.parent / "libggml.so").write_text("of the build")
    with opened("cuda-spoof") as inside:
        layer = layer_of(inside, one)
        assert layer.program != one.binary
        assert layer.program.name == "llama-server"
        assert (layer.program.parent / "libggml.so").read_text() == "of the build"
        said = subprocess.check_output(
            [layer.program, "-m", "a b", "$HOME"], text=True, env={"PATH": os.environ["PATH"]}
        )
        card = layer.variables[STARTER_VARIABLE]
        assert said.splitlines() == [f"CARD={card}", "CARD_PROGRAM=", "-m a b $HOME"]


@pytest.mark.parametrize(
    "case",
    [
        (IGNORES, "", "before the harness linked it with a starter",
         "llama-harness builds get b9246 --anew"),
        ("exit 1", "", "before the harness linked it with a starter",
         "llama-harness builds get b9246 --anew"),
        (OFFLOADS, "no headers", "no headers", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_named_and_nothing_is_set(
    opened: OpenEnvironment, tmp_path: Path, headers: Path, case: tuple[str, str, str, str]
) -> None:
    script, wanting, absent, remedy = case
    one = build(tmp_path, script, wanting or headers)
    with opened("cuda-spoof") as inside:
        layer = layer_of(inside, one)
    assert absent in layer.absent
    assert layer.remedy == remedy
    assert layer.variables == {}
    assert layer.program == one.binary


def test_headers_of_another_server(opened: OpenEnvironment, tmp_path: Path, headers: Path) -> None:
    one = build(tmp_path, OFFLOADS, headers, {CARD_STARTER: "0" * 16})
    with opened("cuda-spoof") as inside:
        assert "not those that its server was compiled with" in layer_of(inside, one).absent


def test_a_library_that_does_not_compile(
    opened: OpenEnvironment, tmp_path: Path, headers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_layer_module, "compile_card", lambda *_: "no C++ compiler on PATH")
    with opened("cuda-spoof") as inside:
        layer = layer_of(inside, build(tmp_path, OFFLOADS, headers))
    assert layer.absent == "no C++ compiler on PATH"


def test_without_a_driver_nobody_is_asked_whether_he_finds_cards(
    opened: OpenEnvironment, tmp_path: Path, headers: Path
) -> None:
    with opened("cuda-spoof:no-driver") as inside:
        layer = layer_of(inside, build(tmp_path, IGNORES, headers))
    assert not layer.absent


def test_on_windows_applications_start_the_server_itself(
    opened: OpenEnvironment, tmp_path: Path, headers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = build(tmp_path, OFFLOADS, headers)
    with opened("cuda-spoof") as inside:
        monkeypatch.setattr(sys, "platform", "win32")
        layer = layer_of(inside, one)
        assert layer.program == one.binary
        assert LOADED_VARIABLE in layer.variables
