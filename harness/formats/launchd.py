"""Property lists of launchd."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from harness.formats.command_line import Variable
from harness.formats.document import Contents, Document
from harness.formats.naming import numbered
from harness.formats.places import Edit, ListRow, Pair, Place, UnwritableError, Word
from harness.formats.programs import servers_of
from harness.formats.traced import Spot, Traced
from harness.formats.units import around

LOOKED_FOR: Final = "a property list of launchd (ProgramArguments)"


def recognises(document: Document) -> bool:
    """Whether it is a property list."""
    return document.text.lstrip().startswith("<") and bool(re.search(r"<plist[\s>]", document.text))


@dataclass
class _Element:
    """An element, where it begins and ends in the text, and what it holds."""

    name: str
    start: int
    end: int = 0
    text: str = ""
    children: list["_Element"] = field(default_factory=list)

    def pairs(self) -> list[tuple["_Element", "_Element"]]:
        """Keys and values of a dict."""
        keys = self.children[::2]
        return list(zip(keys, self.children[1::2], strict=False))

    def get(self, key: str) -> "_Element | None":
        """What belongs to a key."""
        return next((value for one, value in self.pairs() if one.text == key), None)


def read(document: Document) -> Contents:
    """The command line of its program."""
    root = _parsed(document)
    job = next((child for child in root.children if child.name == "dict"), None)
    if job is None:
        document.refuse("is a property list without a dict")
    row = ListRow(document.file, _string, "")
    arguments = job.get("ProgramArguments")
    words = list[Word]()
    for child in arguments.children if arguments else []:
        words.append(_word(child, document, row))
        if place := words[-1].place:
            row.items.append((place.start, place.end))
    program = job.get("Program")
    if program is not None:
        words = [Word(Traced.made(program.text)), *words[1:]]
    env = _environment(job, document)
    lines = servers_of(words, env, around(document), lambda pairs: _added(job, document, pairs))
    if not lines:
        document.refuse("its ProgramArguments start no llama-server")
    return Contents(lines=numbered(lines), unread={})


def _word(element: _Element, document: Document, row: ListRow) -> Word:
    spot = document.source.span(element.start, element.end)
    place = Place(spot.start, spot.end, _string, row) if spot else None
    return Word(Traced.at(element.text, spot), place)


def _environment(job: _Element, document: Document) -> dict[str, Variable]:
    env, variables = dict[str, Variable](), job.get("EnvironmentVariables")
    for key, value in variables.pairs() if variables else []:
        name = _word(key, document, ListRow(document.file, _key)).place
        name = name and Place(name.start, name.end, _key, name.row)
        place = _word(value, document, ListRow(document.file, _string)).place
        spot = document.source.span(key.start, value.end)
        pair = Pair(name, place, (key.text, value.text), partial(_cut, document, spot))
        env[key.text] = Variable(value=value.text, place=pair)
    return env


def _cut(document: Document, spot: Spot | None) -> Edit:
    if spot is None:
        raise UnwritableError("it is put together from several places")
    line = document.file.rfind("\n", 0, spot.start) + 1
    after = re.compile(r"[ \t]*\r?\n").match(document.file, spot.end)
    if after and not document.file[line : spot.start].strip():
        return Edit(line, after.end(), "")
    return Edit(spot.start, spot.end, "")


def _added(job: _Element, document: Document, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    variables = job.get("EnvironmentVariables")
    written = "".join(f"{_key(name)}{_string(value)}" for name, value in pairs)
    if variables is not None:
        if not variables.children:
            raise UnwritableError("its EnvironmentVariables are empty")
        at = variables.children[-1].end
    else:
        at = job.children[-1].end
        written = f"\n  {_key('EnvironmentVariables')}<dict>{written}</dict>"
    spot = document.source.span(at, at)
    if spot is None:
        raise UnwritableError("variables cannot be added there")
    return [Edit(spot.start, spot.start, spot.encode(written))]


def _string(text: str) -> str:
    return f"<string>{escape(text)}</string>"


def _key(text: str) -> str:
    return f"<key>{escape(text)}</key>"


def _parsed(document: Document) -> _Element:
    text = document.text
    data = text.encode("utf-8", "surrogatepass")
    chars = _indexes(text, data)
    parser = expat.ParserCreate("utf-8")
    top = _Element("", 0)
    stack = [top]

    def begin(name: str, _: object) -> None:
        element = _Element(name, chars[parser.CurrentByteIndex])
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        element = stack.pop()
        at = parser.CurrentByteIndex
        close = data.find(b">", at) + 1
        element.end = chars[close]

    def characters(chunk: str) -> None:
        stack[-1].text += chunk

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    # A document that defines entities could grow without end; property lists have none.
    parser.EntityDeclHandler = _no_entities
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        document.refuse(f"is no property list: {error}")
    return top.children[0] if top.children else top


def _no_entities(*_: object) -> None:
    raise ValueError("it defines entities")


def _indexes(text: str, data: bytes) -> Sequence[int]:
    if len(text) == len(data):
        return range(len(data) + 1)
    index = [i for i, char in enumerate(text) for _ in char.encode("utf-8", "surrogatepass")]
    return [*index, len(text)]
