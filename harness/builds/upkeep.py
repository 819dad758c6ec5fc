"""Keeping a store: verifying and clearing it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.builds.digest import sha256_of
from harness.builds.manifest import digests, read_manifest
from harness.builds.store import Store
from harness.config.paths import entries, is_file, size_below


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """What clearing the store did; sizes in bytes."""

    removed: tuple[str, ...]
    freed: int
    kept: int


def verify(store: Store, build_id: str) -> tuple[str, ...]:
    """Compare every file of a build with the digests that its manifest recorded.

    Returns what is wrong, one line each; empty if all is well.
    """
    directory = store.directory(build_id)
    manifest = read_manifest(directory)
    if manifest is None:
        return ("it has no readable manifest",)
    problems = []
    if manifest.source == "local":
        binary = Path(manifest.binary)
        if not is_file(binary):
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
    return tuple(problems)


def held(store: Store) -> list[str]:
    """Return the ids of all builds that a store holds."""
    directory = store.root / "builds"
    return [path.name for path in entries(directory)]


def clear(store: Store, *, limit_bytes: int) -> Cleared:
    """Remove builds, least recently used first, until the store is within a limit.

    A build that a process runs, or acquires just now, stays; so do models and the catalogue. What
    killed acquisitions left behind goes in any case.
    """
    store.remove_leftovers()
    sizes = {build_id: size_below(store.directory(build_id)) for build_id in held(store)}
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
            with store.scratch_of(build_id) as scratch:
                directory.replace(scratch / "removed")
        removed.append(build_id)
        total -= sizes[build_id]
    return Cleared(removed=tuple(removed), freed=sum(sizes[each] for each in removed), kept=total)


def _running_programs() -> Iterable[Path]:
    import psutil

    for process in psutil.process_iter(["exe"]):
        if process.info["exe"]:
            yield Path(process.info["exe"])


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
