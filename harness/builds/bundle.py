"""Bundles: archives that carry builds, their sources and the harness itself to another machine."""

import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from io import BytesIO
from pathlib import Path

import msgspec

from harness.builds.archives import unpack
from harness.builds.catalogue import Build, PackageFile, read_build
from harness.builds.digest import sha256_of
from harness.builds.manifest import Manifest, digests
from harness.builds.offers import catalogue_text
from harness.builds.sources.image import INTERPRETER
from harness.builds.sources.index import PackageIndexes
from harness.builds.sources.package import packed_archive
from harness.builds.store import Store, matches
from harness.builds.upkeep import verify
from harness.config.paths import take_place
from harness.errors import DigestMismatchError, SourceUnavailableError, StoreError
from harness.terminal import Progress

_INDEX = "llama-harness-builds.json"
_INSTALLER = "install.py"
_COMPRESSION: Mapping[str, str] = {".xz": "w:xz", ".txz": "w:xz", ".tar": "w"}


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry of a bundle: what follows, and on what it runs."""

    platform: str
    builds: dict[str, Manifest]
    sources: dict[str, str] = msgspec.field(default_factory=dict)
    """Archives under ``sources/`` by name, each with its SHA-256."""


def source_archives(
    builds: Iterable[Build], store: Store, scratch: Path, progress: Progress
) -> list[Path]:
    """Return the pinned package files of builds; they are fetched where no bundle brought them.

    Raises:
        SourceUnavailableError: A build has no package as its source, or its file cannot be had.
        DigestMismatchError: A file is not the pinned one.
    """
    indexes = PackageIndexes()
    archives: dict[str, Path] = {}
    for build in builds:
        origin = next((each for each in build.sources if isinstance(each, PackageFile)), None)
        if origin is None:
            raise SourceUnavailableError(f"{build.id} has no package as its source to be packed")
        if origin.file not in archives:
            archive = packed_archive(store.packed, origin)
            if archive is None:
                fetched = indexes.fetch(
                    origin.project,
                    origin.file,
                    sha256=origin.sha256,
                    directory=scratch,
                    progress=progress,
                )
                archive = fetched.rename(scratch / origin.file)
            archives[origin.file] = archive
    return list(archives.values())


def export_bundle(
    store: Store,
    target: Path,
    *,
    builds: Sequence[Build] = (),
    sources: Sequence[Build] = (),
    archives: Sequence[Path] = (),
    wheels: Sequence[Path] = (),
) -> None:
    """Write a bundle: ``.tar`` as it is, ``.tar.xz`` small, anything else as gzip.

    Args:
        store: What holds the builds.
        target: The archive.
        builds: Builds that go in as programs.
        sources: Builds that go in as the archives that they are made from.
        archives: Those archives.
        wheels: The harness and what it needs; with them the bundle gets an installer.

    Raises:
        StoreError: A build is not in the store, is a local program, or does not verify; or the
            archive cannot be written.
    """
    manifests = {build.id: _exportable(store, build) for build in builds}
    index = _Index(
        platform=str(store.platform),
        builds=manifests,
        sources={archive.name: sha256_of(archive) for archive in archives},
    )
    part = target.with_name(f"{target.name}.part")
    try:
        with tarfile.open(part, _COMPRESSION.get(target.suffix, "w:gz")) as archive:  # type: ignore[call-overload]
            _add(archive, _INDEX, msgspec.json.encode(index))
            for build in (*builds, *sources):
                _add(archive, f"catalogue/{build.id}.toml", catalogue_text(build).encode())
            for build in builds:
                archive.add(store.directory(build.id), f"builds/{build.id}")
            for folder, files in (("sources", archives), ("wheels", wheels)):
                for file in files:
                    archive.add(file, f"{folder}/{file.name}")
            if wheels:
                installer = resources.files("harness.builds") / "bundle_installer.py"
                _add(archive, _INSTALLER, installer.read_bytes())
        take_place(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from error


def _exportable(store: Store, build: Build) -> Manifest:
    acquired = store.find(build)
    if acquired is None:
        raise StoreError(f"{build.id} is not in the store: `llama-harness builds get {build.id}`")
    if acquired.manifest.source == "local":
        raise StoreError(f"{build.id} is a program of this machine and cannot be exported")
    if INTERPRETER in acquired.manifest.details:
        raise StoreError(
            f"{build.id} runs in containers of this machine's engine and cannot be exported: "
            f"`llama-harness builds get {build.id} --extract` first"
        )
    if problems := verify(store, build.id):
        raise StoreError(f"{build.id} is damaged, get it again: {problems[0]}")
    return acquired.manifest


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    archive.addfile(info, BytesIO(content))


def import_bundle(store: Store, bundle: Path, known: Iterable[Build]) -> tuple[str, ...]:
    """Put what a bundle brings into the store; return the names of its builds and archives.

    Builds that the catalogue does not know get a catalogue file in the store.

    Args:
        store: Where to.
        bundle: The archive, or the directory that it was unpacked into.
        known: The catalogue's builds.

    Raises:
        SourceUnavailableError: It is no bundle, is damaged, or is for another platform.
        DigestMismatchError: A file in it is not what its index says, or a build in it is not the
            one that the catalogue pins.
    """
    if not bundle.exists():
        raise SourceUnavailableError(f"{bundle} is not a file")
    with store.workspace("@import") as work:
        place = bundle
        if not bundle.is_dir():
            place = work / "unpacked"
            place.mkdir()
            unpack(bundle, place)
        return _import(store, place, bundle.name, {build.id: build for build in known}, work)


def _import(
    store: Store, place: Path, name: str, pinned: Mapping[str, Build], work: Path
) -> tuple[str, ...]:
    try:
        index = msgspec.json.decode((place / _INDEX).read_bytes(), type=_Index)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise SourceUnavailableError(
            f"{name} was not made by `llama-harness builds export`"
        ) from error
    if index.builds and index.platform != str(store.platform):
        raise SourceUnavailableError(
            f"{name} holds builds for {index.platform}, this host is {store.platform}"
        )
    described = {file.stem: read_build(file) for file in (place / "catalogue").glob("*.toml")}
    for build_id, manifest in index.builds.items():
        _check_build(place, manifest, pinned.get(build_id) or described[build_id])
    for file, digest in index.sources.items():
        _check_source(place / "sources" / file, digest, [*pinned.values(), *described.values()])
    for build_id in index.builds:
        # A copy, for a bundle that was unpacked by its user stays whole.
        copy = shutil.copytree(place / "builds" / build_id, work / "copy", symlinks=True)
        store.put(build_id, copy)
    for file in index.sources:
        _keep(place / "sources" / file, store.packed / file)
    for build_id in described.keys() - pinned.keys():
        text = (place / f"catalogue/{build_id}.toml").read_text(encoding="utf-8")
        store.add_to_catalogue(build_id, text)
    return (*sorted(index.builds), *sorted(index.sources))


def _keep(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(file, part)
    take_place(part, target)


def _check_build(place: Path, manifest: Manifest, described: Build) -> None:
    directory = place / "builds" / described.id
    if not directory.is_dir() or digests(directory) != manifest.files:
        raise DigestMismatchError(
            f"{described.id}: its files are not those that its manifest lists; nothing was imported"
        )
    if not any(matches(origin, manifest) for origin in described.sources):
        raise DigestMismatchError(
            f"{described.id}: the archive's was made from {manifest.asset}, which is not what the "
            "catalogue pins; nothing was imported"
        )


def _check_source(file: Path, digest: str, builds: Iterable[Build]) -> None:
    if not file.is_file() or sha256_of(file) != digest:
        raise DigestMismatchError(
            f"{file.name}: it is not the file that the index lists; nothing was imported"
        )
    pins = {
        origin.sha256
        for build in builds
        for origin in build.sources
        if isinstance(origin, PackageFile) and origin.file == file.name
    }
    if digest not in pins:
        raise DigestMismatchError(
            f"{file.name}: its SHA-256 is {digest}, which no build is pinned to; nothing was "
            "imported"
        )
