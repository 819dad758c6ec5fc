"""Unpacking archives that nobody has vouched for: nothing may land outside the target."""

import os
import shutil
import stat
import sys
import zipfile
from pathlib import Path, PurePosixPath

if sys.version_info >= (3, 12):
    import tarfile
else:  # without filters before 3.11.4, which Debian 12 does not have
    from backports import tarfile

from harness.errors import SourceUnavailableError

_LIMIT_BYTES = 8 * 2**30


def unpack(archive: Path, target: Path, *, below: str = "") -> None:
    """Unpack a tar (any compression) or zip archive into a directory.

    Links are kept only where they stay inside; modes are kept where the archive has them.

    Args:
        archive: The file.
        target: The directory; made if missing.
        below: Unpack only what lies below this path inside the archive's single top folder.

    Raises:
        SourceUnavailableError: The archive is damaged, truncated, of no known kind, too large,
            or an entry would escape from the target.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        # A tar archive that ends with a zip file, such as a wheel, looks like that zip file too.
        if zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive):
            _unpack_zip(archive, target, below)
        else:
            _unpack_tar(archive, target, below)
    except tarfile.FilterError as error:
        raise SourceUnavailableError(
            f"{archive.name}: refused, an entry would escape from the archive: {error}"
        ) from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise SourceUnavailableError(
            f"{archive.name}: not a whole archive ({_first_line(error)}); fetch it again"
        ) from error
    except OSError as error:
        if error.errno is None or "zlib" in str(error):
            raise SourceUnavailableError(f"{archive.name}: damaged archive: {error}") from error
        raise


def _unpack_tar(archive: Path, target: Path, below: str) -> None:
    total = 0

    def choose(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        nonlocal total
        safe = tarfile.data_filter(member, path)
        if safe is None:
            return None
        if not _lies_below(safe.name, below):
            return None
        total += safe.size
        if total > _LIMIT_BYTES:
            raise tarfile.TarError(f"more than {_LIMIT_BYTES >> 30} GiB unpacked")
        return safe

    with tarfile.open(archive, "r:*") as tar:
        tar.extractall(target, filter=choose)


def _lies_below(name: str, below: str) -> bool:
    """Whether an entry lies below a path inside its top folder, or is that path itself."""
    wanted = PurePosixPath(below).parts
    return PurePosixPath(name).parts[1 : 1 + len(wanted)] == wanted


def _unpack_zip(archive: Path, target: Path, below: str) -> None:
    root = target.resolve()
    with zipfile.ZipFile(archive) as package:
        entries = [entry for entry in package.infolist() if _lies_below(entry.filename, below)]
        if sum(entry.file_size for entry in entries) > _LIMIT_BYTES:
            raise zipfile.BadZipFile(f"more than {_LIMIT_BYTES >> 30} GiB unpacked")
        links: list[tuple[Path, str]] = []
        for entry in entries:
            place = _inside(root, entry.filename, archive)
            mode = entry.external_attr >> 16
            if entry.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            elif stat.S_ISLNK(mode):
                links.append((place, package.read(entry).decode("utf-8")))
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                with package.open(entry) as source, place.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                if stat.S_IMODE(mode):
                    place.chmod(stat.S_IMODE(mode) & 0o755 | 0o600)
    # Links come last, so that no entry can be written through one.
    for place, leads_to in links:
        _inside(root, (place.parent.relative_to(root) / leads_to).as_posix(), archive)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(leads_to)


def _inside(root: Path, name: str, archive: Path) -> Path:
    parts = PurePosixPath(name.replace("\\", "/"))
    place = Path(os.path.normpath(root / parts))
    if parts.is_absolute() or ":" in name or not place.is_relative_to(root):
        raise SourceUnavailableError(
            f"{archive.name}: refused, entry {name!r} would escape from the archive"
        )
    return place


def find_program(directory: Path, name: str) -> Path | None:
    """Return the shallowest file of that name below a directory, None if there is none."""
    found = [path for path in directory.rglob(name) if path.is_file()]
    return min(found, key=lambda path: (len(path.parts), path.as_posix()), default=None)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(":") if lines else type(error).__name__
