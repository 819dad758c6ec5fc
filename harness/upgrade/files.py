"""The files of command lines, as they are to be written."""

import difflib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from harness.config.paths import take_place
from harness.errors import FormatError, writing
from harness.formats import CommandLine, write_all
from harness.formats.document import decoded, encoded

_BACKUP: Final = ".orig"


def rewritten_files(
    path: Path,
    changes: Mapping[str, Sequence[CommandLine]],
    presets: Mapping[Path, str],
    kind: str | None = None,
) -> Mapping[Path, tuple[str, str]]:
    """Each file that changes, with its text before and after.

    Args:
        path: The file of the command lines.
        changes: Each of them by its name in the file: as it was read, after each change, and as
            it is to be.
        presets: Presets that they name, as they are to be.
        kind: The name of the file's format; told by its content where None.

    Raises:
        FormatError: A change cannot be written there.
    """
    text = decoded(path.read_bytes())
    found = {path: (text, _rewritten(text, path, changes, kind))}
    for preset, new in presets.items():
        found[preset] = (decoded(preset.read_bytes()), new)
    return {file: texts for file, texts in found.items() if texts[0] != texts[1]}


def _rewritten(
    text: str, path: Path, changes: Mapping[str, Sequence[CommandLine]], kind: str | None
) -> str:
    """A file's text with its command lines changed.

    One change after the other, so that a comment stays where it belongs; all at once where
    command lines share what changes.
    """
    try:
        written = text
        for name, stages in changes.items():
            for pair in pairwise(stages):
                written = write_all(written, {name: pair}, origin=str(path), format=kind, path=path)
    except FormatError:
        ends = {name: (stages[0], stages[-1]) for name, stages in changes.items()}
        return write_all(text, ends, origin=str(path), format=kind, path=path)
    return written


def diff(files: Mapping[Path, tuple[str, str]]) -> Iterator[str]:
    """A unified diff, as ``patch -p1`` takes it; each line with its end."""
    for path, (before, after) in files.items():
        name = path.relative_to(path.anchor).as_posix()
        lines = (before.splitlines(keepends=True), after.splitlines(keepends=True))
        for line in difflib.unified_diff(*lines, fromfile=f"a/{name}", tofile=f"b/{name}"):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def write_files(files: Mapping[Path, tuple[str, str]], *, backup: bool) -> None:
    """Replace each file as a whole, so that nobody ever reads half of it.

    Args:
        files: As ``rewritten_files`` gives them.
        backup: Whether to keep what was there, beside it.

    Raises:
        UsageError: A file cannot be written.
    """
    for named, (_, after) in files.items():
        path = named.resolve()  # a link stays one
        beside = path.with_name(f".{path.name}.upgraded")
        with writing(named):
            if backup:
                shutil.copy2(path, path.with_name(path.name + _BACKUP))
            try:
                beside.write_bytes(encoded(after, path.read_bytes()))
                shutil.copymode(path, beside)
                take_place(beside, path)
            finally:
                beside.unlink(missing_ok=True)
