"""PowerShell scripts and command lines. They are read, never run."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.document import Contents, Document
from harness.formats.naming import numbered
from harness.formats.places import BlankRow, Edit, OwnLine, Place, Word, place_of
from harness.formats.powershell_values import Token, Value, Values, item_quoted
from harness.formats.programs import servers_of
from harness.formats.traced import Spot, Traced
from harness.formats.units import around
from harness.formats.windows_words import windows_words
from harness.formats.words import parted

LOOKED_FOR: Final = "a PowerShell script that starts llama-server.exe"

_SIGNS: Final = re.compile(
    r"(?im)^[ \t]*\$(env:)?\w+\s*\+?=|`[ \t]*\r?$|^[ \t]*&\s*[\"'$.]|^[ \t]*param\s*\("
    r"|Start-Process\b|\$env:\w|-ArgumentList\b|^[ \t]*Write-Host\b"
)
_UNIX: Final = re.compile(r"(?m)^#!.*\b(ba|z|da|k)?sh\b|\\[ \t]*\r?$|^[ \t]*export\s|`#")
_SAFE: Final = re.compile(r"[\w./:=%+\\-][\w./:=%+\\,~-]*")
_FURTHER: Final = re.compile(
    r"[@$]\{?\w*(ARGS?|OPTS?|OPTIONS|FLAGS|EXTRA|PARAMS)\w*\}?", re.IGNORECASE
)
_PARAMETERS: Final = re.compile(r"(?i)param\s*\(")
_CONDITION: Final = re.compile(r"(?i)(if|elseif|while|foreach|for|switch|until)\s*\(")
_BLOCK: Final = re.compile(r"(?i)(else|try|finally|do|begin|process|end)\b|function\s+[\w:-]+")
_ASSIGNED: Final = re.compile(r"(?:\[[\w.\[\]]+\]\s*)?(\$[\w:{}]+)\s*(\+?=)(?!=)\s*")
_REDIRECTED: Final = re.compile(r"(?:[\d*]?>{1,2}(?:&\d)?|<)\s*(?:\"[^\"]*\"|'[^']*'|[^\s;|]*)")
_SWITCH: Final = re.compile(r"(?i)-(NoNewWindow|PassThru|Wait|UseNewEnvironment|LoadUserProfile)")
_OPTION: Final = re.compile(
    r"(?i)-(WindowStyle|Redirect\w+|WorkingDirectory|Verb|Environment|Credential|Name)"
)
_ENV: Final = "env:"


def recognises(document: Document) -> bool:
    """Whether it has what only PowerShell has."""
    if document.suffix == ".ps1":
        return True
    known = document.suffix in {".sh", ".bash", ".bat", ".cmd"}
    return not known and bool(_SIGNS.search(document.text)) and not _UNIX.search(document.text)


def read(document: Document) -> Contents:
    """The command lines of all servers that it starts, numbered where there are several."""
    reader = _Reader(document)
    reader.run()
    if not reader.found:
        document.refuse("holds no command that starts a llama-server")
    return Contents(lines=numbered(reader.found), unread={})


def _quoted(word: str) -> str:
    return word if _SAFE.fullmatch(word) and not word.startswith("--%") else item_quoted(word)


@dataclass(frozen=True, slots=True)
class _Variable:
    """``$env:NAME = "value"``."""

    name: Place
    value: Place
    line: OwnLine

    def becomes(self, name: str, value: str) -> list[Edit]:
        """See VariablePlace."""
        return [self.name.becomes(name), self.value.becomes(value)]

    def removed(self) -> list[Edit]:
        """See VariablePlace."""
        return self.line.removed()


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.source = document.source
        self.text = document.text
        self.values = Values(document.source, document.file)
        self.places: dict[str, _Variable] = {}
        self.found: list[PlacedLine] = []

    def run(self) -> None:
        """Follow the statements."""
        position = 0
        while (position := self.values.blank(position, lines=True)) < len(self.text):
            position = max(position + 1, self._statement(position))

    def _statement(self, at: int) -> int:
        text, values = self.text, self.values
        if text[at] in ";{})":
            return at + 1
        if head := _PARAMETERS.match(text, at):
            return self._parameters(head.end())
        if head := _CONDITION.match(text, at):
            return values.behind_parentheses(head.end() - 1)
        if head := _BLOCK.match(text, at):
            return head.end()
        head = _ASSIGNED.match(text, at)
        return self._assignment(head) if head else self._command(at)

    def _parameters(self, at: int) -> int:
        end = self.values.behind_parentheses(at - 1)
        for match in re.compile(r"\$(\w+)\s*=\s*").finditer(self.text, at, end):
            if token := self.values.token(match.end(), ",)"):
                self.values.put(match[1], token.value)
        return end

    def _assignment(self, head: re.Match[str]) -> int:
        """``$name = value``; the value may be text, a list, or a command."""
        name = head[1].strip("${}")
        value, end = self.values.listed(head.end())
        after = self.values.blank(end, lines=False)
        if self.text[after : after + 1] not in ("", "\n", "\r", ";", "#", "}"):
            self.values.put(name, None)
            return self._command(head.end())
        if head[2] == "+=":
            value = _grown(self.values.known.get(name.lower()), value)
        elif name.lower().startswith(_ENV) and isinstance(value, Traced):
            self._remember(name, head, end)
        self.values.put(name, value)
        return end

    def _remember(self, name: str, head: re.Match[str], end: int) -> None:
        file = self.document.file
        start = self.values.blank(head.end(), lines=False)
        value = place_of(self.source.span(start, end), item_quoted, BlankRow(file, item_quoted))
        begin = head.start(1) + len("$env:")
        own = place_of(self.source.span(begin, head.end(1)), str, BlankRow(file, str))
        if value and own:
            self.places[name.lower()] = _Variable(own, value, OwnLine(value, file))

    def _command(self, at: int) -> int:
        """A command with its arguments."""
        begin = self.source.span(at, at)
        words, listed, assumed = list[Word](), set[int](), list[str]()
        i = at
        while (i := self.values.blank(i, lines=False)) < len(self.text):
            if self.text[i] in ";|{}\r\n)#":
                break
            call = not words and re.compile(r"[&.](?=[ \"'$])").match(self.text, i)
            if skipped := (call or _REDIRECTED.match(self.text, i)):
                i = skipped.end()
            elif token := self.values.token(i, ")"):
                for word in self._arguments(token, assumed, first=not words):
                    words.append(word)
                    listed.update({id(word)} if isinstance(token.value, list) else ())
                i = token.end
            else:
                i += 1
        if words:
            self._start(words, listed, begin, assumed)
        return i

    def _arguments(self, token: Token, assumed: list[str], *, first: bool) -> Iterator[Word]:
        written = self.source[token.start : token.end]
        if isinstance(token.value, list):
            yield from token.value
            return
        further = token.value is None and not first and _FURTHER.fullmatch(written.text)
        if further and written.text.strip("@${}").lower() not in self.values.known:
            assumed.append(f"{written.text} is empty")
            return
        row = BlankRow(self.document.file, _quoted, continuation="`")
        yield Word(token.value or written, place_of(written.span(), _quoted, row))

    def _start(
        self, words: list[Word], listed: set[int], begin: Spot | None, assumed: Sequence[str]
    ) -> None:
        if str(words[0]).lower() in {"start-process", "start", "saps"}:
            words = self._process(words[1:], listed)
        row = BlankRow(self.document.file, _quoted, continuation="`")
        shared = [w if w.place is None else _in_row(w, row) for w in words]
        lines = servers_of(shared, self._environment(), around(self.document), self._add(begin))
        self.found += [replace(x, assumed=(*assumed, *x.assumed)) for x in lines]

    def _process(self, words: list[Word], listed: set[int]) -> list[Word]:
        """What ``Start-Process`` starts: a program, and arguments as it puts them together."""
        program, arguments, i = list[Word](), list[Word](), 0
        while i < len(words):
            text = str(words[i])
            is_own = id(words[i]) not in listed
            if is_own and re.fullmatch(r"(?i)-(FilePath|File)", text):
                program, i = words[i + 1 : i + 2], i + 2
            elif is_own and (_SWITCH.fullmatch(text) or re.fullmatch(r"(?i)-Arg\w*", text)):
                i += 1
            elif is_own and _OPTION.fullmatch(text):
                i += 2
            elif not program:
                program, i = [words[i]], i + 1
            else:
                arguments += self._split(words[i])
                i += 1
        return [*program, *arguments]

    def _split(self, word: Word) -> list[Word]:
        """An item of ``-ArgumentList`` falls apart at its blanks."""
        text = str(word)
        if text.endswith(","):
            word = Word(word.text[: len(text) - 1])
        if not re.search(r"\s", text.strip()):
            return [word]
        row = BlankRow(self.document.file, str)
        return windows_words(word.text, row) if '"' in text else parted(word.text, row)

    def _environment(self) -> dict[str, Variable]:
        env = dict[str, Variable]()
        for key, value in self.values.known.items():
            if key.startswith(_ENV):
                known = value.text if isinstance(value, Traced) else None
                known = None if known is None or re.search(r"\$\w|\$\(", known) else known
                name = self.values.names[key][len(_ENV) :]
                env[name] = Variable(value=known, place=self.places.get(key))
        return env

    def _add(self, begin: Spot | None) -> AddVariables | None:
        if begin is None:
            return None
        at = self.document.file.rfind("\n", 0, begin.start) + 1
        return lambda pairs: [
            Edit(at, at, "".join(f"$env:{n} = {item_quoted(v)}\n" for n, v in pairs))
        ]


def _in_row(word: Word, row: BlankRow) -> Word:
    """A word of a command in the command's row, which all its words share."""
    place = word.place
    if place is None or not isinstance(place.row, BlankRow) or place.row.continuation != "`":
        return word
    return Word(word.text, replace(place, row=row))


def _grown(old: Value, new: Value) -> Value:
    if old is None or new is None:
        return None
    if isinstance(old, Traced) and isinstance(new, Traced):
        return Traced.joined([old, new])
    first = old if isinstance(old, list) else [Word(old)]
    return [*first, *(new if isinstance(new, list) else [Word(new)])]
