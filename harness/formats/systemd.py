"""systemd service units and their drop-ins."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from harness.formats.command_line import PlacedLine
from harness.formats.document import Contents, Document
from harness.formats.naming import numbered
from harness.formats.places import Word
from harness.formats.programs import servers_of
from harness.formats.units import (
    Entry,
    Environment,
    around,
    environment_line,
    expanded,
    has_section,
    line_before,
    split_unit,
    with_drop_ins,
)

LOOKED_FOR: Final = "a systemd unit ([Service] ExecStart=)"

_PREFIXES: Final = re.compile(r"[@\-:+!|]*")


def recognises(document: Document) -> bool:
    """Whether it has a section for a service."""
    return has_section(document, "Service") and not has_section(document, "Container")


def read(document: Document) -> Contents:
    """The command line of the service; without arguments where a drop-in only sets variables."""
    environment, starts = Environment(document), list[Entry]()
    last: Entry | None = None
    try:
        for entry in with_drop_ins(document):
            if entry.section != "Service":
                continue
            last = entry if entry.begin is not None else last
            environment.take(entry)
            if entry.key == "ExecStart":
                starts = [*starts, entry] if entry.value.text.strip() else []
        lines = [line for entry in starts for line in _started(entry, environment, document)]
    except ValueError as error:
        document.refuse(str(error))
    if not starts and any(name.startswith("LLAMA_") for name in environment.env):
        add = line_before(last.begin if last else None, environment_line)
        lines = [PlacedLine(words=(), env=environment.env, add=add)]
    if not lines:
        document.refuse("its [Service] starts no llama-server")
    notes = tuple(environment.assumed)
    return Contents(
        lines=numbered([replace(x, assumed=(*notes, *x.assumed)) for x in lines]), unread={}
    )


def _started(entry: Entry, environment: Environment, document: Document) -> list[PlacedLine]:
    prefix = _PREFIXES.match(entry.value.text)
    marks = prefix[0] if prefix else ""
    words = split_unit(entry.value[len(marks) :], document.file)
    known = {} if ":" in marks else environment.known
    found = list[PlacedLine]()
    for command in _commands(expanded(words, known, document.file)):
        named = [command[0], *command[2:]] if "@" in marks else command
        add = line_before(entry.begin, environment_line)
        found += servers_of(named, environment.env, around(document), add)
    return found


def _commands(words: Sequence[Word]) -> Iterator[list[Word]]:
    command = list[Word]()
    for word in words:
        if str(word) == ";":
            yield command
            command = []
        else:
            command.append(word)
    if command:
        yield command
