"""A compiler that is fetched where builds are compiled: the clang of the ziglang package.

It takes two thirds of GCC's time, with the host's own C++ library and linker, so that what it
makes says what a program of GCC says. Where it cannot be had or does not work, GCC compiles.
"""

import hashlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final

from harness.builds.archives import unpack
from harness.builds.download import Patience
from harness.builds.hosts import host_fingerprint
from harness.builds.platforms import Platform
from harness.builds.recipe import first_error
from harness.builds.sources.base import Workspace
from harness.builds.sources.index import PackageIndexes
from harness.builds.tables import read_table
from harness.builds.toolchain import Toolchain, version_text
from harness.config.paths import is_dir, is_file, take_place
from harness.errors import CompileError, HarnessError
from harness.processes.running import run_program

_HASTY: Final = Patience(tries=2)
"""A build is compiled without it too: nobody shall wait long for it."""
_DRIVERS: Final = {"clang": "gcc", "clang++": "g++"}
"""Names of the compilers, and what clang calls their way of reading a command line."""
_TRIAL: Final = "trial.cpp"


@dataclass(frozen=True, kw_only=True)
class CompilerPackage:
    """A wheel that has a compiler for one platform.

    Attributes:
        project: Its project.
        version: Its version.
        file: Its name.
        sha256: Its digest.
        target: What clang calls the platform.
    """

    project: str
    version: str
    file: str
    sha256: str
    target: str

    def __str__(self) -> str:
        return f"{self.project} {self.version}"

    @property
    def folder(self) -> str:
        """The directory's name among the compilers of a store, which other hosts may share."""
        return f"{self.project}-{self.version}-{self.target}"


def package_for(platform: Platform, host: Toolchain) -> CompilerPackage | None:
    """Return what may take the place of a host's compiler; None where that one is to be used.

    It is where the user named it, or where it is not GCC: clang needs GCC's C++ library, and the
    GNU C library, which its target names.
    """
    table = read_table("compiler.toml")
    pinned = table.get(str(platform))
    if pinned is None or host.named or not host.is_gcc:
        return None
    if not host_fingerprint().libc.startswith("glibc"):
        return None
    return CompilerPackage(project=table["project"], version=table["version"], **pinned)


def planned_compiler(host: Toolchain, platform: Platform, compilers: Path) -> str:
    """Name what builds will be compiled with, without fetching anything.

    Args:
        host: The host's own toolchain.
        platform: The machine.
        compilers: Where a store keeps fetched compilers.
    """
    package = package_for(platform, host)
    if package is None:
        return host.compiler_version
    there = is_dir(compilers / package.folder)
    state = "in the store" if there else "to be fetched when a build is compiled"
    return f"clang of {package}, {state}; else {host.compiler_version}"


class FetchedCompiler:
    """Fetches the compiler once for a store, and tries it once on each host."""

    def __init__(self, indexes: PackageIndexes | None = None) -> None:
        """Take the package indexes to ask, the user's if None."""
        self._indexes = indexes or PackageIndexes(patience=_HASTY)
        self._refusal = ""

    def in_place_of(
        self, host: Toolchain, workspace: Workspace, *, options: Mapping[str, str]
    ) -> Toolchain:
        """Return a host's toolchain with the fetched compiler; else as it is, with the reason.

        Args:
            host: The host's own.
            workspace: Where a source works.
            options: The source's own of cmake: where it has any they may want what the host's
                compiler alone has, OpenMP or CUDA, and it compiles.

        Raises:
            CancelledError: The user gave up.
        """
        package = package_for(workspace.platform, host)
        if package is None or options:
            return host
        place = workspace.compilers / package.folder
        tried = place / f"works-{_host_digest(host)}"
        try:
            if not is_file(tried):
                with workspace.shared("@compiler") as scratch:
                    if not self._refusal and not is_file(tried):
                        self._make(package, place, scratch, workspace)
                        try_compiler(place / "clang++", scratch, workspace.cancelled)
                        tried.touch()
            if not self._refusal:
                return _with(host, place, package)
        except (HarnessError, OSError) as error:
            # Not asked for again with each build that this process compiles.
            self._refusal = f"{package}: {error}"
            workspace.progress.note(f"{self._refusal}; compiling with {host.compiler} instead")
        return replace(host, refused=self._refusal)

    def _make(
        self, package: CompilerPackage, place: Path, scratch: Path, workspace: Workspace
    ) -> None:
        """Fetch the compiler, if it is not there, and put it there whole or not at all."""
        if is_dir(place):
            return
        wheel = self._indexes.fetch(
            package.project,
            package.file,
            sha256=package.sha256,
            directory=workspace.downloads,
            progress=workspace.progress,
            cancelled=workspace.cancelled,
        )
        for part in ("zig", "lib/include"):
            unpack(wheel, scratch, below=part)
        made = scratch / "ziglang"
        (made / "zig").chmod(0o755)
        for name, driver in _DRIVERS.items():
            # A compiler cache tells one version from another by this text.
            (made / name).write_text(
                f"#!/bin/sh\n# {package.file} {package.sha256}\n"
                'here=${0%/*}\nexec "$here/zig" clang'
                f" --driver-mode={driver} --target={package.target}"
                ' -resource-dir "$here/lib" "$@"\n',
                encoding="utf-8",
                newline="\n",
            )
            (made / name).chmod(0o755)
        place.parent.mkdir(parents=True, exist_ok=True)
        wheel.unlink()
        take_place(made, place)


def try_compiler(compiler: Path, scratch: Path, cancelled: threading.Event) -> None:
    """Compile, link and run a small program.

    Raises:
        CompileError: It does not compile or link, or does not do what it should.
        SourceUnavailableError: The compiler, or the program, cannot be started.
        CancelledError: ``cancelled`` was set.
    """
    text = (resources.files("harness.builds") / "resources" / _TRIAL).read_text(encoding="utf-8")
    source, program = scratch / _TRIAL, scratch / "trial"
    source.write_text(text, encoding="utf-8", newline="\n")
    env = {**os.environ, "LC_ALL": "C"}
    command = [str(compiler), "-O1", "-pthread", str(source), "-o", str(program)]
    made = run_program(command, directory=scratch, cancelled=cancelled, env=env)
    if made.returncode or not is_file(program):
        raise CompileError(f"it does not work on this host: {first_error(made.stdout)}")
    done = run_program([program], directory=scratch, cancelled=cancelled, env=env)
    if done.returncode or done.stdout.strip() != "works":
        raise CompileError("a program that it compiles does not run on this host")


def _with(host: Toolchain, place: Path, package: CompilerPackage) -> Toolchain:
    compiler = str(place / "clang++")
    return replace(
        host,
        compiler=compiler,
        c_compiler=str(place / "clang"),
        compiler_version=f"{version_text(compiler).splitlines()[0]} ({package})",
        is_gcc=False,
    )


def _host_digest(host: Toolchain) -> str:
    """What tells hosts apart on which a compiler is to be tried: GCC's version, and the C library.

    Sixteen hexadecimal digits.
    """
    told = f"{host.compiler_version}\n{host_fingerprint().libc}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]
