"""What the store knows of a build it holds: written once, beside the binary."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePath

import msgspec

from harness.builds.digest import sha256_of
from harness.builds.hosts import HostFingerprint
from harness.config.paths import take_place
from harness.model import SourceKind

NAME = "manifest.json"

OWN_OPTIONS = "own_options"
"""The manifest's detail that names the options a source adds; absent where it adds none."""


class Qualification(msgspec.Struct, frozen=True, kw_only=True):
    """What came of trying a build on one host.

    Attributes:
        host: The host.
        at: When, UTC.
        refusal: Why it does not run there; empty where it does.
        untried: Why it could not be tried there; empty where it was.
    """

    host: HostFingerprint
    at: datetime
    refusal: str = ""
    untried: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Where a build came from and how it was made.

    Attributes:
        build: The build's id.
        number: The number the catalogue gives it.
        source: The kind of source.
        asset: What was fetched: a file name, tag, commit or path; no host.
        sha256: The asset's digest; empty where it has none.
        binary: The program, relative to the build's directory; absolute for a local one.
        env: Variables it needs; ``{directory}`` stands for the build's directory.
        details: Compiler, options, commit and the like.
        reported_version: The binary's own ``--version``: an observation, not an identity.
        seconds: Wall time of the whole acquisition.
        acquired: When, UTC.
        files: SHA-256 of every file, by path relative to the build's directory.
        qualified: What came of trying it, by host, the newest last.
    """

    build: str
    number: int
    source: SourceKind
    asset: str
    sha256: str
    binary: str
    env: dict[str, str]
    details: dict[str, str]
    reported_version: str
    seconds: float
    acquired: datetime
    files: dict[str, str]
    qualified: tuple[Qualification, ...] = ()

    def qualification(self, host: HostFingerprint) -> Qualification | None:
        """What came of trying it on a host; None where nobody did."""
        return next((one for one in self.qualified if one.host == host), None)


def read_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of a build's directory; None where there is no readable one."""
    try:
        text = (directory / NAME).read_bytes()
        try:
            manifest = msgspec.json.decode(text, type=Manifest)
        except msgspec.ValidationError:
            # A record of trials that cannot be read costs no more than another trial.
            manifest = msgspec.convert({**msgspec.json.decode(text), "qualified": ()}, Manifest)
    except (OSError, ValueError, TypeError, msgspec.DecodeError):
        return None
    return manifest if _is_sound(manifest) else None


def _is_sound(manifest: Manifest) -> bool:
    """Whether a manifest names a program of its own build and variables that a system takes."""
    place = PurePath(manifest.binary)
    inside = not place.is_absolute() and ".." not in place.parts and bool(place.parts)
    words = [manifest.binary, *manifest.env, *manifest.env.values()]
    if any("\0" in word for word in words) or any("=" in name for name in manifest.env):
        return False
    return inside or manifest.source == "local"


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write a manifest into a build's directory."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    part = directory / f"{NAME}.{os.getpid()}.part"
    part.write_bytes(text + b"\n")
    take_place(part, directory / NAME)


def digests(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a build's directory but its manifest."""
    return {
        path.relative_to(directory).as_posix(): sha256_of(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / NAME
    }


def options_text(options: Mapping[str, str]) -> str:
    """Return cmake options as the manifest keeps them."""
    return " ".join(f"{name}={value}" for name, value in sorted(options.items()))
