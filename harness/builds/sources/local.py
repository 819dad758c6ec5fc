"""Programs that are already on this machine: a path, a directory or a name on PATH."""

import shutil
from pathlib import Path

from harness.builds.archives import find_program
from harness.builds.catalogue import Build, LocalBinary, Origin
from harness.builds.digest import sha256_of
from harness.builds.sources.base import Delivery, Workspace, is_shared_library
from harness.config.paths import entries, expanded, is_dir, is_file
from harness.errors import DigestMismatchError, SourceUnavailableError


class LocalSource:
    """Serves programs where they are; nothing is copied into the store."""

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        """Find the program; errors as in ``Source``."""
        assert isinstance(origin, LocalBinary)
        binary = _find(origin.path, workspace.platform.server_name)
        try:
            found = sha256_of(binary)
        except OSError as error:
            raise SourceUnavailableError(
                f"{binary} cannot be read: {error.strerror or error}; let this user read it"
            ) from error
        if origin.sha256 and found != origin.sha256:
            raise DigestMismatchError(
                f"{build.id}: {binary} has SHA-256 {found}, pinned is {origin.sha256}"
            )
        env = {}
        if workspace.platform.system != "windows" and any(
            map(is_shared_library, entries(binary.parent))
        ):
            env = {workspace.platform.library_path_variable: str(binary.parent)}
        return Delivery(binary=binary, asset=origin.path, sha256=found, env=env)


def _find(path: str, server_name: str) -> Path:
    place = expanded(path)
    if is_file(place):
        return place.absolute()
    if is_dir(place):
        if found := find_program(place, server_name):
            return found.absolute()
        raise SourceUnavailableError(f"{path} holds no {server_name}")
    if place.name == path and (on_path := shutil.which(path)):
        return Path(on_path).absolute()
    raise SourceUnavailableError(f"{path} is neither a file, a directory nor a program on PATH")
