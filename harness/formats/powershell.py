"""PowerShell scripts and command lines. They are read, never run."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.document import Document, Reading
from harness.formats.naming import numbered
from harness.formats.places import BlankRow, Edit, ListRow, Place, Row, Word, place_of
from harness.formats.programs import servers_of
from harness.formats.traced import Spot, Traced
from harness.formats.units import around
from harness.formats.windows_words import windows_words
from harness.formats.words import parted

NAME: Final = "powershell"
LOOKED_FOR: Final = "a PowerShell script that starts llama-server.exe"

_SIGNS: Final = re.compile(
    r"(?im)^\s*\$(env:)?\w+\s*\+?=|`[ \t]*\r?$|^\s*&\s*[\"'$.]|^\s*param\s*\(|Start-Process\b|\$env:\w"
    r"|-ArgumentList\b|^\s*Write-Host\b"
)
_UNIX: Final = re.compile(r"(?m)^#!.*\b(ba|z|da|k)?sh\b|\\[ \t]*\r?$|^\s*export\s|`#")
_NAME: Final = re.compile(r"\$(?:\{([^}]*)\}|((?:env|global|script|local):)?(\w+))", re.IGNORECASE)
_MEMBER: Final = re.compile(r"(?:\.\w+|\[[^\]]*\]|\([^)]*\))+")
_SAFE: Final = re.compile(r"[\w./:=%+\\-][\w./:=%+\\,~-]*")
_FURTHER: Final = re.compile(
    r"\$\{?\w*(ARGS?|OPTS?|OPTIONS|FLAGS|EXTRA|PARAMS)\w*\}?", re.IGNORECASE
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "`": "`"}
_ENV: Final = "env:"

Value = Traced | list[Word] | None
"""Text, the items of an array, or what only running it would tell."""


def recognises(document: Document) -> bool:
    """Whether it has what only PowerShell has."""
    if document.suffix == ".ps1":
        return True
    known = document.suffix in {".sh", ".bash", ".bat", ".cmd"}
    return not known and bool(_SIGNS.search(document.text)) and not _UNIX.search(document.text)


def read(document: Document) -> Reading:
    """The command lines of all servers that it starts, numbered where there are several."""
    reader = _Reader(document)
    reader.run()
    if not reader.found:
        document.refuse("holds no command that starts a llama-server")
    return Reading(lines=numbered(reader.found), unread={})


def _quoted(word: str) -> str:
    if _SAFE.fullmatch(word) and not word.startswith("--%"):
        return word
    return _item(word)


def _item(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _within_double(text: str) -> str:
    return re.sub(r'([`"$])', r"`\1", text)


@dataclass(frozen=True, slots=True)
class _Statement:
    """``$env:NAME = "value"``."""

    value: Place
    line: tuple[int, int]
    name: Place | None

    def becomes(self, name: str, value: str) -> list[Edit]:
        """See VariablePlace."""
        edits = [self.value.becomes(value)]
        return [*edits, self.name.becomes(name)] if self.name else edits

    def removed(self) -> list[Edit]:
        """See VariablePlace."""
        return [Edit(*self.line, "")]


@dataclass(frozen=True, slots=True)
class _Token:
    """A word, an operator, or the end of a statement."""

    kind: str
    text: Traced
    start: int
    end: int
    items: list[Word] | None = None


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.source = document.source
        self.text = document.text
        self.values: dict[str, Value] = {}
        self.names: dict[str, str] = {}
        self.places: dict[str, _Statement] = {}
        self.found: list[PlacedLine] = []

    def run(self) -> None:
        """Follow the statements."""
        position = 0
        while position < len(self.text):
            position = self._statement(position)

    def _statement(self, at: int) -> int:
        at = self._blank(at, lines=True)
        if at >= len(self.text):
            return at
        if self.text[at] in ";{})":
            return at + 1
        if head := re.compile(r"(?i)param\s*\(").match(self.text, at):
            return self._parameters(head.end())
        if head := re.compile(r"(?i)(if|elseif|while|foreach|for|switch|until)\s*\(").match(
            self.text, at
        ):
            return self._behind_parentheses(head.end() - 1)
        if head := re.compile(r"(?i)(else|try|finally|do|begin|process|end)\b").match(
            self.text, at
        ):
            return head.end()
        if head := re.compile(r"(?i)function\s+[\w:-]+").match(self.text, at):
            return head.end()
        if head := re.compile(r"(?:\[[\w.\[\]]+\]\s*)?(\$[\w:{}]+)\s*(\+?=)(?!=)\s*").match(
            self.text, at
        ):
            return self._assignment(at, head)
        return self._command(at)

    def _blank(self, at: int, *, lines: bool) -> int:
        """Behind blanks, comments and continued lines."""
        pattern = r"(?:[ \t]|`[ \t]*\r?\n|<#.*?#>" + (r"|[\r\n]|#[^\n]*" if lines else "") + ")*"
        match = re.compile(pattern, re.DOTALL).match(self.text, at)
        return match.end() if match else at

    def _behind_parentheses(self, at: int) -> int:
        depth, i = 0, at
        while i < len(self.text):
            char = self.text[i]
            if char in "\"'":
                end = self.text.find(char, i + 1)
                i = len(self.text) if end < 0 else end
            elif char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if not depth:
                    return i + 1
            i += 1
        return i

    def _parameters(self, at: int) -> int:
        end = self._behind_parentheses(at - 1)
        for match in re.compile(r"\$(\w+)\s*=\s*").finditer(self.text, at, end):
            token = self._token(match.end(), ",)")
            if token.kind == "text":
                self._put(match[1], token.text)
            elif token.items is not None:
                self._put(match[1], token.items)
        return end

    def _put(self, name: str, value: Value) -> None:
        self.values[name.lower()] = value
        self.names[name.lower()] = name

    def _assignment(self, at: int, head: re.Match[str]) -> int:
        """``$name = value``; the value may be text, a list, or a command."""
        name = head[1].strip("${}")
        key = name.lower()
        first = self._token(head.end(), ",;\n|)")
        items, token, end = list[Word](), first, first.end
        row = ListRow(self.document.file, _item)
        while token.kind in {"text", "array"}:
            items += token.items if token.items is not None else [self._item(token, row)]
            end = token.end
            following = self._blank(end, lines=False)
            if self.text[following : following + 1] != ",":
                break
            token = self._token(self._blank(following + 1, lines=True), ",;\n|)")
        after = self._blank(end, lines=False)
        ends = self.text[after : after + 1] in ("", "\n", "\r", ";", "#", "}")
        if first.kind == "end" or not ends or not items:
            self._put(name, None)
            if first.kind != "array" and re.match(r"[&\w.\"']", self.text[head.end() :][:1]):
                return self._command(head.end())
            return self._to_end(end)
        value: Value = items if first.kind == "array" or len(items) > 1 else items[0].text
        if head[2] == "+=":
            value = _grown(self.values.get(key), value)
        elif key.startswith(_ENV) and isinstance(value, Traced):
            self._remember(at, end, head, first)
        self._put(name, value)
        return end

    def _item(self, token: _Token, row: Row) -> Word:
        spot = self.source.span(token.start, token.end)
        return Word(token.text, place_of(spot, _item, row))

    def _remember(self, at: int, end: int, head: re.Match[str], value: _Token) -> None:
        place = place_of(
            self.source.span(value.start, value.end), _item, BlankRow(self.document.file, _item)
        )
        start = head.start(1) + len("$env:")
        name = place_of(
            self.source.span(start, head.end(1)), str, BlankRow(self.document.file, str)
        )
        whole = self.source.span(at, end)
        if place and whole:
            file = self.document.file
            begin = file.rfind("\n", 0, whole.start) + 1
            after = file.find("\n", whole.end)
            line = (begin, after + 1 if after >= 0 else len(file))
            self.places[head[1].strip("${}").lower()] = _Statement(place, line, name)

    def _to_end(self, at: int) -> int:
        match = re.compile(r"(?:`\r?\n|[^\n;])*").match(self.text, at)
        return match.end() if match else len(self.text)

    # Tokens.

    def _token(self, at: int, stops: str) -> _Token:
        """The value that begins somewhere; of kind ``end`` where none does."""
        text = self.text
        nothing = self.source[at:at]
        if at >= len(text) or text[at] in stops + "|;{}\r\n":
            return _Token("end", nothing, at, at)
        if text.startswith("@(", at):
            return self._array(at)
        if here := re.compile(r"@(['\"])\r?\n(.*?)\r?\n\1@", re.DOTALL).match(text, at):
            return _Token("text", self.source[here.start(2) : here.end(2)], at, here.end())
        if text[at] == "@" and (splat := re.compile(r"@(\w+)").match(text, at)):
            value = self.values.get(splat[1].lower())
            items = value if isinstance(value, list) else None
            return _Token(
                "array" if items is not None else "unknown", nothing, at, splat.end(), items
            )
        pieces, i, items = [nothing], at, None
        while i < len(text) and not text[i].isspace() and text[i] not in stops + "|;{}":
            char = text[i]
            if char == '"':
                piece, i = self._double(i)
            elif char == "'":
                piece, i = self._single(i)
            elif char == "$":
                found, end = self._variable(i)
                items = found if isinstance(found, list) and i == at else items
                piece = found if isinstance(found, Traced) else self.source[i:end]
                i = end
            elif char == "`" and i + 1 < len(text) and text[i + 1] not in "\r\n":
                piece, i = Traced.at(text[i + 1], self.source.span(i, i + 2)), i + 2
            elif char == "`":
                break
            elif char == "(":
                end = self._behind_parentheses(i)
                piece, i = self.source[i:end], end
            else:
                piece, i = self.source[i : i + 1], i + 1
            pieces.append(piece)
        if i == at:
            return _Token("end", nothing, at, at)
        if items is not None and len(pieces) == 2:  # noqa: PLR2004
            return _Token("array", nothing, at, i, items)
        return _Token("text", Traced.joined(pieces), at, i)

    def _double(self, at: int) -> tuple[Traced, int]:
        text, pieces, i = self.text, [self.source[at + 1 : at + 1].within(_within_double)], at + 1
        while i < len(text):
            if text[i] == '"':
                if not text.startswith('""', i):
                    return Traced.joined(pieces), i + 1
                pieces.append(Traced.at('"', self.source.span(i, i + 2)))
                i += 2
            elif text[i] == "`" and i + 1 < len(text):
                char = _ESCAPES.get(text[i + 1], text[i + 1])
                pieces.append(Traced.at(char, self.source.span(i, i + 2)))
                i += 2
            elif text[i] == "$":
                found, end = self._variable(i, in_text=True)
                whole = self.source[i:end]
                if isinstance(found, list):
                    found = Traced.at(" ".join(map(str, found)), whole.span())
                pieces.append(whole if found is None else Traced.at(found.text, whole.span()))
                i = end
            else:
                pieces.append(self.source[i : i + 1].within(_within_double))
                i += 1
        return Traced.joined(pieces), i

    def _single(self, at: int) -> tuple[Traced, int]:
        text, pieces, i = self.text, [self.source[at + 1 : at + 1]], at + 1
        while i < len(text):
            if text.startswith("''", i):
                pieces.append(Traced.at("'", self.source.span(i, i + 2)))
                i += 2
            elif text[i] == "'":
                return Traced.joined(pieces), i + 1
            else:
                pieces.append(self.source[i : i + 1])
                i += 1
        return Traced.joined(pieces), i

    def _variable(self, at: int, *, in_text: bool = False) -> tuple[Value, int]:
        """The value of the variable that begins somewhere; None where it is not in the file."""
        if self.text.startswith("$(", at):
            return None, self._behind_parentheses(at + 1)
        match = _NAME.match(self.text, at)
        if not match:
            return self.source[at : at + 1], at + 1
        name = match[1] or (match[2] or "") + match[3]
        end = match.end()
        if not in_text and (member := _MEMBER.match(self.text, end)):
            return None, member.end()
        short = re.sub(r"^(global|script|local):", "", name.lower())
        if short in {"true", "false", "null"}:
            return Traced.made(short), end
        return self.values.get(short), end

    def _array(self, at: int) -> _Token:
        row = ListRow(self.document.file, _item, opened=self.source.begin(at + 2))
        items, i = list[Word](), at + 2
        while i < len(self.text):
            i = self._blank(i, lines=True)
            if self.text[i : i + 1] == ")":
                break
            token = self._token(i, ",)")
            if token.kind == "end":
                i += 1
                continue
            if token.items is not None:
                items += token.items
            else:
                items.append(self._item(token, row))
                spot = self.source.span(token.start, token.end)
                row.items.extend([(spot.start, spot.end)] if spot else [])
            i = self._blank(token.end, lines=True)
            i += self.text[i : i + 1] == ","
        return _Token("array", self.source[at:at], at, i + 1, items)

    # Commands.

    def _command(self, at: int) -> int:
        """A command with its arguments."""
        begin = self.source.span(at, at)
        row = BlankRow(self.document.file, _quoted, continuation="`")
        words, i, assumed = list[Word](), at, list[str]()
        while i < len(self.text):
            i = self._blank(i, lines=False)
            if i >= len(self.text) or self.text[i] in ";|{}\r\n)#":
                break
            if (
                self.text[i] in "&."
                and (not words)
                and self.text[i + 1 : i + 2] in (" ", '"', "'", "$")
            ):
                i += 1
                continue
            if redirection := re.compile(
                r"(?:[\d*]?>{1,2}(?:&\d)?|<)\s*(?:\"[^\"]*\"|'[^']*'|[^\s;|]*)"
            ).match(self.text, i):
                i = redirection.end()
                continue
            token = self._token(i, ")")
            if token.kind == "end":
                i += 1
                continue
            words += self._arguments(token, row, assumed, first=not words)
            i = token.end
        if i < len(self.text) and self.text[i] == "#":
            i = self._to_end(i)
        if words:
            self._start(words, begin, assumed)
        return max(i + (self.text[i : i + 1] in (";", "|", "{", "}", ")")), at + 1)

    def _arguments(
        self, token: _Token, row: Row, assumed: list[str], *, first: bool
    ) -> Iterator[Word]:
        written = self.text[token.start : token.end]
        if token.items is not None:
            yield from token.items
        elif not first and (
            token.kind == "unknown" or (token.text.text == written and _FURTHER.fullmatch(written))
        ):
            assumed.append(f"{written} is empty")
        else:
            spot = self.source.span(token.start, token.end)
            yield Word(token.text, place_of(spot, _quoted, row))

    def _start(self, words: list[Word], begin: Spot | None, assumed: Sequence[str]) -> None:
        if str(words[0]).lower() in {"start-process", "start", "saps", "start-job"}:
            words = self._process(words)
        lines = servers_of(words, self._environment(), around(self.document), self._add(begin))
        self.found += [replace(x, assumed=(*assumed, *x.assumed)) for x in lines]

    def _process(self, words: list[Word]) -> list[Word]:
        """What ``Start-Process`` starts."""
        program, arguments, i = list[Word](), list[Word](), 1
        while i < len(words):
            text = str(words[i]).lower()
            if text in {"-filepath", "-file"}:
                program, i = words[i + 1 : i + 2], i + 2
            elif text in {"-argumentlist", "-args", "-argument"}:
                i += 1
                while i < len(words) and not re.fullmatch(
                    r"(?i)-(NoNewWindow|PassThru|Wait|WindowStyle|Redirect\w+|WorkingDirectory"
                    r"|Verb|Environment)",
                    str(words[i]),
                ):
                    arguments.append(words[i])
                    i += 1
            elif text in {"-nonewwindow", "-passthru", "-wait", "-usenewenvironment"}:
                i += 1
            elif text.startswith("-"):
                i += 2
            elif not program:
                program, i = [words[i]], i + 1
            else:
                arguments.append(words[i])
                i += 1
        listed = [_without_comma(word) for word in arguments]
        inner = [one for word in listed for one in self._split(word)]
        return [*program, *inner]

    def _split(self, word: Word) -> list[Word]:
        """An item of ``-ArgumentList`` falls apart at its blanks."""
        if not re.search(r"\s", str(word).strip()):
            return [word]
        if '"' in str(word):
            return windows_words(word.text, BlankRow(self.document.file, str))
        return parted(word.text, BlankRow(self.document.file, str))

    def _environment(self) -> dict[str, Variable]:
        env = dict[str, Variable]()
        for key, value in self.values.items():
            if key.startswith(_ENV):
                known = value.text if isinstance(value, Traced) else None
                if known is not None and re.search(r"\$\w|\$\(", known):
                    known = None
                name = self.names[key][len(_ENV) :]
                env[name] = Variable(value=known, place=self.places.get(key))
        return env

    def _add(self, begin: Spot | None) -> AddVariables | None:
        if begin is None:
            return None
        at = self.document.file.rfind("\n", 0, begin.start) + 1
        return lambda pairs: [Edit(at, at, "".join(f"$env:{n} = {_item(v)}\n" for n, v in pairs))]


def _grown(old: Value, new: Value) -> Value:
    if old is None or new is None:
        return None
    if isinstance(old, Traced) and isinstance(new, Traced):
        return Traced.joined([old, new])
    first = old if isinstance(old, list) else [Word(old)]
    return [*first, *(new if isinstance(new, list) else [Word(new)])]


def _without_comma(word: Word) -> Word:
    text = str(word)
    return Word(word.text[: len(text) - 1], None) if text.endswith(",") else word
