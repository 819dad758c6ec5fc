"""The headers of ggml that a build was made with, kept beside it for what is compiled to fit it."""

import hashlib
import shutil
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from harness.builds.catalogue import Build, PackageFile
from harness.builds.manifest import Manifest
from harness.builds.sources.base import Workspace
from harness.errors import HarnessError, SourceUnavailableError
from harness.model import SourceKind

FOLDER: Final = "headers"
"""In a build's directory."""

HEADERS: Final = "headers"
"""The manifest's detail that names the archive or commit that they came from."""
NO_HEADERS: Final = "no_headers"
"""The manifest's detail that says why there are none; absent as long as nobody has looked."""

CARD_STARTER: Final = "card_starter"
"""The manifest's detail of a server that was linked with what loads a spoofed card: the digest of
the headers that it was compiled with."""

WITHOUT: Final[Mapping[SourceKind, str]] = {
    "emulated": "an emulated server has no backend",
    "local": "a program from elsewhere comes without its headers",
}
"""Sources whose builds have no headers, and why."""

GGML: Final = "ggml"
"""Where ggml lies in a source tree."""
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "include": ("ggml.h", "ggml-alloc.h", "ggml-backend.h", "ggml-cpu.h", "ggml-cuda.h"),
    "src": ("ggml-backend-impl.h",),
}
"""What a backend of ggml is compiled with, by the folder of ggml that has it."""


@runtime_checkable
class HasHeaders(Protocol):
    """A source that can fetch the headers of a build without its program."""

    def deliver_headers(self, origin: PackageFile, workspace: Workspace) -> None:
        """Put them into the workspace's output.

        Raises:
            SourceUnavailableError: They cannot be had; the reason is the message.
            DigestMismatchError: What it got is not what was pinned.
        """


def keep_headers(tree: Path, directory: Path) -> None:
    """Copy ggml's headers from a source tree into a build's directory.

    Raises:
        SourceUnavailableError: The tree has none, as trees from before August 2024.
    """
    files = [tree / GGML / part / name for part, names in NAMES.items() for name in names]
    missing = next((file.name for file in files if not file.is_file()), None)
    if missing:
        raise SourceUnavailableError(f"its sources have no {missing} below {GGML}")
    place = directory / FOLDER
    place.mkdir()
    for file in files:
        shutil.copyfile(file, place / file.name)


def headers_digest(headers: Path) -> str:
    """What tells the headers of one build from those of another, 16 hexadecimal digits."""
    found = hashlib.sha256()
    for name in sorted(chain.from_iterable(NAMES.values())):
        found.update(name.encode() + b"\0" + (headers / name).read_bytes() + b"\0")
    return found.hexdigest()[:16]


def headers_of(directory: Path, manifest: Manifest) -> Path | str:
    """Where a stored build's headers lie, or why it has none."""
    if HEADERS in manifest.details:
        return directory / FOLDER
    told = manifest.details.get(NO_HEADERS) or WITHOUT.get(manifest.source)
    return told or "the store has not looked for its headers yet"


def with_sources(build: Build) -> PackageFile | None:
    """The archive of a build's own sources; None where its catalogue file names none."""
    archives = (origin for origin in build.sources if isinstance(origin, PackageFile))
    return next((origin for origin in archives if not origin.is_wheel), None)


def fetched_headers(build: Build, source: object, workspace: Workspace) -> dict[str, str]:
    """Fetch a build's headers, if they can be had; what the manifest then says of them."""
    origin = with_sources(build)
    if origin is None or not isinstance(source, HasHeaders):
        return {NO_HEADERS: "no source of it is an archive of its sources"}
    try:
        source.deliver_headers(origin, workspace)
    except (HarnessError, OSError) as error:
        shutil.rmtree(workspace.output / FOLDER, ignore_errors=True)
        return {NO_HEADERS: f"its headers cannot be had: {error}"}
    return {HEADERS: origin.file}
