"""Reading a text as a file of some name, with others beside it."""

from collections.abc import Mapping
from pathlib import Path

from harness.formats import CommandLine, CommandLines, read_file


def read(
    folder: Path, name: str, text: str, files: Mapping[str, str] | None = None
) -> CommandLines:
    for other, content in {**(files or {}), name: text}.items():
        path = folder / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return read_file(folder / name)


def only(folder: Path, name: str, text: str, files: Mapping[str, str] | None = None) -> CommandLine:
    (line,) = read(folder, name, text, files).values()
    return line
