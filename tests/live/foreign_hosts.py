"""Builds for hosts that this one is not, and programs that run them under qemu's user emulation."""

import shlex
import shutil
import threading
from dataclasses import replace
from pathlib import Path

from harness.builds import AcquiredBuild, Build, Store, load_catalogue
from harness.builds.archives import unpack
from harness.builds.catalogue import PackageFile, pinned_directory
from harness.builds.manifest import options_text
from harness.builds.platforms import Platform
from harness.builds.recipe import FAST, compile_server, move_tree, recipe_with
from harness.builds.sources.index import PackageIndexes
from harness.builds.toolchain import find_toolchain
from harness.cells.qualification import open_store
from harness.terminal import Progress

CROSS = "aarch64-linux-gnu"
"""What the programs and the libraries of Debian's cross compiler for arm64 are named after."""


def wrapper(place: Path, *command: str | Path) -> Path:
    """A program that is a command with further arguments, as a shell script."""
    words = shlex.join(map(str, command))
    place.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    place.chmod(0o755)
    return place


def pinned(build_id: str) -> Build:
    """What the harness's own catalogue says of a build."""
    return load_catalogue(pinned_directory()).get(build_id)


def sources_of(build: Build) -> PackageFile:
    """The package that a build is compiled from."""
    return next(origin for origin in build.sources if isinstance(origin, PackageFile))


def compiled(build_id: str, store: Store) -> AcquiredBuild:
    """A build as the harness's recipe makes it.

    From the user's store where it lies there, else from the given one: the user's may as well have
    it from a release, or of an older recipe.
    """
    build = pinned(build_id)
    kept = open_store().ready(build)
    if kept and kept.manifest.details.get("options") == options_text(FAST.options):
        return kept
    return store.acquire(build, order=("package",))


def fetch_sources(build: Build, store: Store) -> Path:
    """The archive that a build is compiled from, put where a store looks before it fetches."""
    origin = sources_of(build)
    store.packed.mkdir(parents=True, exist_ok=True)
    fetched = PackageIndexes().fetch(
        origin.project,
        origin.file,
        sha256=origin.sha256,
        directory=store.scratch(),
        progress=Progress(),
    )
    return fetched.rename(store.packed / origin.file)


def compile_for_arm64(build: Build, archive: Path, directory: Path) -> Path:
    """Cross-compile a build's server by the harness's recipe, and return it."""
    cxx, strip = shutil.which(f"{CROSS}-g++"), shutil.which(f"{CROSS}-strip")
    assert cxx
    assert strip
    tree = sources_of(build).tree
    unpack(archive, directory / "unpacked", below=tree)
    options = {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": "aarch64"}
    return compile_server(
        move_tree(directory / "unpacked", tree, directory / "tree"),
        directory,
        toolchain=replace(find_toolchain({"CXX": cxx}), strip=Path(strip)),
        platform=Platform(system="linux", machine="arm64"),
        progress=Progress(),
        cancelled=threading.Event(),
        label=f"{build.id} for arm64",
        number=build.number,
        recipe=recipe_with(options),
    ).binary
