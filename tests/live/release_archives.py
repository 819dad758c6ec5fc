"""Real builds packed as upstream's release archives of each era were."""

import gzip
import io
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.builds.sources.base import is_shared_library

_VERSIONED = re.compile(r"(?P<soname>(?P<plain>.+\.so)\.\d+)\.\d+.*")
"""``libllama.so.0.1.0``: the file itself, which ``libllama.so.0`` and ``libllama.so`` lead to."""


def programs_and_libraries(directory: Path) -> Iterator[tuple[str, Path]]:
    """The server, and each of its libraries once, under the name that the loader asks for."""
    files = {path.name: path for path in sorted(directory.iterdir())}
    versioned = [found for name in files if (found := _VERSIONED.fullmatch(name))]
    doubles = {each[0] for each in versioned} | {each["plain"] for each in versioned}
    for name, path in files.items():
        if name == "llama-server" or (is_shared_library(path) and name not in doubles):
            yield name, path


def zip_in_build_bin(directory: Path) -> bytes:
    """Linux and macOS up to b7224: ``build/bin``, no mode, every link a file, no symbolic ones."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("build/bin/LICENSE-curl", "text\n")
        for name, path in programs_and_libraries(directory):
            entry = zipfile.ZipInfo(f"build/bin/{name}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0
            archive.writestr(entry, path.read_bytes())
    return packed.getvalue()


def tar_in_build_bin(directory: Path) -> bytes:
    """The first tarballs, b7224: as the zips beside them."""
    return _tar(directory, "build/bin", links=False)


def tar_in_own_folder(directory: Path) -> bytes:
    """From b7278: one folder, named after the tag, whose libraries are relative symbolic links."""
    return _tar(directory, "llama-{T}", links=True)


def _tar(directory: Path, folder: str, *, links: bool) -> bytes:
    packed = io.BytesIO()
    with _tarball(packed) as archive:
        for name, path in programs_and_libraries(directory):
            if links and is_shared_library(path):
                real = f"{name}.1.0"
                archive.add(path, f"{folder}/{real}")
                link(archive, f"{folder}/{name}", real)
            else:
                archive.add(path, f"{folder}/{name}")
    return packed.getvalue()


@contextmanager
def _tarball(out: io.BytesIO) -> Iterator[tarfile.TarFile]:
    """The same bytes for the same content: the time is left out."""
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        yield archive


def link(archive: tarfile.TarFile, name: str, leads_to: str) -> None:
    """Add a symbolic link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, leads_to
    archive.addfile(info)


def with_entries(packed: bytes, *entries: tarfile.TarInfo) -> bytes:
    """The same tarball with more entries, put in front."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packed)) as source,
        _tarball(out) as archive,
    ):
        for entry in entries:
            archive.addfile(entry, io.BytesIO(b"x" * entry.size))
        for member in source:
            archive.addfile(member, source.extractfile(member) if member.isreg() else None)
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, leads_to: str = "") -> tarfile.TarInfo:
    """An entry of a tarball."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, leads_to
    info.size = 1 if kind == tarfile.REGTYPE else 0
    info.mode = stat.S_IRUSR | stat.S_IWUSR
    return info
