"""Files of sections and ``key=value`` lines: systemd units, quadlets, supervisord, presets."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness.config.paths import entries
from harness.formats.command_line import PlacedLine, Variable
from harness.formats.document import Document, readable
from harness.formats.dotenv import values
from harness.formats.places import BlankRow, Edit, OwnLine, VariablePlace, Word, assignment_at
from harness.formats.programs import Around
from harness.formats.shell import commands
from harness.formats.traced import Traced, unbroken
from harness.formats.words import SYSTEMD, Rules, assignment, parted, stands, words_of

_SECTION: Final = re.compile(r"\s*\[([^\]\n]+)\]\s*")
_KEY: Final = re.compile(r"\s*([^\s=:;#\[][^=:\n]*?)\s*=[ \t]*")
_REFERENCE: Final = re.compile(r"\$\$|\$\{(\w+)\}")


def environment_quoted(word: str) -> str:
    """An assignment as ``Environment=`` reads it back."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("\n", "\\n")
    if re.fullmatch(r"[^\s'\"\\]+", escaped):
        return escaped
    return '"' + escaped.replace('"', '\\"') + '"'


_ENVIRONMENT: Final = replace(SYSTEMD, quote=environment_quoted)


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key=value``.

    Attributes:
        section: The section it is in, in its own spelling; empty before the first.
        key: The key.
        value: The value, its lines joined.
        begin: Where its line begins in the file; None where it is of another file.
    """

    section: str
    key: str
    value: Traced
    begin: int | None


def has_section(document: Document, pattern: str) -> bool:
    """Whether a file that begins with a section has one of some name."""
    kept = (line.strip() for line in document.text.splitlines())
    first = next((line for line in kept if line and line[0] not in "#;"), "")
    header = rf"(?m)^[ \t]*\[{pattern}\][ \t]*\r?$"
    return first.startswith("[") and bool(re.search(header, document.text))


def unit_entries(source: Traced) -> Iterator[Entry]:
    """The entries of a systemd unit: a backslash at a line's end goes on with the next line."""
    section = ""
    kept = (one for one in source.lines() if not one.text.strip().startswith(("#", ";")))
    for line in unbroken(kept, "\\"):
        if header := _SECTION.fullmatch(line.text):
            section = header[1]
        elif match := _KEY.match(line.text):
            value = line[match.end() : max(match.end(), len(line.text.rstrip()))]
            yield Entry(section, match[1], value, line.begin())


def with_drop_ins(document: Document) -> Iterator[Entry]:
    """The entries of a unit and of the drop-ins beside it, or of a drop-in and its unit."""
    before, after = _relatives(document.path)
    for text in before:
        yield from unit_entries(Traced.made(text))
    yield from unit_entries(document.source)
    for text in after:
        yield from unit_entries(Traced.made(text))


def _relatives(path: Path | None) -> tuple[list[str], list[str]]:
    if path is None:
        return [], []
    folder = path.parent
    if path.suffix == ".conf" and folder.suffix == ".d":
        unit = readable(folder.with_suffix(""))
        earlier = [one for one in _drop_ins(folder) if one.name < path.name]
        later = [one for one in _drop_ins(folder) if one.name > path.name]
        return [*([unit] if unit else []), *_texts(earlier)], _texts(later)
    return [], _texts(_drop_ins(path.with_name(f"{path.name}.d")))


def _drop_ins(folder: Path) -> list[Path]:
    return [one for one in entries(folder) if one.suffix == ".conf"]


def _texts(paths: Iterable[Path]) -> list[str]:
    return [text for path in paths if (text := readable(path)) is not None]


