"""A file as formats look at it, and the files beside it."""

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from harness.errors import FormatError
from harness.formats.command_line import PlacedLine
from harness.formats.traced import Traced

if TYPE_CHECKING:
    from harness.formats.nodes import MapNode, Node

SIZE_LIMIT: Final = 1024 * 1024
_JSON: Final = re.compile(r"\s*(?://[^\n]*\s*)*(?:\{\s*(?:[\"}/]|$)|\[\s*(?:[\"\]\d\[{/]|$))")
_YAML: Final = re.compile(
    r"(?:[ \t\r]*(?:#[^\n]*|\{\{[^\n]*)?\n)*[ ]*(?:---|%YAML|- |[\w.\"'*&/-]+[\"']?[ ]*:(?:\s|$))"
)


class Document:
    """A text that may be of some format: a whole file, or one that stands within another.

    Attributes:
        source: The text.
        file: The whole file that it stands in.
        origin: Where it is from, for messages.
        path: The file; None where the text is from elsewhere.
    """

    def __init__(self, source: Traced, file: str, origin: str, path: Path | None = None) -> None:
        self.source = source
        self.file = file
        self.origin = origin
        self.path = path

    @property
    def text(self) -> str:
        """The text alone."""
        return self.source.text

    @property
    def suffix(self) -> str:
        """The ending of the file's name, in lower case."""
        return self.path.suffix.lower() if self.path else ""

    def within(self, source: Traced) -> "Document":
        """A text that stands in this one."""
        return Document(source, self.file, self.origin, self.path)

    def refuse(self, why: str) -> NoReturn:
        """Say why it cannot be read.

        Raises:
            FormatError: Always.
        """
        raise FormatError(f"{self.origin}: {why}")

    def beside(self, name: str) -> str | None:
        """The text of a file that this one names; None where it is not there.

        One that is named with the path it has on another machine is looked for beside this one
        as well: people keep a unit and its environment file together.
        """
        if self.path is None or not name or "\0" in name:
            return None
        folder = self.path.parent
        for candidate in (folder / name, folder / Path(name).name):
            text = readable(candidate)
            if text is not None:
                return text
        return None

    @cached_property
    def nodes(self) -> "tuple[Node, ...]":
        """The documents of JSON or YAML that it holds; none where it is neither."""
        return self._tree[0]

    @property
    def trouble(self) -> str | None:
        """Why it is not the JSON or YAML that it looks like; None where it is."""
        return self._tree[1]

    @property
    def is_malformed(self) -> bool:
        """Whether it claims to be JSON or YAML and is not."""
        is_json = (self.trouble or "").startswith("is not JSON")
        return is_json or bool(self.trouble and self.suffix in {".yaml", ".yml"})

    @property
    def is_script(self) -> bool:
        """Whether it says itself that it is for a shell."""
        return self.suffix in {".sh", ".bash", ".zsh"} or self.text.startswith("#!")

    @cached_property
    def _tree(self) -> "tuple[tuple[Node, ...], str | None]":
        from harness.formats.json_nodes import read_json
        from harness.formats.yaml_nodes import read_yaml, without_templates

        is_json = bool(_JSON.match(self.text))
        try:
            if is_json:
                return (read_json(self.source, self.file),), None
            if not _YAML.match(self.text):
                return (), None
            try:
                return tuple(read_yaml(self.source, self.file)), None
            except ValueError:
                plain = without_templates(self.source)
                if plain is None:
                    raise
                return tuple(read_yaml(plain, self.file)), None
        except ValueError as error:
            return (), f"is not {'JSON' if is_json else 'YAML'}: {error}"

    @property
    def mapping(self) -> "MapNode | None":
        """The mapping that its first document is; None where it is none."""
        from harness.formats.nodes import MapNode

        first = self.nodes[0] if self.nodes else None
        return first if isinstance(first, MapNode) else None


class Format(Protocol):
    """One kind of file that command lines are kept in."""

    @property
    def LOOKED_FOR(self) -> str:  # noqa: N802 - the constant of a module
        """What a file of it has, for the message about one of no known kind."""

    def recognises(self, document: Document) -> bool:
        """Whether a file is of this kind, by its content."""

    def read(self, document: Document) -> "Contents":
        """Its command lines.

        Raises:
            FormatError: The file is of this kind, and cannot be read.
        """


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a format found in a file.

    Attributes:
        lines: Command lines by name.
        unread: Why each of those that cannot be read cannot be, by name.
    """

    lines: Mapping[str, PlacedLine]
    unread: Mapping[str, str]


def readable(path: Path) -> str | None:
    """A text file's content; None where there is none that can be read.

    A device or a file of ``/proc`` is none: it may never end.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > SIZE_LIMIT:
            return None
        return decoded(path.read_bytes()) if status.st_size else ""
    except (OSError, ValueError):
        return None


def decoded(data: bytes) -> str:
    """Text of a file, by the mark that it begins with; UTF-8 where it has none.

    Raises:
        UnicodeDecodeError: It is no text.
    """
    return data.decode(encoding_of(data))


def encoded(text: str, before: bytes) -> bytes:
    """The data of a file for a text, in the encoding and byte order that the file had before."""
    encoding = encoding_of(before)
    if encoding != "utf-16":
        return text.encode(encoding)
    order = "le" if before.startswith(b"\xff\xfe") else "be"
    return before[:2] + text.encode(f"utf-16-{order}")


def encoding_of(data: bytes) -> str:
    """What a file is written in: Windows programs mark theirs."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
