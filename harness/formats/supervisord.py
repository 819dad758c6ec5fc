"""supervisord's configuration."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from harness.formats.command_line import PlacedLine, Variable
from harness.formats.document import Contents, Document
from harness.formats.naming import named
from harness.formats.places import Edit, ListRow, UnwritableError, assignment_at, place_of
from harness.formats.programs import servers_of
from harness.formats.traced import Traced
from harness.formats.units import Entry, around, has_section
from harness.formats.words import Rules, quoted, words_of

LOOKED_FOR: Final = "supervisord's configuration ([program:NAME] command=)"

_PAIR: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(\"[^\"]*\"|'[^']*'|[^,\s]*)\s*,?")
_RULES: Final = Rules(quote=lambda word: quoted(word.replace("%", "%%")))


def recognises(document: Document) -> bool:
    """Whether it has a section for a program."""
    return has_section(document, "program:[^]]+")


def read(document: Document) -> Contents:
    """The command lines of its programs, by their names."""
    programs = dict[str, dict[str, Entry]]()
    for entry in _entries(document.source):
        programs.setdefault(entry.section, {})[entry.key] = entry
    shared = dict[str, Variable]()
    if "environment" in programs.get("supervisord", {}):
        shared = _environment(programs["supervisord"]["environment"], document.file)
    found = list[tuple[str, PlacedLine]]()
    for section, keys in programs.items():
        kind, _, name = section.partition(":")
        if kind != "program" or "command" not in keys:
            continue
        try:
            found += [(name, line) for line in _program(keys, shared, document)]
        except ValueError as error:
            document.refuse(f"[{section}]: {error}")
    if not found:
        document.refuse("none of its programs is a llama-server")
    return Contents(lines=named(found), unread={})


def _program(
    keys: dict[str, Entry], shared: dict[str, Variable], document: Document
) -> list[PlacedLine]:
    own = _environment(keys["environment"], document.file) if "environment" in keys else {}
    words, _ = words_of(_percents(keys["command"].value), document.file, _RULES)
    env = {**shared, **own}
    entry, begin = keys.get("environment"), keys["command"].begin

    def add(pairs: Sequence[tuple[str, str]]) -> list[Edit]:
        written = ",".join(_written(f"{name}={value}") for name, value in pairs)
        if entry and (spot := entry.value[: len(entry.value.text.rstrip(", \t"))].span()):
            return [Edit(spot.end, spot.end, f",{written}")]
        if entry or begin is None:
            raise UnwritableError("its variables are put together from several places")
        return [Edit(begin, begin, f"environment={written}\n")]

    outside = around(document)
    inside = replace(outside, shell=lambda text, given: outside.shell(_escaped(text), given))
    return servers_of(words, env, inside, add)


def _escaped(text: Traced) -> Traced:
    """A text for a shell, which would not take ``%(ENV_NAME)s`` for one word."""
    pieces, position = list[Traced](), 0
    for match in re.finditer(r"[()](?=\w+\)s|s)", text.text):
        pieces += [text[position : match.start()], Traced.made("\\")]
        position = match.start()
    return Traced.joined([*pieces, text[position:]])


def _environment(entry: Entry, file: str) -> dict[str, Variable]:
    env, row = dict[str, Variable](), ListRow(file, _written, ",")
    value = entry.value
    for match in _PAIR.finditer(value.text):
        text = match[2]
        if text[:1] in {'"', "'"}:
            text = text[1:-1]
        spot = value.span(match.start(1), match.end(2))
        place = place_of(spot, _written, row)
        if spot:
            row.items.append((spot.start, spot.end))
        outside = "%(" in text
        env[match[1]] = Variable(
            value=None if outside else text.replace("%%", "%"),
            place=assignment_at(place),
        )
    return env


def _written(word: str) -> str:
    name, _, value = word.replace("%", "%%").partition("=")
    quote = "'" if '"' in value else '"'
    return f"{name}={quote}{value}{quote}"


def _percents(value: Traced) -> Traced:
    pieces, position = list[Traced](), 0
    for match in re.finditer("%%", value.text):
        pieces += [value[position : match.start()], Traced.at("%", value.span(*match.span()))]
        position = match.end()
    return Traced.joined([*pieces, value[position:]])


def _entries(source: Traced) -> Iterator[Entry]:
    """Keys and values; a line that is indented goes on with the value before it."""
    section, key, pieces, begin = "", "", list[Traced](), None
    for whole in source.lines():
        text = whole.text
        if not text.strip() or text.lstrip().startswith((";", "#")):
            continue
        comment = re.search(r"\s;", text)
        line = whole[: comment.start()] if comment else whole
        if text[0] in " \t" and key:
            pieces += [Traced.at(" ", line.span(0, 0)), line]
            continue
        if key:
            yield Entry(section, key, Traced.joined(pieces), begin)
            key = ""
        if header := re.match(r"\[([^\]]+)\]", text):
            section = header[1]
        elif match := re.match(r"([^\s=:]+)\s*[=:][ \t]*", text):
            key, pieces = match[1], [line[match.end() :]]
            begin = line.begin()
    if key:
        yield Entry(section, key, Traced.joined(pieces), begin)
