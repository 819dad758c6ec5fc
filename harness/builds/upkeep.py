"""Keeping a store: verifying it, clearing it, and moving builds between machines."""

import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import msgspec

from harness.builds.archives import unpack
from harness.builds.catalogue import Build, read_build
from harness.builds.digest import sha256_of
from harness.builds.manifest import Manifest, digests, read_manifest
from harness.builds.offers import catalogue_text
from harness.builds.store import Store
from harness.errors import DigestMismatchError, SourceUnavailableError, StoreError

_INDEX = "llama-harness-builds.json"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What verifying one build found.

    Attributes:
        build_id: The build.
        problems: One line each; empty if all is well.
    """

    build_id: str
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """What clearing the store did; sizes in bytes."""

    removed: tuple[str, ...]
    freed: int
    kept: int


class _Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry of an exported archive: what follows, and on what it runs."""

    platform: str
    builds: dict[str, Manifest]


def verify(store: Store, build_id: str) -> Verified:
    """Compare every file of a build with the digests that its manifest recorded."""
    directory = store.directory(build_id)
    manifest = read_manifest(directory)
    if manifest is None:
        return Verified(build_id=build_id, problems=("it has no readable manifest",))
    problems = []
    if manifest.source == "local":
        binary = Path(manifest.binary)
        if not binary.is_file():
            problems.append(f"{binary} is gone")
        elif sha256_of(binary) != manifest.sha256:
            problems.append(f"{binary} has changed")
    else:
        found = digests(directory)
        for name, digest in manifest.files.items():
            if name not in found:
                problems.append(f"{name} is missing")
            elif found[name] != digest:
                problems.append(f"{name} has changed: SHA-256 {found[name]}, was {digest}")
        problems += [f"{name} was not there" for name in found if name not in manifest.files]
    return Verified(build_id=build_id, problems=tuple(problems))


def held(store: Store) -> list[str]:
    """Return the ids of all builds that a store holds."""
    directory = store.root / "builds"
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def clear(store: Store, *, limit_bytes: int) -> Cleared:
    """Remove builds, least recently used first, until the store is within a limit.

    A build that a process runs, or acquires just now, stays; so do models and the catalogue.
    """
    sizes = {build_id: _size(store.directory(build_id)) for build_id in held(store)}
    order = sorted(sizes, key=lambda build_id: store.directory(build_id).stat().st_mtime)
    total = sum(sizes.values())
    running = list(_running_programs())
    removed: list[str] = []
    for build_id in order:
        if total <= limit_bytes:
            break
        directory = store.directory(build_id)
        if any(program.is_relative_to(directory) for program in running):
            continue
        with store.try_lock(build_id) as locked:
            if not locked:
                continue
            # Out of sight first: a build is in the store whole or not at all.
            grave = Path(tempfile.mkdtemp(prefix=f"{build_id}~", dir=store.scratch()))
            directory.replace(grave / "removed")
            shutil.rmtree(grave, ignore_errors=True)
        removed.append(build_id)
        total -= sizes[build_id]
    return Cleared(removed=tuple(removed), freed=sum(sizes[each] for each in removed), kept=total)


def _size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())


def _running_programs() -> Iterable[Path]:
    import psutil

    for process in psutil.process_iter(["exe"]):
        if process.info["exe"]:
            yield Path(process.info["exe"])


def export_builds(store: Store, builds: Sequence[Build], target: Path) -> None:
    """Pack acquired builds and their catalogue files into one archive.

    Raises:
        StoreError: One of them is not in the store, is a local program, or does not verify; or the
            archive cannot be written.
    """
    manifests: dict[str, Manifest] = {}
    for build in builds:
        acquired = store.find(build)
        if acquired is None:
            raise StoreError(
                f"{build.id} is not in the store: `llama-harness builds get {build.id}`"
            )
        if acquired.manifest.source == "local":
            raise StoreError(f"{build.id} is a program of this machine and cannot be exported")
        if problems := verify(store, build.id).problems:
            raise StoreError(f"{build.id} is damaged, get it again: {problems[0]}")
        manifests[build.id] = acquired.manifest
    index = _Bundle(platform=str(store.platform), builds=manifests)
    part = target.with_name(f"{target.name}.part")
    try:
        with tarfile.open(part, "w:gz", compresslevel=6) as archive:
            _add(archive, _INDEX, msgspec.json.encode(index))
            for build in builds:
                _add(archive, f"catalogue/{build.id}.toml", catalogue_text(build).encode())
                archive.add(store.directory(build.id), f"builds/{build.id}")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from error


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, BytesIO(content))


def import_builds(store: Store, archive: Path, known: Iterable[Build]) -> list[str]:
    """Put the builds of an exported archive into the store; return their ids.

    Builds that the catalogue does not know get a catalogue file in the store.

    Raises:
        SourceUnavailableError: It is no such archive, is damaged, or is for another platform.
        DigestMismatchError: A file in it is not what its manifest says, or a build in it is not
            the one that the catalogue pins.
    """
    pinned = {build.id: build for build in known}
    if not archive.is_file():
        raise SourceUnavailableError(f"{archive} is not a file")
    work = Path(tempfile.mkdtemp(prefix="import~", dir=store.scratch()))
    try:
        unpack(archive, work)
        try:
            bundle = msgspec.json.decode((work / _INDEX).read_bytes(), type=_Bundle)
        except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
            raise SourceUnavailableError(
                f"{archive.name} was not made by `llama-harness builds export`"
            ) from error
        if bundle.platform != str(store.platform):
            raise SourceUnavailableError(
                f"{archive.name} holds builds for {bundle.platform}, this host is {store.platform}"
            )
        for build_id, manifest in bundle.builds.items():
            _check(work, build_id, manifest, pinned.get(build_id))
        for build_id in bundle.builds:
            store.put(build_id, work / "builds" / build_id)
            if build_id not in pinned:
                store.add_to_catalogue(
                    build_id, (work / f"catalogue/{build_id}.toml").read_text(encoding="utf-8")
                )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return sorted(bundle.builds)


def _check(work: Path, build_id: str, manifest: Manifest, pinned: Build | None) -> None:
    from harness.builds.store import matches

    directory = work / "builds" / build_id
    if not directory.is_dir() or digests(directory) != manifest.files:
        raise DigestMismatchError(
            f"{build_id}: its files are not those that its manifest lists; nothing was imported"
        )
    described = pinned or read_build(work / "catalogue" / f"{build_id}.toml")
    if not any(matches(origin, manifest) for origin in described.sources):
        raise DigestMismatchError(
            f"{build_id}: the archive's was made from {manifest.asset}, which is not what the "
            "catalogue pins; nothing was imported"
        )


def parse_size(text: str) -> int:
    """Read a size such as ``500M`` or ``2G`` (powers of 1000).

    Raises:
        ValueError: It is no size.
    """
    units = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    number = text.strip().upper().removesuffix("B")
    unit = number[-1:] if number[-1:] in units and not number[-1:].isdigit() else ""
    size = float(number.removesuffix(unit)) * units[unit]
    if size < 0 or size != size:  # noqa: PLR0124  # not a number
        raise ValueError(text)
    return int(size)
