"""The catalogue: which builds there are, where each can come from, and what is expected of it.

One TOML file per build, named after the build's id. The pinned files travel with the package; a
user's own (``llama-harness builds add``) stand beside the store and are read after them.
"""

import fnmatch
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeGuard, cast

import msgspec

from harness.builds.locations import user_catalogue_directory
from harness.config.paths import entries
from harness.config.toml_lines import line_of_field
from harness.errors import CatalogueError, UnknownBuildError
from harness.model import Flavour, SourceKind

UPSTREAM = "ggml-org/llama.cpp"

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
BuildId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
CmakeName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
RelativePath = Annotated[str, msgspec.Meta(pattern=r"^(?![/\\]|[A-Za-z]:)(?!.*\.\.)[^\\]*$")]


class _Origin(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"
):
    """What all origins share: the field ``kind`` tells them apart."""

    @property
    def kind(self) -> SourceKind:
        """Which kind of source this is."""
        return cast("SourceKind", self.__struct_config__.tag)


class PackageFile(_Origin, frozen=True, kw_only=True, tag="package"):
    """A file of a Python package index: an sdist to compile or a wheel to unpack.

    Attributes:
        project: The project's name on the index.
        version: Its version.
        file: The file's name; ``.whl`` is unpacked, anything else compiled.
        sha256: The digest that the file must have.
        tree: Where in an sdist the llama.cpp sources are, below its top folder.
        options: cmake options over the recipe's own, for a variant such as a CUDA server.
    """

    project: NonEmpty
    version: NonEmpty
    file: NonEmpty
    sha256: Sha256
    tree: RelativePath = ""
    options: dict[CmakeName, str] = msgspec.field(default_factory=dict)

    @property
    def is_wheel(self) -> bool:
        """Whether the file is a wheel, with nothing to compile."""
        return self.file.endswith(".whl")


class ReleaseAsset(_Origin, frozen=True, kw_only=True, tag="release"):
    """A GitHub release; the asset is chosen by host and era.

    Attributes:
        repository: ``owner/name``.
        tag: The release's tag.
        variant: ``cpu``, ``vulkan`` or a CUDA version such as ``cuda-12.4``.
        sha256: Pinned digests by asset name; an asset that is not listed is held against the
            digest that the API states.
    """

    tag: NonEmpty
    repository: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+/[\w.-]+$")] = UPSTREAM
    variant: NonEmpty = "cpu"
    sha256: dict[str, Sha256] = msgspec.field(default_factory=dict)


class GitReference(_Origin, frozen=True, kw_only=True, tag="git"):
    """A commit of a git repository, compiled.

    Attributes:
        url: Anything ``git fetch`` takes.
        ref: A tag, branch or full commit id.
        commit: The full commit id that the ref must lead to; not checked where empty.
        options: cmake options over the recipe's own, for a variant such as a CUDA server.
    """

    url: NonEmpty
    ref: NonEmpty
    commit: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{40})?$")] = ""
    options: dict[CmakeName, str] = msgspec.field(default_factory=dict)


class ContainerImage(_Origin, frozen=True, kw_only=True, tag="image"):
    """A container image that holds a llama-server.

    Attributes:
        reference: ``registry/name:tag``.
        digest: The image's ``sha256:...`` repository digest or id; not checked where empty.
        binary: The program's path in the image.
    """

    reference: NonEmpty
    digest: Annotated[str, msgspec.Meta(pattern="^(sha256:[0-9a-f]{64})?$")] = ""
    binary: NonEmpty = "/app/llama-server"


class LocalBinary(_Origin, frozen=True, kw_only=True, tag="local"):
    """A program on this machine.

    Attributes:
        path: A file, a directory to look in, or a bare name to look up on PATH.
        sha256: The digest that the file must have; not checked where empty.
    """

    path: NonEmpty
    sha256: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""


class EmulatedServer(_Origin, frozen=True, kw_only=True, tag="emulated"):
    """A small server of the harness's own, driven by a description.

    Attributes:
        description: The description's file name, beside the catalogue file.
    """

    description: RelativePath


Origin = PackageFile | ReleaseAsset | GitReference | ContainerImage | LocalBinary | EmulatedServer
"""One place where a build can come from; ``kind`` tells which source serves it."""


