"""Reading files of command lines, and writing changed ones."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from harness.errors import FormatError, writing
from harness.formats.command_line import CommandLine, CommandLines, PlacedLine
from harness.formats.document import SIZE_LIMIT, Contents, Document, decoded, encoded
from harness.formats.places import Edit, UnwritableError, VariablePlace, Word, applied
from harness.formats.programs import servers_of
from harness.formats.registry import read_document
from harness.formats.traced import GrownError, Traced
from harness.formats.units import around
from harness.formats.words import assignment


def read_file(path: Path, format: str | None = None) -> CommandLines:  # noqa: A002
    """All command lines of a file, by name; the name is empty where there is one without a name.

    Args:
        path: The file.
        format: The name of its format; told by its content where None.

    Raises:
        FormatError: It cannot be read, is of no known kind, or holds no command line.
    """
    text = _content(path)
    return read_text(text, f"argv:{path}", format, path=path)


def read_text(
    text: str,
    origin: str,
    format: str | None = None,  # noqa: A002
    *,
    path: Path | None = None,
) -> CommandLines:
    """All command lines of a text, by name.

    Args:
        text: The text.
        origin: Where it is from, for messages.
        format: The name of its format; told by its content where None.
        path: The file that it is the content of, which files beside it are looked for from.

    Raises:
        FormatError: It is of no known kind, or holds no command line.
    """
    reading = _read(text, origin, format, path)
    lines = {name: placed.line for name, placed in reading.lines.items()}
    for name, line in lines.items():
        _check(line, f"{origin}#{name}" if name else origin)
    return CommandLines(lines, reading.unread)


def _check(line: CommandLine, origin: str) -> None:
    for word in (*line.words, *line.env.values()):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise FormatError(
                f"{origin}: {word!r} is no text that a program can be given"
            ) from error


def _read(text: str, origin: str, name: str | None, path: Path | None) -> Contents:
    document = Document(Traced.file(text), text, origin, path)
    try:
        reading = read_document(document, name)
    except RecursionError as error:
        raise FormatError(f"{origin}: is nested too deeply") from error
    except GrownError as error:
        raise FormatError(f"{origin}: {error}") from error
    if not reading.lines:
        reasons = "; ".join(reading.unread.values())
        raise FormatError(reasons or f"{origin}: holds no llama-server command line")
    return reading


def server_arguments(words: Sequence[str], origin: str) -> CommandLine:
    """The command line that some words are: a program with its arguments, or these alone.

    Raises:
        FormatError: There are none, or something else than a llama-server is run.
    """
    made = [Word(Traced.made(word)) for word in words]
    document = Document(Traced.made(""), "", origin)
    if lines := servers_of(made, {}, around(document)):
        return lines[0].line
    env = dict[str, str]()
    while made and (assigned := assignment(made[0])):
        env[assigned[0]] = assigned[1].text
        made.pop(0)
    plain = tuple(map(str, made))
    if not plain and not env:
        raise FormatError(f"{origin}: holds no arguments of a llama-server")
    if plain and not plain[0].startswith("-"):
        raise FormatError(
            f"{origin}: cannot tell where the arguments of the llama-server begin in "
            f"{shlex.join(plain)[:120]!r}; begin with the program or with its first flag"
        )
    return CommandLine(words=plain, env=env)


def _content(path: Path) -> str:
    origin = f"argv:{path}"
    try:
        if not path.is_file():
            why = "is a directory" if path.is_dir() else "is no file that ends"
            raise FormatError(
                f"{origin}: cannot be read: {why if path.exists() else 'there is none'}"
            )
        if path.stat().st_size > SIZE_LIMIT:
            raise FormatError(f"{origin}: larger than {SIZE_LIMIT} bytes; not a command line")
        return decoded(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FormatError(f"{origin}: cannot be read: {error}") from error


def write(
    text: str,
    name: str,
    old: CommandLine,
    new: CommandLine,
    *,
    origin: str = "the text",
    format: str | None = None,  # noqa: A002
    path: Path | None = None,
) -> str:
    """A text with one of its command lines changed, and nothing else of it.

    Args:
        text: The text.
        name: Which of its command lines.
        old: The command line as it was read from it.
        new: As it shall be: other words, other variables.
        origin: Where the text is from, for messages.
        format: The name of its format; told by its content where None.
        path: The file that it is the content of.

    Raises:
        FormatError: It is not in the text as it was read, or the change cannot be written there.
    """
    return write_all(text, {name: (old, new)}, origin=origin, format=format, path=path)


def write_all(
    text: str,
    changes: Mapping[str, tuple[CommandLine, CommandLine]],
    *,
    origin: str = "the text",
    format: str | None = None,  # noqa: A002
    path: Path | None = None,
) -> str:
    """A text with several of its command lines changed at once, as where they share a piece.

    Args:
        text: The text.
        changes: By name, each command line as it was read and as it shall be.
        origin: Where the text is from, for messages.
        format: The name of its format; told by its content where None.
        path: The file that it is the content of.

    Raises:
        FormatError: See write; or another command line would be changed as well.
    """
    if all(_same(old, new) for old, new in changes.values()):
        return text
    lines, edits = _read(text, origin, format, path).lines, list[Edit]()
    for name, (old, new) in changes.items():
        where = f"{origin}#{name}" if name else origin
        placed = lines.get(name)
        if placed is None or not _same(placed.line, old):
            raise FormatError(f"{where}: does not hold the command line that is to be changed")
        try:
            edits += [*_word_edits(placed, new), *_variable_edits(placed, new)]
        except UnwritableError as error:
            raise FormatError(f"{where}: cannot be changed there: {error}") from error
    try:
        written = applied(text, edits)
        again = _read(written, origin, format, path).lines
    except (UnwritableError, FormatError) as error:
        raise FormatError(f"{origin}: cannot be changed so: {error}") from error
    wanted = {name: placed.line for name, placed in lines.items()}
    wanted.update({name: new for name, (_, new) in changes.items()})
    _compare(again, wanted, changes, origin)
    return written


def _compare(
    lines: Mapping[str, PlacedLine],
    wanted: Mapping[str, CommandLine],
    changed: Collection[str],
    origin: str,
) -> None:
    """See whether a written text reads as it shall."""
    for name, line in wanted.items():
        where = f"{origin}#{name}" if name else origin
        if name not in lines or not _same(lines[name].line, line):
            if name in changed:
                raise FormatError(
                    f"{where}: cannot be changed there: what would be written does not read back "
                    f"as {shlex.join(line.words)}"
                )
            raise FormatError(f"{where}: shares what is to be changed, and would change as well")


def _same(one: CommandLine, other: CommandLine) -> bool:
    return (one.words, dict(one.env)) == (other.words, dict(other.env))


def write_file(
    path: Path,
    name: str,
    old: CommandLine,
    new: CommandLine,
    format: str | None = None,  # noqa: A002
) -> None:
    """Change one command line of a file in place; see ``write``.

    Raises:
        FormatError: See write.
        UsageError: The file cannot be written.
    """
    before = _content(path)
    after = write(before, name, old, new, origin=f"argv:{path}", format=format, path=path)
    if after != before:
        with writing(path):
            path.write_bytes(encoded(after, path.read_bytes()))


def _word_edits(placed: PlacedLine, new: CommandLine) -> list[Edit]:
    places = [word.place for word in placed.words]
    before = [str(word) for word in placed.words]
    edits = list[Edit]()
    matcher = SequenceMatcher(None, before, new.words, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            continue
        pairs = min(i2 - i1, j2 - j1)
        for i, word in zip(range(i1, i1 + pairs), new.words[j1 : j1 + pairs], strict=True):
            place = places[i]
            if place is None:
                raise UnwritableError(f"{before[i]!r} does not stand in it by itself")
            edits.append(place.becomes(word))
        if i1 + pairs < i2:
            edits += _removals(placed, i1 + pairs, i2)
        if j1 + pairs < j2:
            edits.append(_insertion(placed, i1 + pairs, new.words[j1 + pairs : j2]))
    return edits


def _removals(placed: PlacedLine, start: int, end: int) -> list[Edit]:
    """Without some neighbours: row by row, as far as they stand side by side."""
    edits, i = list[Edit](), start
    while i < end:
        first = placed.words[i].place
        if first is None:
            raise UnwritableError(f"{placed.words[i]!s} does not stand in it by itself")
        last = first
        while i + 1 < end and (following := placed.words[i + 1].place):
            if following.row is not first.row or not first.row.adjoin(last, following):
                break
            last = following
            i += 1
        edits.append(first.row.remove(first, last))
        i += 1
    return edits


def _insertion(placed: PlacedLine, at: int, words: tuple[str, ...]) -> Edit:
    before = placed.words[at - 1].place if at else None
    if before:
        return before.row.insert(words, after=before)
    after = placed.words[at].place if at < len(placed.words) else None
    if after:
        return after.row.insert(words, before=after)
    if placed.row is None or placed.words:
        raise UnwritableError("there is no place in it for more words")
    return placed.row.insert(words)


def _variable_edits(placed: PlacedLine, new: CommandLine) -> list[Edit]:
    old = placed.line.env
    gone = [name for name in old if name not in new.env]
    added = [(name, value) for name, value in new.env.items() if name not in old]
    edits = list[Edit]()
    for name in old:
        if name in new.env and new.env[name] != old[name]:
            edits += _place(placed, name).becomes(name, new.env[name])
    renamed = min(len(gone), len(added))
    for name, (other, value) in zip(gone[:renamed], added[:renamed], strict=True):
        edits += _place(placed, name).becomes(other, value)
    for name in gone[renamed:]:
        edits += _place(placed, name).removed()
    if added[renamed:]:
        if placed.add is None:
            raise UnwritableError("there is no place in it for more variables")
        edits += placed.add(added[renamed:])
    return edits


def _place(placed: PlacedLine, name: str) -> VariablePlace:
    place = placed.env[name].place
    if place is None:
        raise UnwritableError(f"{name} is not set in it by itself")
    return place
