"""What every source is handed and what it answers."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from harness.builds.catalogue import Build, Origin, PackageFile
from harness.builds.platforms import Platform
from harness.config.paths import entries
from harness.terminal import Progress

Slot = Callable[[], AbstractContextManager[None]]
"""A right that one at a time has among all processes of a store."""


class Turn:
    """A compile's turn: while one compiles, the next is unpacked and configured.

    The turn to compile ends a little early, when too few compilers are left to keep all cores busy.
    """

    def __init__(self, prepare: Slot, compile_: Slot) -> None:
        self._compile = compile_
        self._preparing = ExitStack()
        self._compiling = ExitStack()
        self._prepare = prepare
        self._begun = False

    def __enter__(self) -> Self:
        self._preparing.enter_context(self._prepare())
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._preparing.close()

    def begin(self) -> None:
        """Wait until nobody else compiles; once, however often it is called."""
        if self._begun:
            return
        self._begun = True
        self._compiling.enter_context(self._compile())
        self._preparing.close()

    def end(self) -> None:
        """Let the next one compile; may be called again."""
        self._compiling.close()


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a source works while it acquires one build.

    Attributes:
        output: The directory that becomes the build's own; the source fills it.
        scratch: A directory for anything else; gone afterwards.
        downloads: Where archives are kept until the build is there, shared by all processes.
        compilers: Where fetched compilers are kept, shared by all processes.
        packed: Archives that came in a bundle; they stay, and no index is asked for them.
        platform: The machine that the build must run on.
        progress: Where to show what happens.
        turn: The turn to compile, to be held from unpacking on.
        shared: A directory for what is made for all builds, by its name, which one at a time holds
            among all processes; gone afterwards.
        cancelled: Set when the user gave up; long work looks at it.
        extract: Whether to copy programs out of container images instead of running containers.
        alone: Whether no other source is left, so that patience is worth its time.
    """

    output: Path
    scratch: Path
    downloads: Path
    compilers: Path
    packed: Path
    platform: Platform
    progress: Progress
    turn: Callable[[], Turn]
    shared: Callable[[str], AbstractContextManager[Path]]
    cancelled: threading.Event
    extract: bool = False
    alone: bool = True


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What a source put into the workspace's output.

    Attributes:
        binary: The server program.
        asset: What was fetched: a file name, tag or path; never the host it came from.
        sha256: Digest of the asset; empty where it has none (a git ref has its commit instead).
        details: Compiler, options, commit and the like, for the manifest.
        env: Variables that the program needs, values with ``{directory}`` for the build's own.
        spent: Archives in ``downloads`` that are of no use any more.
    """

    binary: Path
    asset: str
    sha256: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    spent: tuple[Path, ...] = ()


class Source(Protocol):
    """One kind of source."""

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        """Put the build into the workspace's output.

        Raises:
            SourceUnavailableError: It cannot serve this build on this host; the reason is the
                message.
            DigestMismatchError: What it got is not what was pinned.
            CompileError: The sources do not compile.
        """


@runtime_checkable
class HasArchives(Protocol):
    """A source that can fetch what it compiles before it is asked for the build."""

    def fetch(self, origin: PackageFile, workspace: Workspace) -> Path:
        """Fetch an archive into the workspace's downloads, where ``deliver`` finds it.

        Raises:
            SourceUnavailableError: It cannot be had; the reason is the message.
            DigestMismatchError: What it got is not what was pinned.
        """


def library_variables(binary: Path, workspace: Workspace) -> dict[str, str]:
    """Return the variables under which a program finds the libraries that lie beside it.

    Windows looks beside the program without being told.
    """
    libraries = [path for path in entries(binary.parent) if is_shared_library(path)]
    if not libraries or workspace.platform.system == "windows":
        return {}
    directory = binary.parent.relative_to(workspace.output).as_posix()
    value = "{directory}" if directory == "." else f"{{directory}}/{directory}"
    return {workspace.platform.library_path_variable: value}


def is_shared_library(path: Path) -> bool:
    """Whether a file is named like a shared library of any system."""
    return path.suffix in (".so", ".dylib", ".dll") or ".so." in path.name