class Environment:
    """What ``Environment=`` and its like add up to.

    Attributes:
        env: The variables.
        known: The values of those that are known, for references.
        assumed: What could not be read.
    """

    def __init__(self, document: Document) -> None:
        self.env: dict[str, Variable] = {}
        self.known: dict[str, Traced] = {}
        self.assumed: list[str] = []
        self._document = document

    def take(self, entry: Entry) -> None:
        """Follow one entry, if it is about variables.

        Raises:
            ValueError: A quote stays open.
        """
        if entry.key == "Environment":
            if not entry.value.text.strip():
                self.env.clear()
                self.known.clear()
            words = split_unit(entry.value, self._document.file, _ENVIRONMENT)
            for word in words:
                if assigned := assignment(word):
                    self._set(*assigned, word, alone=len(words) == 1)
        elif entry.key == "EnvironmentFile":
            self._file(entry.value.text.strip())
        elif entry.key == "PassEnvironment":
            for name in entry.value.text.split():
                self.env.setdefault(name, Variable(value=None))
        elif entry.key == "UnsetEnvironment":
            for name in entry.value.text.split():
                self.env.pop(name, None)

    def _set(self, name: str, value: Traced, word: Word, *, alone: bool) -> None:
        place: VariablePlace | None = assignment_at(word.place)
        if alone and word.place:  # what would be left takes all variables away
            place = OwnLine(word.place, self._document.file)
        text = value.text.replace("%%", "%")
        self.known[name] = value
        self.env[name] = Variable(value=text, place=place)

    def _file(self, name: str) -> None:
        optional, path = name.startswith("-"), name.removeprefix("-").strip("'\"")
        text = self._document.beside(path)
        if text is None:
            if path and not optional:
                self.assumed.append(f"{path} is not there, and what it sets is not known")
            return
        for variable, value in values(text, {}).items():
            self.known[variable] = Traced.made(value)
            self.env[variable] = Variable(value=None if stands(value) else value)


def environment_line(name: str, value: str) -> str:
    """A line that sets a variable."""
    return f"Environment={environment_quoted(f'{name}={value}')}"


def split_unit(value: Traced, file: str, rules: Rules = SYSTEMD) -> list[Word]:
    """The words of a value of a unit.

    Raises:
        ValueError: A quote stays open.
    """
    return words_of(value, file, rules)[0]


def expanded(words: Sequence[Word], known: Mapping[str, Traced], file: str) -> list[Word]:
    """Words of ``ExecStart=`` with the values of the unit's variables."""
    done = list[Word]()
    for word in words:
        text = str(word)
        alone = text[1:] if text.startswith("$") and text[1:].isidentifier() else ""
        if alone in known:
            done += parted(known[alone], BlankRow(file, str))
            continue
        done.append(Word(_filled(word.text, known), word.place))
    return done


def _filled(value: Traced, known: Mapping[str, Traced]) -> Traced:
    pieces, position = list[Traced](), 0
    for match in _REFERENCE.finditer(value.text):
        spot = value.span(match.start(), match.end())
        if match[0] == "$$":
            piece = Traced.at("$", spot)
        elif match[1] in known:
            piece = Traced.at(known[match[1]].text, spot)
        else:
            piece = value[match.start() : match.end()]
        pieces += [value[position : match.start()], piece]
        position = match.end()
    whole = Traced.joined([*pieces, value[position:]])
    if "%%" not in whole.text:
        return whole
    parts, position = list[Traced](), 0
    for match in re.finditer("%%", whole.text):
        parts += [whole[position : match.start()], Traced.at("%", whole.span(*match.span()))]
        position = match.end()
    return Traced.joined([*parts, whole[position:]])


def around(document: Document, depth: int = 0) -> Around:
    """What commands of a file stand in."""

    def shell(text: Traced, env: Mapping[str, Variable]) -> list[PlacedLine]:
        return commands(document.within(text), env, depth + 1)

    return Around(file=document.file, shell=shell, beside=document.beside)


def line_before(
    begin: int | None, written: Callable[[str, str], str]
) -> Callable[[Sequence[tuple[str, str]]], list[Edit]] | None:
    """Sets variables on lines of their own before the line that begins somewhere."""
    if begin is None:
        return None
    return lambda pairs: [Edit(begin, begin, "".join(f"{written(n, v)}\n" for n, v in pairs))]
