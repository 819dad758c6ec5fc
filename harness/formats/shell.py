"""Shell scripts and command lines as typed into a shell. They are read, never run."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from harness.formats.command_line import PlacedLine, Variable
from harness.formats.document import Contents, Document
from harness.formats.naming import numbered
from harness.formats.places import BlankRow, Edit, Place, VariablePlace, Word, place_of
from harness.formats.programs import Around, servers_of
from harness.formats.shell_conditions import condition_holds
from harness.formats.shell_tree import (
    broken_line,
    clauses,
    having,
    last_command,
    more_arguments,
    open_quote,
    parsed,
)
from harness.formats.shell_words import Unknown, Value, fields, text_of
from harness.formats.traced import GrownError, Traced
from harness.formats.words import blankless, shell_quoted, stands

if TYPE_CHECKING:
    from tree_sitter import Node

LOOKED_FOR: Final = "a shell command that starts llama-server, by itself or in a container"

_DEPTH: Final = 20
_SHOWN: Final = 60
_BUILTINS: Final[Mapping[str, str]] = {
    ":": "true",
    ".": "source",
    **{name: name for name in ("true", "false", "test", "set", "source", "shift")},
    **dict.fromkeys(("exit", "return", "die"), "exit"),
    **dict.fromkeys(("read", "mapfile", "readarray"), "read"),
}
_ALL_EXPORTED: Final = (["-o", "allexport"], ["+o", "allexport"])
_ROUNDS: Final = 64
_STEPS: Final = 200_000
"""Statements of a script that are followed, those of loops and functions each time."""

_OTHER_LANGUAGE: Final = re.compile(r"#!.*\b(python|perl|ruby|node|pwsh|fish|tclsh|php|lua)")
_FURTHER: Final = re.compile(
    r'"?\$\{?(\w*(?:ARGS?|OPTS?|OPTIONS|FLAGS|EXTRA|PARAMS|ARGUMENTS)\w*)\}?"?', re.IGNORECASE
)
"""A variable that by its name holds more arguments, if any."""


def recognises(document: Document) -> bool:
    """Whether it may be: this is tried last."""
    return bool(document.text.strip())


def read(document: Document) -> Contents:
    """The command lines of all servers that a script starts, numbered where there are several."""
    if found := _OTHER_LANGUAGE.match(document.text):
        document.refuse(f"is a program for {found[1]}, which is not read")
    if (opened := open_quote(document.text)) is not None:
        document.refuse(f"line {opened}: a quote stays open")
    script = Script(document)
    lines = script.read() or ([script.bare] if script.bare else [])
    if not lines:
        line = f"; line {script.broken} does not read as a shell command" if script.broken else ""
        document.refuse(f"holds no command that starts a llama-server{line}")
    return Contents(lines=numbered(lines), unread={})


def commands(
    document: Document, exported: Mapping[str, Variable] | None = None, depth: int = 0
) -> list[PlacedLine]:
    """The command lines that a text handed to a shell starts, with the variables it is given."""
    if depth > _DEPTH:
        return []
    return Script(document, exported or {}, depth).read()


@dataclass
class _State:
    """Variables at one point of a script."""

    values: dict[str, Value] = field(default_factory=dict)
    places: dict[str, VariablePlace] = field(default_factory=dict)
    given: dict[str, Variable] = field(default_factory=dict)
    exported: dict[str, None] = field(default_factory=dict)
    functions: dict[str, "Node"] = field(default_factory=dict)
    positional: tuple[Word, ...] | None = None
    exports_all: bool = False
    assumed: list[str] = field(default_factory=list)
    ended: bool = False

    def copy(self) -> "_State":
        return replace(
            self,
            values=dict(self.values),
            places=dict(self.places),
            given=dict(self.given),
            exported=dict(self.exported),
            functions=dict(self.functions),
            assumed=list(self.assumed),
        )


@dataclass(frozen=True, slots=True)
class _Statement:
    """A variable that an assignment of a script sets."""

    place: Place
    whole: Place

    def becomes(self, name: str, value: str) -> list[Edit]:
        """See VariablePlace."""
        return [self.place.becomes(f"{name}={value}")]

    def removed(self) -> list[Edit]:
        """See VariablePlace."""
        return [self.whole.row.remove(self.whole, self.whole)]


class Script:
    """A reading of one script; the words of ``Scope`` tell its variables."""

    def __init__(
        self,
        document: Document,
        given: Mapping[str, Variable] | None = None,
        depth: int = 0,
    ) -> None:
        self.document = document
        self.source = document.source
        self.depth = depth
        self.state = _State(given=dict(given or {}))
        for name, variable in self.state.given.items():
            value = variable.value
            self.state.values[name] = Unknown.UNKNOWN if value is None else Traced.made(value)
        self.found: list[PlacedLine] = []
        self.bare: PlacedLine | None = None
        self.broken: int | None = None
        self.called: set[str] = set()
        self.calling: list[str] = []
        self.steps = 0
        self.more: dict[int, list[Node]] = {}
        self.own = set(re.findall(r"(\w+)\+?=", self.source.text))
        self.around = Around(
            file=document.file,
            shell=self._nested_text,
            beside=document.beside,
        )

    def read(self) -> list[PlacedLine]:
        """The command lines of the servers that it starts."""
        root, self._chars = parsed(self.source.text)
        self.broken = broken_line(root)
        try:
            self._visit(root)
            for name, body in self.state.functions.items():
                if name not in self.called:
                    self._aside(body)
        except RecursionError:
            self.document.refuse("is nested too deeply")
        if self.broken and self.depth == 0:
            note = f"line {self.broken} does not read as a shell command"
            self.found = [replace(x, assumed=(*x.assumed, note)) for x in self.found]
        return self.found

    # What shell_words asks.

    def lookup(self, name: str) -> Value | None:
        """See Scope."""
        positional = self.state.positional
        if name in {"@", "*"}:
            return positional or ()
        if name.isdigit():
            if positional is None or name == "0":
                return None
            index = int(name[:6]) - 1
            return positional[index].text if 0 <= index < len(positional) else Traced.made("")
        if name == "#":
            return Traced.made(str(len(positional or ())))
        return self.state.values.get(name)

    def sets(self, name: str) -> bool:
        """See Scope."""
        return name in self.own

    def assign(self, name: str, value: Traced) -> None:
        """See Scope."""
        self.state.values[name] = value

    def output(self, command: str) -> str | None:
        """See Scope: only the idioms that print a file beside this one."""
        for name in re.findall(r"(?<![\w$])[\w./-]*\.env[\w.]*|(?<=<)\s*[\w./-]+", command):
            text = self.document.beside(name.strip())
            if text is not None:
                kept = (line.strip() for line in text.splitlines())
                return " ".join(line for line in kept if line and not line.startswith("#"))
        return None

    # Walking the tree.

    def _piece(self, node: "Node") -> Traced:
        return self.source[self._chars(node.start_byte) : self._chars(node.end_byte)]

    def _text(self, node: "Node") -> str:
        return self._piece(node).text

    def _visit(self, node: "Node") -> bool | None:
        """Follow a node; whether it succeeds, None where only running it would tell."""
        self.steps += 1
        if self.steps > _STEPS:
            raise GrownError
        visit = getattr(self, f"_visit_{node.type}", None)
        if visit is not None:
            result: bool | None = visit(node)
            return result
        status: bool | None = None
        for child in node.named_children:
            status = self._visit(child)
        return status

    def _aside(self, node: "Node") -> None:
        """Look for servers where the script may not get to; what is set there does not count."""
        self._branch([node], False, "")

    def _visit_comment(self, node: "Node") -> None:
        del node

    _visit_heredoc_redirect = _visit_herestring_redirect = _visit_comment
    _visit_string = _visit_raw_string = _visit_word = _visit_concatenation = _visit_comment
    _visit_file_redirect = _visit_comment

    def _visit_subshell(self, node: "Node") -> None:
        before = self.state
        self.state = before.copy()
        for child in node.named_children:
            self._visit(child)
        self.state = before

    def _visit_negated_command(self, node: "Node") -> bool | None:
        status = self._visit(node.named_children[-1]) if node.named_children else None
        return None if status is None else not status

    def _visit_list(self, node: "Node") -> bool | None:
        left, *rest = node.named_children
        first = self._visit(left)
        wanted = any(child.type == "&&" for child in node.children)
        for right in rest:
            if first is None and wanted:
                self._branch([right], None, f"{self._shown(left)} holds")
            elif first is wanted:
                first = self._visit(right)
            else:
                self._aside(right)
        return first

    def _visit_if_statement(self, node: "Node") -> None:
        taken = False
        for conditions, body in clauses(node):
            status: bool | None = True
            for condition in conditions:
                if taken:
                    self._aside(condition)
                else:
                    status = self._visit(condition)
            told = f"{self._shown(conditions[0])} holds" if conditions else ""
            taken = self._branch(body, False if taken else status, told) or taken

    def _visit_case_statement(self, node: "Node") -> None:
        value, taken = node.child_by_field_name("value"), False
        subject = self._subject(value) if value is not None else None
        for item in node.named_children:
            if item.type != "case_item":
                continue
            patterns = [text_of(self._piece(one), self).text for one in having(item, "value")]
            fits = None
            if subject is not None or taken:
                fits = not taken and any(fnmatchcase(subject or "", one) for one in patterns)
            told = f"{self._shown(item)} applies"
            taken = self._branch(having(item, None), fits, told) or taken

    def _branch(self, body: "Sequence[Node]", holds: bool | None, told: str) -> bool:
        """Follow a branch; whether it is the one that the script takes.

        Where only running the script would tell, the first that does not end it is taken.
        """
        before = self.state
        self.state = before.copy()
        for statement in body:
            self._visit(statement)
        if holds is False or (holds is None and self.state.ended):
            before.functions.update(self.state.functions)
            self.state = before
            return False
        if holds is None and self.state.values != before.values:
            self.state.assumed.append(told)
        return True

    def _shown(self, node: "Node") -> str:
        """Where a node stands, and how it begins."""
        text = " ".join(self._text(node).split())
        short = f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
        return f"line {node.start_point.row + 1}: {short}"

    def _subject(self, value: "Node") -> str | None:
        """What a ``case`` is about; None where only running the script would tell."""
        expanded = text_of(self._piece(value), self).text
        reference = re.fullmatch(r"\$\{?(\w+)\}?", expanded)
        if reference and self.lookup(reference[1]) is None:
            return ""
        return None if stands(expanded) else expanded

    def _visit_for_statement(self, node: "Node") -> None:
        variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        if variable is None or body is None:
            return
        name = self._text(variable)
        values = [word for one in having(node, "value") for word in fields(self._piece(one), self)]
        known = [word for word in values if not _globbed(str(word)) and not stands(str(word))]
        if not values or len(known) < len(values):
            self.state.values[name] = Unknown.UNKNOWN
            self._visit(body)
            return
        for word in known[:_ROUNDS]:
            self.state.values[name] = word.text
            self._visit(body)

    def _visit_while_statement(self, node: "Node") -> None:
        condition, body = node.child_by_field_name("condition"), node.child_by_field_name("body")
        status = self._visit(condition) if condition is not None else None
        wanted = node.children[0].type != "until"
        if body is not None:
            if status is not None and status is not wanted:
                self._aside(body)
            else:
                ended = self.state.ended
                self._visit(body)
                self.state.ended = ended

    def _visit_function_definition(self, node: "Node") -> None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and body is not None:
            self.state.functions[self._text(name)] = body

    def _visit_test_command(self, node: "Node") -> bool | None:
        return condition_holds(self._piece(node), self)

    # Variables.

    def _visit_variable_assignment(self, node: "Node") -> bool:
        self._assign(node, exported=self.state.exports_all, whole=node)
        return True

    def _assign(self, node: "Node", *, exported: bool, whole: "Node") -> None:
        target, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if target is None:
            return
        name = self._text(target)
        if target.type == "subscript" and value is not None:
            self.state.values[name] = text_of(self._piece(value), self)
            self.state.values.setdefault(name.partition("[")[0], Unknown.UNKNOWN)
            return
        grows = any(child.type == "+=" for child in node.children)
        new: Value
        if value is None:
            new = self.source[self._chars(node.end_byte) : self._chars(node.end_byte)]
        elif value.type == "array" and self._keys(name, value):
            new = Unknown.UNKNOWN
        elif value.type == "array":
            new = tuple(self._array(value))
            old = self.state.values.get(name)
            if grows and isinstance(old, tuple):
                new = (*old, *new)
        else:
            text = text_of(self._piece(value), self)
            old = self.state.values.get(name)
            text = Traced.joined([old, text]) if grows and isinstance(old, Traced) else text
            only_output = re.fullmatch(r"\s*(\$\(.*\)|`.*`)\s*", text.text, re.DOTALL)
            new = Unknown.UNKNOWN if only_output else text
        self.state.values[name] = new
        if exported or self.state.exports_all:
            self.state.exported[name] = None
        row = BlankRow(self.document.file, shell_quoted)
        place = place_of(self._piece(node).span(), shell_quoted, row)
        around = place_of(self._piece(whole).span(), shell_quoted, row)
        if place and around:
            self.state.places[name] = _Statement(place, around)

    def _keys(self, name: str, node: "Node") -> bool:
        """Set the items of an array with keys; whether it is one."""
        items = [self._piece(one) for one in node.named_children if one.type != "comment"]
        keys = [re.match(r"\[([^\]]+)\]=", item.text) for item in items]
        for item, key in zip(items, keys, strict=True):
            if key:
                self.state.values[f"{name}[{key[1]}]"] = text_of(item[key.end() :], self)
        return bool(keys) and all(keys)

    def _array(self, node: "Node") -> Iterator[Word]:
        opened = self._chars(node.start_byte) + 1
        spot = self.source.span(opened, opened)
        head = None if spot is None else spot.start
        row = BlankRow(self.document.file, _in(spot, shell_quoted), head, pad="")
        for child in node.named_children:
            if child.type != "comment":
                yield from self._words(self._piece(child), row)

    def _visit_declaration_command(self, node: "Node") -> bool:
        exported = node.children[0].type == "export"
        assignments = [c for c in node.named_children if c.type == "variable_assignment"]
        for child in node.named_children:
            text = self._text(child)
            if child.type == "word" and re.fullmatch(r"-\w*x\w*", text):
                exported = True
            elif child.type == "variable_assignment":
                whole = node if len(assignments) == 1 else child
                self._assign(child, exported=exported, whole=whole)
            elif child.type in {"variable_name", "word"} and exported:
                self.state.exported.update(dict.fromkeys(re.findall(r"^\w+$", text)))
            elif exported:
                for word in fields(self._piece(child), self):
                    name, equals, _ = str(word).partition("=")
                    if equals and name.isidentifier():
                        self.state.values[name] = word.text[len(name) + 1 :]
                        self.state.exported[name] = None
        return True

    def _visit_unset_command(self, node: "Node") -> bool:
        for child in node.named_children:
            self.state.values.pop(self._text(child), None)
            self.state.exported.pop(self._text(child), None)
            self.state.given.pop(self._text(child), None)
        return True

    def _environment(self) -> dict[str, Variable]:
        env = dict(self.state.given)
        for name in self.state.exported:
            value = self.state.values.get(name)
            text = value.text if isinstance(value, Traced) else None
            known = None if text is None or stands(text) else text
            env[name] = Variable(value=known, place=self.state.places.get(name))
        return env

    # Commands.

    def _words(self, source: Traced, row: BlankRow) -> list[Word]:
        words = fields(source, self)
        if len(words) == 1 and words[0].place is None:
            return [Word(words[0].text, place_of(source.span(), shell_quoted, row))]
        if not words and _FURTHER.fullmatch(source.text):
            return []
        within = BlankRow(self.document.file, blankless)
        return [
            word if word.place else Word(word.text, place_of(word.text.span(), blankless, within))
            for word in words
        ]

    def _visit_command(self, node: "Node") -> bool | None:
        start = self.source.span(self._chars(node.start_byte), self._chars(node.end_byte))
        row = BlankRow(self.document.file, _in(start, shell_quoted))
        words, assumed = list[Word](), list[str]()
        for child in [*node.children, *self.more.get(node.id, ())]:
            if child.type in {"file_redirect", "herestring_redirect", "heredoc_redirect"}:
                continue
            if child.type == "variable_assignment":
                words.append(self._prefix(child, row))
            elif child.is_named and child.type not in {"comment", "ERROR"}:
                piece = self._piece(child)
                further = _FURTHER.fullmatch(piece.text)
                if further and words and self._is_outside(further[1]):
                    assumed.append(f"{piece.text} is empty")
                    continue
                words += self._words(piece, row)
        if not words:
            return None
        return self._run(words, assumed)

    def _is_outside(self, name: str) -> bool:
        return self.lookup(name) is None and not self.sets(name)

    def _prefix(self, node: "Node", row: BlankRow) -> Word:
        name, _, _ = self._text(node).partition("=")
        source = self._piece(node)
        value = text_of(source[len(name) + 1 :], self)
        text = Traced.joined([source[: len(name) + 1], value])
        return Word(text, place_of(source.span(), shell_quoted, row))

    def _run(self, words: Sequence[Word], assumed: Sequence[str]) -> bool | None:
        plain = [str(word) for word in words]
        if builtin := getattr(self, f"_run_{_BUILTINS.get(plain[0])}", None):
            result: bool | None = builtin(words[1:], plain[1:])
            return result
        if plain[0] in self.state.functions:
            if plain[0] not in self.calling:  # one that calls itself ends where only running tells
                self._call(plain[0], words[1:])
            return None
        lines = servers_of(words, self._environment(), self.around)
        if self.bare is None and plain[0].startswith("-") and not lines:
            self.bare = PlacedLine(words=tuple(words), env=self._environment())
        notes = (*self.state.assumed, *assumed)
        self.found += [replace(line, assumed=(*notes, *line.assumed)) for line in lines]
        return None

    def _run_true(self, *_: object) -> bool:
        return True

    def _run_false(self, *_: object) -> bool:
        return False

    def _run_test(self, *_: object) -> None:
        return None

    def _run_exit(self, *_: object) -> None:
        self.state.ended = True

    def _run_set(self, words: Sequence[Word], plain: Sequence[str]) -> bool:
        how = plain[0] if plain else ""
        if how == "--":
            self.state.positional = tuple(words[1:])
        elif re.fullmatch(r"[-+]\w*a\w*", how) or list(plain[:2]) in _ALL_EXPORTED:
            self.state.exports_all = how[0] == "-"
        return True

    def _run_source(self, _: object, plain: Sequence[str]) -> None:
        if plain:
            self._source(plain[0])

    def _run_shift(self, *_: object) -> None:
        self.state.positional = self.state.positional and self.state.positional[1:]

    def _run_read(self, _: object, plain: Sequence[str]) -> None:
        for name in plain:
            if name.isidentifier():
                self.state.values[name] = Unknown.UNKNOWN

    def _call(self, name: str, arguments: Sequence[Word]) -> None:
        self.called.add(name)
        positional, ended = self.state.positional, self.state.ended
        self.state.positional = tuple(arguments)
        self.calling.append(name)
        self._visit(self.state.functions[name])
        self.calling.pop()
        self.state.positional, self.state.ended = positional, ended

    def _source(self, name: str) -> None:
        text = self.document.beside(name)
        if text is None:
            self.state.assumed.append(f"{name} is not there, and what it sets is not known")
            return
        other = Script(
            Document(Traced.made(text), self.document.file, name, self.document.path),
            depth=self.depth + 1,
        )
        other.state = self.state
        if other.depth < _DEPTH:
            self.found += other.read()

    def _nested_text(self, text: Traced, env: Mapping[str, Variable]) -> list[PlacedLine]:
        if self.depth >= _DEPTH:
            return []
        return commands(self.document.within(text), env, self.depth + 1)

    # Redirections and here-documents.

    def _visit_redirected_statement(self, node: "Node") -> bool | None:
        body = node.child_by_field_name("body")
        redirects = [c for c in node.children if c.type.endswith("_redirect")]
        heredocs = [c for c in redirects if c.type == "heredoc_redirect"]
        more = [child for redirect in redirects for child in more_arguments(redirect)]
        status = None
        if body is not None:
            self.more[last_command(body).id] = more
            status = self._visit(body)
        for heredoc in heredocs:
            self._here(heredoc, self._text(body) if body is not None else "")
            for child in heredoc.named_children:
                if child.type in {"pipeline", "list", "command"}:
                    self._visit(child)
        return status

    def _here(self, node: "Node", command: str) -> None:
        """A file that a script writes: a unit, a compose file; or a script for another shell."""
        children = {child.type: child for child in node.children}
        if "heredoc_start" not in children or "heredoc_end" not in children:
            return
        opened = self._chars(children["heredoc_start"].end_byte)
        quoted = self._text(children["heredoc_start"])[:1] in {"'", '"', "\\"}
        start = self.source.text.find("\n", opened) + 1
        source = self.source[start : self._chars(children["heredoc_end"].start_byte)]
        if not quoted:
            source = text_of(source, self, quoted=True)
        inner = self.document.within(source)
        if re.match(r"(sudo |.*\s)?(ssh|bash|sh|zsh|su)\b", command):
            self.found += commands(inner, self._environment(), self.depth + 1)
            return
        if self.depth >= _DEPTH or not re.search(r"llama|LLAMA_ARG", source.text):
            return
        from harness.formats.registry import read_nested

        self.found += read_nested(inner)


def _in(spot: object, quote: Callable[[str], str]) -> Callable[[str], str]:
    encode = getattr(spot, "encode", None)
    return quote if encode is None else lambda word: encode(quote(word))


def _globbed(text: str) -> bool:
    return bool(re.search(r"[*?]", text))
