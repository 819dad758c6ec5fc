"""``.env`` files: one ``NAME=value`` a line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from harness.formats.command_line import PlacedLine, Variable
from harness.formats.document import Contents, Document
from harness.formats.interpolation import interpolated
from harness.formats.places import BlankRow, Edit, OwnLine, place_of
from harness.formats.traced import Spot, Traced
from harness.formats.words import no_reference, stands

LOOKED_FOR: Final = "lines NAME=value with some LLAMA_… among them (.env)"

_LINE: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*")
_SET: Final = re.compile(r"[ \t]*(?:export[ \t]+)?[A-Za-z_]\w*=")
_OTHER_COMMAND: Final = re.compile(
    r"^[ \t]*(?:export[ \t]+)?[A-Za-z_]\w*=[^\s'\"#]*[ \t]+[^\s#]", re.M
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def recognises(document: Document) -> bool:
    """Whether every line sets a variable, one of them of the server's."""
    lines = [line for line in document.text.splitlines() if line.strip()]
    kept = [line for line in lines if not line.lstrip().startswith("#")]
    named = document.path is not None and document.path.name.startswith(".env")
    return (
        bool(kept)
        and all(_SET.match(line) for line in kept)
        and any(re.match(r"[ \t]*(?:export[ \t]+)?LLAMA_", line) for line in kept)
        and (named or not _OTHER_COMMAND.search(document.text))
    )


def read(document: Document) -> Contents:
    """The variables, for a server without arguments."""
    env, file = dict[str, Variable](), document.file
    row = BlankRow(file, _written)
    for name, value, span in _assignments(document.source, {}):
        place = place_of(span, _written, row)
        env[name] = Variable(
            value=None if stands(value.text) else value.text,
            place=None if place is None else OwnLine(place, file),
        )
    end = len(document.file)

    def add(pairs: Sequence[tuple[str, str]]) -> list[Edit]:
        lines = "".join(f"{name}={_value(value)}\n" for name, value in pairs)
        glue = "" if document.file.endswith("\n") or not document.file else "\n"
        return [Edit(end, end, glue + lines)]

    return Contents(lines={"": PlacedLine(words=(), env=env, add=add)}, unread={})


def _written(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{name}={_value(value)}"


def _value(value: str) -> str:
    if re.fullmatch(r"[\w@%+=:,./${}-]*", value):
        return no_reference(value, "\\$") if "$" in value else value
    if "'" not in value and "\n" not in value and "$" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + no_reference(escaped, "\\$") + '"'


def values(text: str, outer: Mapping[str, str], *, raw: bool = False) -> dict[str, str]:
    """The variables of such a file, as Compose reads it.

    Args:
        text: The file.
        outer: Variables that it may refer to, besides its own.
        raw: Whether quotes and references are kept as they are, as ``docker run`` does.
    """
    found = dict[str, str]()
    if raw:
        lines = (line.strip() for line in text.splitlines())
        pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
        return {name: value for name, equals, value in pairs if equals}
    known = dict(outer)
    for name, value, _ in _assignments(Traced.made(text), known):
        found[name] = value.text
    return found


def _assignments(
    source: Traced, known: dict[str, str]
) -> Iterator[tuple[str, Traced, Spot | None]]:
    """Name, value and whereabouts of each; what is found is added to what is known."""
    text, at = source.text, 0
    while at < len(text):
        line_end = text.find("\n", at)
        line_end = len(text) if line_end < 0 else line_end
        match = _LINE.match(text, at, line_end)
        if not match or text[at:line_end].lstrip().startswith("#"):
            at = line_end + 1
            continue
        value, end = _read_value(source, match.end(), line_end, known)
        known[match[1]] = value.text
        yield match[1], value, source.span(match.start(1), end)
        following = text.find("\n", end)
        at = len(text) if following < 0 else following + 1


def _read_value(
    source: Traced, start: int, line_end: int, known: dict[str, str]
) -> tuple[Traced, int]:
    text = source.text
    quote = text[start : start + 1]
    if quote == "'" and (end := text.find("'", start + 1)) > 0:
        return source[start + 1 : end], end + 1
    if quote == '"' and (found := _double_quoted(source, start + 1)):
        pieces, end = found
        return interpolated(pieces, known.get), end
    end = line_end
    comment = re.compile(r"(?:^|[ \t])#").search(text, start, line_end)
    end = comment.start() if comment else end
    while end > start and text[end - 1] in " \t\r":
        end -= 1
    return interpolated(source[start:end], known.get), end


def _double_quoted(source: Traced, start: int) -> tuple[Traced, int] | None:
    text, pieces, i = source.text, list[Traced](), start
    while i < len(text):
        if text[i] == '"':
            return Traced.joined(pieces or [source[start:start]]), i + 1
        if text[i] == "\\" and i + 1 < len(text):
            char, width = text[i + 1], 2
            meant = "$$" if char == "$" else _ESCAPES.get(char, char)
            pieces.append(Traced.at(meant, source.span(i, i + width)))
            i += width
        else:
            pieces.append(source[i : i + 1])
            i += 1
    return None
