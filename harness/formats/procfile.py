"""Procfiles: ``NAME: COMMAND``, one a line."""

import re
from typing import Final

from harness.formats.command_line import PlacedLine
from harness.formats.document import Contents, Document
from harness.formats.naming import named
from harness.formats.programs import variables_of_file
from harness.formats.shell import commands

LOOKED_FOR: Final = "a Procfile (NAME: COMMAND)"

_LINE: Final = re.compile(r"([\w-]+):[ \t]*(\S.*)")


def recognises(document: Document) -> bool:
    """Whether every line is a name and a command, one of them a llama-server's."""
    lines = [line for line in document.text.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith("#")]
    return bool(kept) and all(map(_LINE.fullmatch, kept)) and _mentions(document.text)


def _mentions(text: str) -> bool:
    return bool(re.search(r"llama|LLAMA_ARG_", text))


def read(document: Document) -> Contents:
    """The command lines of its processes, by their names."""
    given = variables_of_file(document.beside(".env") or "")
    found = list[tuple[str, PlacedLine]]()
    for line in document.source.lines():
        match = _LINE.fullmatch(line.text)
        if match:
            command = document.within(line[match.start(2) :])
            found += [(match[1], one) for one in commands(command, given)]
    if not found:
        document.refuse("none of its processes is a llama-server")
    return Contents(lines=named(found), unread={})
