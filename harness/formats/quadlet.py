"""Quadlets: ``.container`` units of podman."""

import json
from dataclasses import replace
from typing import Final

from harness.formats.containers import container
from harness.formats.document import Contents, Document
from harness.formats.naming import numbered
from harness.formats.places import BlankRow, Word
from harness.formats.traced import Traced
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
from harness.formats.words import SYSTEMD

LOOKED_FOR: Final = "a quadlet ([Container] Image=, Exec=)"


def recognises(document: Document) -> bool:
    """Whether it has a section for a container."""
    return has_section(document, "Container")


def read(document: Document) -> Contents:
    """The command line of the container."""
    environment = Environment(document)
    found = dict[str, Entry]()
    try:
        for entry in with_drop_ins(document):
            if entry.section == "Container":
                environment.take(entry)
                found[entry.key] = entry
        command = _words(found.get("Exec"), document)
        entrypoint = _entrypoint(found.get("Entrypoint"), document)
    except ValueError as error:
        document.refuse(str(error))
    anchor = found.get("Exec") or found.get("Image")
    lines = container(
        image=found["Image"].value.text.strip() if "Image" in found else "",
        entrypoint=entrypoint,
        command=command,
        env=environment.env,
        around=around(document),
        add=line_before(anchor.begin if anchor else None, environment_line),
    )
    if not lines:
        document.refuse("its [Container] starts no llama-server")
    if "Exec" in found and not command:
        begin = found["Exec"].value.begin()
        row = BlankRow(document.file, SYSTEMD.quote, begin, pad="")
        lines = [replace(line, row=row) for line in lines]
    notes = tuple(environment.assumed)
    return Contents(
        lines=numbered([replace(x, assumed=(*notes, *x.assumed)) for x in lines]), unread={}
    )


def _words(entry: Entry | None, document: Document) -> list[Word]:
    if entry is None:
        return []
    return expanded(split_unit(entry.value, document.file), {}, document.file)


def _entrypoint(entry: Entry | None, document: Document) -> list[Word] | None:
    if entry is None:
        return None
    if entry.value.text.strip().startswith("["):
        return [Word(Traced.made(str(word))) for word in json.loads(entry.value.text)]
    return _words(entry, document)
