"""Releases on the user's package index whose llama.cpp build ``releases.toml`` does not tell yet.

    python -m tests.package_releases

Prints the lines to add. Older releases than the oldest whose build is known are left out.
"""

import re
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.version import Version

from harness.builds.offers import SERIES, PackageSeries
from harness.builds.sources.index import IndexFile, PackageIndexes
from harness.errors import SourceUnavailableError
from harness.terminal import Progress

_PROGRAM = re.compile(r"/llama-b(\d+)-bin-[^/]+\.zip$")
"""A Windows program of an upstream release, which an archive may hold beside the sources."""


def missing_lines(index: PackageIndexes) -> Iterator[str]:
    """The tables to add to, and what there is to add; a release that tells nothing is named."""
    for series in SERIES:
        try:
            unknown = _unknown(series, index.files(series.project))
        except SourceUnavailableError as error:
            yield f"# {series.project}: {error}"
            continue
        if unknown:
            yield f"[{series.project}]"
        for file in unknown:
            number = _number(series, file, index)
            told = number or f"?  # {file.name} does not name its build"
            yield f'"{file.version}" = {told}'


def _unknown(series: PackageSeries, files: Iterable[IndexFile]) -> list[IndexFile]:
    usable = {
        Version(file.version): file
        for file in files
        if file.name.endswith(series.suffix) and not file.yanked
    }
    known = {version for version, file in usable.items() if series.number(file.version) is not None}
    oldest = min(known, default=Version("0"))
    return [usable[version] for version in sorted(usable.keys() - known) if version > oldest]


def _number(series: PackageSeries, file: IndexFile, index: PackageIndexes) -> int | None:
    if not file.name.endswith(".tar.gz"):
        return None
    with TemporaryDirectory() as directory:
        archive = index.fetch(
            series.project,
            file.name,
            sha256=file.sha256,
            directory=Path(directory),
            progress=Progress(),
        )
        with tarfile.open(archive) as tree:
            found = {int(told[1]) for name in tree.getnames() if (told := _PROGRAM.search(name))}
    return found.pop() if len(found) == 1 else None


if __name__ == "__main__":
    lines = tuple(missing_lines(PackageIndexes()))
    sys.stdout.write("\n".join(lines or ("the build of every release is known",)) + "\n")