def is_compiled(origin: Origin) -> TypeGuard[PackageFile | GitReference]:
    """Whether a source compiles, and so gives what suits the host."""
    return isinstance(origin, GitReference) or (
        isinstance(origin, PackageFile) and not origin.is_wheel
    )


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the build's ``--help`` must show; a test holds it against the binary.

    Attributes:
        flavour: Spelling of the ngram-mod and draft-length flags; None where it has neither.
        speculative_types: Tokens of ``--spec-type``; empty where there is no such flag.
        takes_type_list: Whether ``--spec-type`` takes several tokens.
        mtp_token: The token that switches MTP on; None where there is none.
        spec_default: Whether ``--spec-default`` is offered.
        draft_length_flag: First spelling of the live draft length flag; None without one.
    """

    flavour: Flavour | None = None
    speculative_types: tuple[str, ...] = ()
    takes_type_list: bool = False
    mtp_token: str | None = None
    spec_default: bool = False
    draft_length_flag: str | None = None


class Build(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One ``llama-server`` program.

    Attributes:
        id: Readable and unique; a directory name on every system.
        number: Orders the builds. llama.cpp's build number where there is one.
        numbered: Whether ``number`` is upstream's build number, not only a place in the order.
        commit: The upstream commit, where known.
        date: Month or day of the sources, where no number tells it.
        fork: The fork's name; empty for upstream.
        profiles: The named selections it belongs to.
        sources: Where it can come from, in order of preference.
        expected: Facts about its command line; None where nobody stated them.
    """

    id: BuildId
    number: int
    sources: Annotated[tuple[Origin, ...], msgspec.Meta(min_length=1)]
    numbered: bool = True
    commit: str = ""
    date: str = ""
    fork: str = ""
    profiles: tuple[str, ...] = ()
    expected: Expected | None = None

    @property
    def flavour(self) -> Flavour | None:
        """The expected flavour; None where there is none or nobody stated it."""
        return self.expected.flavour if self.expected else None

    @property
    def upstream_number(self) -> int | None:
        """Upstream's number of the build, if need be as its release has it.

        None of a fork, and of a program of the user's own, which may be anything.
        """
        own = {"local", "emulated"}
        if self.fork or own.issuperset(origin.kind for origin in self.sources):
            return None
        if self.numbered:
            return self.number
        releases = (origin for origin in self.sources if isinstance(origin, ReleaseAsset))
        tags = (re.fullmatch(r"b(\d+)", one.tag) for one in releases if one.repository == UPSTREAM)
        return next((int(tag[1]) for tag in tags if tag), None)

    @property
    def emulated(self) -> bool:
        """Whether every source is the harness's own emulation."""
        return all(origin.kind == "emulated" for origin in self.sources)


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All known builds, oldest first."""

    builds: tuple[Build, ...]

    def get(self, build_id: str) -> Build:
        """Return the build of that id.

        Raises:
            UnknownBuildError: There is none.
        """
        for build in self.builds:
            if build.id == build_id:
                return build
        known = ", ".join(build.id for build in self.builds if not build.emulated)
        raise UnknownBuildError(
            f"unknown build {build_id!r}: the catalogue has {known}; "
            f"`llama-harness builds add {build_id}` looks for it elsewhere"
        )

    def select(self, globs: Sequence[str]) -> tuple[Build, ...]:
        """Return the builds that any of the globs matches, oldest first.

        Raises:
            UnknownBuildError: A glob matches nothing.
        """
        for glob in globs:
            if not any(fnmatch.fnmatchcase(build.id, glob) for build in self.builds):
                self.get(glob)
        return tuple(
            build
            for build in self.builds
            if any(fnmatch.fnmatchcase(build.id, glob) for glob in globs)
        )

    def profile(self, name: str) -> tuple[Build, ...]:
        """Return the builds of a profile, oldest first.

        Raises:
            UnknownBuildError: No build belongs to a profile of that name.
        """
        chosen = tuple(build for build in self.builds if name in build.profiles)
        if not chosen:
            names = sorted({profile for build in self.builds for profile in build.profiles})
            raise UnknownBuildError(f"unknown profile {name!r}: there are {', '.join(names)}")
        return chosen


def load_catalogue(directory: Path | None = None) -> Catalogue:
    """Read every catalogue file of a directory, or of the harness's own and the user's.

    Raises:
        CatalogueError: A file is wrong; the message names file, line and field.
    """
    directories = [directory] if directory else [pinned_directory(), user_catalogue_directory()]
    builds: dict[str, Build] = {}
    for each in directories:
        for file in (one for one in entries(each) if one.suffix == ".toml"):
            build = read_build(file)
            builds.setdefault(build.id, build)
    return Catalogue(
        builds=tuple(sorted(builds.values(), key=lambda build: (build.number, build.id)))
    )


def pinned_directory() -> Path:
    """Return the directory of the harness's own catalogue files, in a checkout or installed."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_fixtures" / "builds"
    return installed if installed.is_dir() else package.parent / "fixtures" / "builds"


def read_build(file: Path) -> Build:
    """Read one catalogue file.

    Raises:
        CatalogueError: It cannot be read, or is wrong; the message names file, line and field.
    """
    try:
        text = file.read_text(encoding="utf-8")
        build = msgspec.convert(tomllib.loads(text), Build)
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{file}: cannot be read as text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{file}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        unknown = re.search(r"unknown field `([^`]+)`", message)
        field = where.rstrip("`").lstrip(".")
        if unknown:
            field = f"{field}.{unknown[1]}".lstrip(".")
        line = line_of_field(text, field)
        named = f": field {field}" if field else ""
        raise CatalogueError(f"{file}:{line}{named}: {message}") from error
    if build.id != file.stem:
        line = line_of_field(text, "id")
        raise CatalogueError(
            f"{file}:{line}: field id: {build.id!r} must be the file's own name, {file.stem!r}"
        )
    return build
