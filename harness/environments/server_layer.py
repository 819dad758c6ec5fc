"""The spoofed cards as a build's own server finds them: a backend of ggml that its server loads.

Only server processes are given what makes them load it. A program that links llama.cpp itself, as
Python does with ``llama_cpp``, would else load what is made for another build.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from harness.builds import AcquiredBuild
from harness.builds.headers import CARD_STARTER, headers_digest
from harness.builds.locations import cache_root
from harness.config.paths import entries
from harness.environments.card import CARD_LIBRARY, compile_card
from harness.environments.spoof import MACHINE_FILE, Spoof
from harness.processes.running import ask
from harness.processes.variables import joined

LAYER: Final = "ggml-cuda"
"""What the layer is called where it is absent."""

STARTER_VARIABLE: Final = "LLAMA_HARNESS_CARD"
"""Names the library to a server that was linked with the starter."""
LOADED_VARIABLE: Final = "GGML_BACKEND_PATH"
"""Names it to any other server; ggml's own."""
PROGRAM_VARIABLE: Final = "LLAMA_HARNESS_CARD_PROGRAM"
"""The one program that the library serves when it is loaded so."""

_WITHOUT_DEVICE: Final = "no usable GPU found"
_PROBE_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class ServerLayer:
    """A build's server in a spoof.

    Attributes:
        program: The server for an application to start: one that is given ``variables`` by
            itself, where that is needed.
        variables: What a process of the build's own program is given besides the environment's.
        absent: Why it finds no card; empty where it finds those that CUDA does.
        remedy: What to do about that, where there is anything.
    """

    program: Path
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    absent: str = ""
    remedy: str = ""


def server_layer(
    spoof: Spoof, build: AcquiredBuild, variables: Mapping[str, str], cache: Path | None = None
) -> ServerLayer:
    """Give a build's server the cards of a spoof, where that can be had.

    Args:
        spoof: Open for as long as the layer is used.
        build: The build.
        variables: All variables of its server in the spoof's environment.
        cache: Where compiled libraries are kept; the store's root if not given.
    """
    library = _library(spoof, build, (cache or cache_root()) / "card")
    if isinstance(library, str):
        return ServerLayer(program=build.binary, absent=library)
    if CARD_STARTER in build.manifest.details:
        wanted = {STARTER_VARIABLE: str(library)}
    else:
        wanted = {LOADED_VARIABLE: str(library), PROGRAM_VARIABLE: str(build.binary.absolute())}
        if spoof.has_driver and not _loads(build.binary, joined(variables, wanted)):
            return ServerLayer(
                program=build.binary,
                absent="its server was made before the harness linked it with a starter",
                remedy=f"llama-harness builds get {build.build.id} --anew",
            )
    folder = spoof.libraries.parent / "servers" / build.build.id
    return ServerLayer(program=_launcher(folder, build.binary, wanted), variables=wanted)


def _library(spoof: Spoof, build: AcquiredBuild, cache: Path) -> Path | str:
    """The library beside a copy of the machine that it may read, or why there is none."""
    if isinstance(build.headers, str):
        return build.headers
    starter = build.manifest.details.get(CARD_STARTER)
    digest = headers_digest(build.headers)
    if starter not in {None, digest}:
        return "the headers in the store are not those that its server was compiled with"
    compiled = compile_card(build.headers, cache)
    if isinstance(compiled, str):
        return compiled
    place = spoof.libraries / digest
    place.mkdir(exist_ok=True)
    for file, name in ((compiled, CARD_LIBRARY), (spoof.libraries / MACHINE_FILE, MACHINE_FILE)):
        part = place / f"{name}.{os.getpid()}.part"
        shutil.copyfile(file, part)
        part.replace(place / name)
    return place / CARD_LIBRARY


def _loads(binary: Path, variables: Mapping[str, str]) -> bool:
    """Whether a server has a device to offload to when all it is told is to offload."""
    try:
        done = ask(
            [binary.absolute(), "-ngl", "1", "--version"],
            env=variables,
            timeout_s=_PROBE_S,
            merged=True,
        )
    except OSError:
        return False
    return done.returncode == 0 and _WITHOUT_DEVICE not in done.stdout


def _launcher(folder: Path, binary: Path, variables: Mapping[str, str]) -> Path:
    """A program that starts a server with variables of its own.

    What lies beside the server lies beside it too: applications look there for what a server was
    built with. On Windows there is none, and an application's own servers find no card.
    """
    if sys.platform == "win32":
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    for entry in entries(binary.parent):
        if entry.name != binary.name and not (folder / entry.name).exists():
            (folder / entry.name).symlink_to(entry)
    exports = "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())
    )
    program = folder / binary.name
    program.write_text(
        f'#!/bin/sh\n{exports}exec {shlex.quote(str(binary))} "$@"\n',
        encoding="utf-8",
        newline="\n",
    )
    program.chmod(0o755)
    return program
