"""Batch files of Windows, and command lines as typed into its command prompt."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.document import Contents, Document
from harness.formats.naming import numbered
from harness.formats.places import BlankRow, Edit, OwnLine, Place
from harness.formats.programs import servers_of
from harness.formats.traced import Traced, unbroken
from harness.formats.units import around
from harness.formats.windows_words import windows_quoted, windows_words

LOOKED_FOR: Final = "a batch file that starts llama-server.exe"

_SIGNS: Final = re.compile(
    r"(?im)^[ \t]*@?echo\s+off|^[ \t]*(rem\b|::)|^[ \t]*@?set\s+(/[ap]\s+)?\"?\w+="
    r"|\^[ \t]*\r?$|%~dp0|^[ \t]*@?(call|start|title|pause|setlocal|chcp)\b|%\w+%"
)
_UNIX: Final = re.compile(r"(?m)^#!|\\[ \t]*\r?$|\$\{?\w|^[ \t]*export\s|^[ \t]*#")
_WINDOWS_PATH: Final = re.compile(r"(?:^|[\s\"=])(?:[A-Za-z]:|\.{0,2})\\[\w.]")
_VARIABLE: Final = re.compile(r"%(\w+)(:~?[^%]*)?%|!(\w+)!|%%")
_FURTHER: Final = re.compile(r"\w*(ARGS?|OPTS?|OPTIONS|FLAGS|EXTRA|PARAMS)\w*", re.IGNORECASE)
_OWN: Final = re.compile(
    r"LLAMA_(ARG_\w+|API_KEY|LOG_\w+|CHAT_TEMPLATE_KWARGS|CACHE|TRACE|OFFLINE)"
    r"|(GGML|CUDA|HIP|HSA|ROCR|HF|VK|SYCL|ONEAPI|ZES|OMP)_\w+",
    re.IGNORECASE,
)
_CONDITION: Final = re.compile(
    r"\s*if\s+(?P<flag>/i\s+)?(?P<no>not\s+)?(?:"
    r"(?P<defined>defined)\s+(?P<name>\w+)"
    r"|(?P<exist>exist)\s+(?:\"[^\"]*\"|\S+)"
    r"|(?P<level>errorlevel)\s+\S+"
    r"|(?P<left>\"[^\"]*\"|[^\s=]*)\s*(?:==|\s(?P<how>equ|neq|gtr|geq|lss|leq)\s)\s*"
    r"(?P<right>\"[^\"]*\"|\S+)"
    r")\s*",
    re.IGNORECASE,
)
_LOOP: Final = re.compile(r"\s*for\s+.*?\bin\s*\(.*?\)\s*do\s*", re.IGNORECASE)
_LONGEST: Final = 1000
_DEPTH: Final = 10
_START: Final = re.compile(
    r"\s*start\s+(?:\"[^\"]*\"\s+)?(?:/(?:d|affinity|node)\s+(?:\"[^\"]*\"|\S+)\s+|/\w+\s+)*",
    re.IGNORECASE,
)


def recognises(document: Document) -> bool:
    """Whether it has what only such files have."""
    if document.suffix in {".bat", ".cmd"}:
        return True
    if document.suffix in {".sh", ".bash"} or _UNIX.search(document.text):
        return False
    return bool(_SIGNS.search(document.text) or _WINDOWS_PATH.search(document.text))


def read(document: Document) -> Contents:
    """The command lines of all servers that it starts, numbered where there are several."""
    reader = _Reader(document)
    for line in unbroken(document.source.lines(), "^"):
        reader.line(line)
    if not reader.found:
        document.refuse("holds no command that starts a llama-server")
    return Contents(lines=numbered(reader.found), unread={})


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.values: dict[str, Traced] = {}
        self.places: dict[str, OwnLine] = {}
        self.names: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.found: list[PlacedLine] = []
        self.assumed: list[str] = []
        self.blocks: list[bool] = []
        self.last = True
        used = re.findall(r"[%!](\w+)(?::[^%!]*)?[%!]", document.text)
        self.used = {name.upper() for name in used}

    def line(self, line: Traced, depth: int = 0) -> None:
        """Follow one line."""
        text = line.text.strip()
        if not text or re.match(r"(?i)@?\s*(rem(\s|$)|::)", text) or text.startswith(":"):
            return
        for part in _commands(line):
            self._command(part, depth)

    def _live(self) -> bool:
        return all(self.blocks)

    def _command(self, part: Traced, depth: int) -> None:
        part = part[len(part.text) - len(part.text.lstrip(" \t@")) :]
        text = part.text.strip()
        if not text or depth > _DEPTH:
            return
        if text.startswith(")"):
            self._close(part[part.text.index(")") + 1 :], depth)
        elif condition := _CONDITION.match(part.text):
            self._branch(part[condition.end() :], self._holds(condition), depth)
        elif loop := _LOOP.match(part.text[:_LONGEST]):
            self._branch(part[loop.end() :], False, depth)
        elif text.startswith("("):
            self._branch(part[part.text.index("(") :], True, depth)
        elif change := re.match(r"(?i)set(?:\s+(/[ap]))?\s+", part.text):
            self._set(part[change.end() :], change[1])
        elif not re.match(r"(?i)(echo|title|rem|goto|exit|cd|pushd|popd|pause)\b", text):
            self._run(part)

    def _close(self, rest: Traced, depth: int) -> None:
        """The end of a block, and what follows it."""
        if self.blocks:
            self.last = self.blocks.pop()
        if begin := re.match(r"\s*else\b\s*", rest.text, re.IGNORECASE):
            self._branch(rest[begin.end() :], not self.last, depth)
        elif rest.text.strip():
            self._command(rest, depth + 1)

    def _branch(self, rest: Traced, holds: bool, depth: int) -> None:
        """What follows a condition: a block that begins, or a command."""
        text = rest.text.strip()
        if not text.startswith("("):
            self.blocks.append(holds)
            self._command(rest, depth + 1)
            self.last = self.blocks.pop()
            return
        self.blocks.append(holds)
        inner = rest[rest.text.index("(") + 1 :]
        end = inner.text.rfind(")")
        if end < 0:
            self._command(inner, depth + 1)
            return
        close = inner.text.find(")")
        other = re.match(r"\)\s*else\b", inner.text[close:], re.IGNORECASE)
        at = close if other else end
        self._command(inner[:at], depth + 1)
        self._command(inner[at:], depth + 1)

    def _holds(self, condition: re.Match[str]) -> bool:
        """Whether a condition holds: files are there, nothing has failed."""
        negated = bool(condition["no"])
        if condition["defined"]:
            return (condition["name"].upper() in self.values) != negated
        if condition["exist"]:
            return not negated
        if condition["level"]:
            return negated
        left, right = (self._plain(condition[side]) for side in ("left", "right"))
        if condition["flag"]:
            left, right = left.lower(), right.lower()
        equal = left.strip('"') == right.strip('"')
        how = (condition["how"] or "equ").lower()
        if how in {"equ", "neq"}:
            return equal != negated if how == "equ" else equal == negated
        return False

    def _plain(self, text: str) -> str:
        filled = self._filled(Traced.made(text)).text
        return re.sub(r"%\w+%|!\w+!", "", filled)

    def _set(self, rest: Traced, how: str | None) -> None:
        text = rest.text.rstrip()
        if text.startswith('"'):
            end = text.rfind('"')
            rest = rest[1 : end if end > 0 else len(text)]
        else:
            rest = rest[: len(rest.text.rstrip("\r\n"))]
        name, equals, _ = rest.text.partition("=")
        key = name.strip().upper()
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name.strip()) or not self._live():
            return
        value = self._filled(rest[len(name) + 1 :])
        self.names[key] = name.strip()
        self.unknown.discard(key)
        if how or re.search(r"%\w+%|%~|%%\w|!\w+!", value.text):
            self.unknown.add(key)
        if how:
            self.values.pop(key, None)
            return
        if not value.text:
            self.values.pop(key, None)
            self.unknown.discard(key)
        self.values[key] = value
        spot = rest.span()
        if spot:
            row = BlankRow(self.document.file, str)
            place = Place(spot.start, spot.end, _percents, row)
            self.places[key] = OwnLine(place, self.document.file)

    def _filled(self, text: Traced) -> Traced:
        pieces, position = list[Traced](), 0
        for match in _VARIABLE.finditer(text.text):
            spot = text.span(match.start(), match.end())
            name = (match[1] or match[3] or "").upper()
            whole = text[match.start() : match.end()]
            if match[0] == "%%":
                piece = Traced.at("%", spot)
            elif name in self.values:
                value = self.values[name]
                piece = Traced.at(value.text, spot) if not match[2] else whole
                if not match[2] and whole.text == text.text.strip():
                    piece = value
            else:
                piece = whole
            pieces += [text[position : match.start()], piece]
            position = match.end()
        return Traced.joined([*pieces, text[position:]])

    def _environment(self) -> dict[str, Variable]:
        env = dict[str, Variable]()
        for key, value in self.values.items():
            if value.text and (_OWN.fullmatch(key) or key not in self.used):
                known = None if key in self.unknown else value.text
                env[self.names[key]] = Variable(value=known, place=self.places.get(key))
        return env

    def _run(self, part: Traced) -> None:
        begin = re.match(r"(?i)\s*call\s+", part.text) or _START.match(part.text)
        begin = begin or re.match(r"(?i)\s*cmd(\.exe)?\s+/\w+\s+", part.text)
        command = part[begin.end() :] if begin else part
        assumed, pieces, position = list[str](), list[Traced](), 0
        for match in _VARIABLE.finditer(command.text):
            name = match[1] or match[3] or ""
            if name.upper() in self.values and not match[2]:
                value = self.values[name.upper()]
                alone = _alone(command.text, match)
                spot = command.span(match.start(), match.end())
                piece = value if alone else Traced.at(value.text, spot)
            elif name and _FURTHER.fullmatch(name) and _alone(command.text, match):
                assumed.append(f"{match[0]} is empty")
                piece = command[position:position]
            elif match[0] == "%%":
                piece = Traced.at("%", command.span(match.start(), match.end()))
            else:
                piece = command[match.start() : match.end()]
            pieces += [command[position : match.start()], piece]
            position = match.end()
        filled = _uncareted(Traced.joined([*pieces, command[position:]]))
        row = BlankRow(self.document.file, _written, continuation="^")
        words = windows_words(filled, row, _written)
        add = self._add(part)
        lines = servers_of(words, self._environment(), around(self.document), add)
        if not lines and words and str(words[0]).startswith("-") and not self.found:
            lines = [PlacedLine(words=tuple(words), env=self._environment(), add=add)]
        if lines and not self._live():
            assumed.append("a condition holds that this host does not tell")
        self.found += [replace(x, assumed=(*assumed, *x.assumed)) for x in lines]

    def _add(self, part: Traced) -> AddVariables | None:
        spot = part.span(0, 0)
        if spot is None:
            return None
        begin = self.document.file.rfind("\n", 0, spot.start) + 1
        return lambda pairs: [Edit(begin, begin, _sets(pairs))]


def _alone(text: str, match: re.Match[str]) -> bool:
    """Whether a variable is a word by itself, without quotes around it."""
    before, after = text[: match.start()][-1:], text[match.end() :][:1]
    return before in ("", " ", "\t") and after in ("", " ", "\t", "\r")


def _sets(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f'set "{name}={_percents(value)}"\n' for name, value in pairs)


def _percents(text: str) -> str:
    return text.replace("%", "%%")


def _written(word: str) -> str:
    return _percents(windows_quoted(word))


def _commands(line: Traced) -> Iterator[Traced]:
    """The commands of a line, without their redirections."""
    text, start, quoted, i = line.text, 0, False, 0
    while i < len(text):
        char = text[i]
        if char == '"':
            quoted = not quoted
        elif char == "^" and not quoted:
            i += 1
        elif not quoted and char in "&|":
            yield _unredirected(line[start:i])
            i += text[i : i + 2] in {"&&", "||"}
            start = i + 1
        elif not quoted and char in "<>":
            target = re.compile(r"[<>]+\s*(?:&\d|\"[^\"]*\"|[^\s&|<>]+)?").match(text, i)
            i = target.end() - 1 if target else i
        i += 1
    yield _unredirected(line[start:])


def _unredirected(command: Traced) -> Traced:
    text, pieces, position, quoted = command.text, list[Traced](), 0, False
    target = re.compile(r"[<>]+\s*(?:&\d|\"[^\"]*\"|[^\s&|<>]+)?")
    i = 0
    while i < len(text):
        if text[i] == '"':
            quoted = not quoted
        elif text[i] == "^" and not quoted:
            i += 1
        elif text[i] in "<>" and not quoted and (match := target.match(text, i)):
            begin = i - 1 if i and text[i - 1].isdigit() and text[i - 2 : i - 1] in ("", " ") else i
            pieces.append(command[position:begin])
            position = i = match.end()
            continue
        i += 1
    return Traced.joined([*pieces, command[position:]])


def _uncareted(command: Traced) -> Traced:
    text, pieces, position, quoted, i = command.text, list[Traced](), 0, False, 0
    while i < len(text):
        if text[i] == '"':
            quoted = not quoted
        elif text[i] == "^" and not quoted:
            pieces.append(command[position:i])
            position = i + 1
            i += 1
        i += 1
    return Traced.joined([*pieces, command[position:]])
