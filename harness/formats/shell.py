"""Shell scripts and command lines as typed into a shell. They are read, never run."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Final

from harness.formats.command_line import PlacedLine, Variable
from harness.formats.document import Document, Reading
from harness.formats.naming import numbered
from harness.formats.places import BlankRow, Edit, Place, VariablePlace, Word, place_of
from harness.formats.programs import Around, servers_of
from harness.formats.shell_words import Unknown, Value, fields, text_of
from harness.formats.traced import GrownError, Traced
from harness.formats.words import _blankless, shell_quoted, stands

if TYPE_CHECKING:
    from tree_sitter import Node

NAME: Final = "shell"
LOOKED_FOR: Final = "a shell command that starts llama-server, by itself or in a container"

_DEPTH: Final = 20
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


def read(document: Document) -> Reading:
    """The command lines of all servers that a script starts, numbered where there are several."""
    if found := _OTHER_LANGUAGE.match(document.text):
        document.refuse(f"is a program for {found[1]}, which is not read")
    if (line := _open_quote(document.text)) is not None:
        document.refuse(f"line {line}: a quote stays open")
    script = Script(document)
    lines = script.read() or ([script.bare] if script.bare else [])
    if not lines:
        line = f"; line {script.broken} does not read as a shell command" if script.broken else ""
        document.refuse(f"holds no command that starts a llama-server{line}")
    return Reading(lines=numbered(lines), unread={})


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
        root, self._chars = _parsed(self.source.text)
        if root.has_error:
            self.broken = next(_errors(root), None)
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
        before = self.state
        self.state = before.copy()
        self._visit(node)
        functions = self.state.functions
        self.state = before
        self.state.functions.update(functions)

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
            if first is None:
                if wanted:
                    self._assume(left, right)
                else:
                    self._aside(right)
            elif first is wanted:
                first = self._visit(right)
            else:
                self._aside(right)
        return first

    def _assume(self, condition: "Node", then: "Node") -> None:
        before = self.state
        self.state = before.copy()
        self._visit(then)
        if self.state.ended:
            self.state = before
            return
        if self.state.values != before.values:
            line = condition.start_point.row + 1
            text = " ".join(self._text(condition).split())[:80]
            self.state.assumed.append(f"line {line}: {text} holds")

    def _visit_if_statement(self, node: "Node") -> bool | None:
        conditions, body = list["Node"](), list["Node"]()
        branches: list[tuple[list[Node], list[Node]]] = []
        for child in node.children:
            if child.type in {"if", "fi", "then", ";", "\n", "comment"}:
                continue
            if child.type in {"elif_clause", "else_clause"}:
                branches.append((conditions, body))
                conditions, body = self._clause(child)
            elif node.field_name_for_child(node.children.index(child)) == "condition":
                conditions.append(child)
            else:
                body.append(child)
        branches.append((conditions, body))
        self._take(branches)
        return None

    def _clause(self, node: "Node") -> tuple[list["Node"], list["Node"]]:
        conditions, body, then = list["Node"](), list["Node"](), node.type == "else_clause"
        for child in node.children:
            if child.type == "then":
                then = True
            elif child.is_named and child.type != "comment":
                (body if then else conditions).append(child)
        return conditions, body

    def _take(self, branches: Sequence[tuple[list["Node"], list["Node"]]]) -> None:
        taken = False
        for conditions, body in branches:
            status: bool | None = True
            for condition in conditions:
                if not taken:
                    status = self._visit(condition)
                else:
                    self._aside(condition)
            if taken or status is False:
                for statement in body:
                    self._aside(statement)
                continue
            before = self.state
            self.state = before.copy()
            for statement in body:
                self._visit(statement)
            if status is None and self.state.ended:
                self.state = before  # what is done where something is amiss
                continue
            taken = True
            if status is None and self.state.values != before.values:
                line = conditions[0].start_point.row + 1
                text = " ".join(self._text(conditions[0]).split())[:80]
                self.state.assumed.append(f"line {line}: {text} holds")

    def _visit_case_statement(self, node: "Node") -> None:
        value = node.child_by_field_name("value")
        subject = None
        if value is not None:
            expanded = text_of(self._piece(value), self).text
            unset = re.fullmatch(r"\$\{?(\d+|\w+)\}?", expanded)
            subject = None if stands(expanded) else expanded
            if unset and self.lookup(unset[1]) is None:
                subject = ""
        branches: list[tuple[bool | None, list[Node]]] = []
        for item in node.named_children:
            if item.type != "case_item":
                continue
            patterns, body = list[str](), list["Node"]()
            for index, child in enumerate(item.children):
                name = item.field_name_for_child(index)
                if name == "value":
                    patterns.append(text_of(self._piece(child), self).text)
                elif child.is_named and name is None:
                    body.append(child)
            fits = None if subject is None else any(fnmatchcase(subject, p) for p in patterns)
            branches.append((fits, body))
        taken = False
        for fits, body in branches:
            if taken or fits is False:
                for statement in body:
                    self._aside(statement)
                continue
            before = self.state
            self.state = before.copy()
            for statement in body:
                self._visit(statement)
            if fits is None and self.state.ended:
                self.state = before
                continue
            taken = True
            self.state.ended = before.ended
            if fits is None and self.state.values != before.values:
                line = node.start_point.row + 1
                self.state.assumed.append(f"line {line}: the first case applies")

    def _visit_for_statement(self, node: "Node") -> None:
        variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        if variable is None or body is None:
            return
        name = self._text(variable)
        values = [
            word
            for index, child in enumerate(node.children)
            if node.field_name_for_child(index) == "value"
            for word in fields(self._piece(child), self)
        ]
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
        text = self._text(node)
        for opening, end in (("[[", "]]"), ("[", "]")):
            if text.startswith(opening) and text.endswith(end):
                start = self._chars(node.start_byte)
                width = len(opening)
                return self._tested(self.source[start + width : start + len(text) - len(end)])
        return None

    def _tested(self, source: Traced) -> bool | None:
        """Whether a condition holds; None where it is about files, or about what is not known."""
        for mark, decides in (("||", True), ("&&", False)):
            left, found, _ = source.text.partition(f" {mark} ")
            if found:
                parts = (self._tested(source[: len(left)]), self._tested(source[len(left) + 4 :]))
                if decides in parts:
                    return decides
                return None if None in parts else not decides
        words = [text_of(piece, self) for piece in _test_words(source)]
        if any(self._is_unknown(word.text) for word in words):
            return None
        plain = ["" if stands(word.text) else word.text for word in words]
        if plain[:1] == ["!"]:
            inner = self._tested(source[source.text.index("!") + 1 :])
            return None if inner is None else not inner
        match plain:
            case ["-n" | "-z" as how, value]:
                return bool(value) == (how == "-n")
            case [value] if value != "-n":
                return bool(value)
            case [left, "=" | "==", right]:
                return fnmatchcase(left, right)
            case [left, "!=", right]:
                return not fnmatchcase(left, right)
            case [left, "-eq" | "-ne" | "-gt" | "-ge" | "-lt" | "-le" as how, right]:
                return _compared(left, how, right)
        return None

    def _is_unknown(self, text: str) -> bool:
        if "$(" in text or "`" in text:
            return True
        names = re.findall(r"\$\{?([A-Za-z_]\w*)", text)
        return any(self.state.values.get(name) is not None for name in names)

    # Variables.

    def _visit_variable_assignment(self, node: "Node") -> bool:
        self._assign(node, exported=self.state.exports_all, whole=node)
        return True

    def _assign(self, node: "Node", *, exported: bool, whole: "Node") -> None:
        target, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if target is None:
            return
        name = self._text(target)
        if target.type == "subscript":
            self.state.values[name.partition("[")[0]] = Unknown.UNKNOWN
            return
        grows = any(child.type == "+=" for child in node.children)
        new: Value
        if value is None:
            new = self.source[self._chars(node.end_byte) : self._chars(node.end_byte)]
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
        within = BlankRow(self.document.file, _blankless)
        return [
            word if word.place else Word(word.text, place_of(word.text.span(), _blankless, within))
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
        match plain:
            case ["true" | ":", *_]:
                return True
            case ["false", *_]:
                return False
            case ["set", how, *_] if re.fullmatch(r"[-+]\w*a\w*", how):
                self.state.exports_all = how[0] == "-"
                return True
            case ["set", "-o" | "+o" as how, "allexport", *_]:
                self.state.exports_all = how == "-o"
                return True
            case ["set", "--", *_]:
                self.state.positional = tuple(words[2:])
                return True
            case ["source" | ".", name, *_]:
                self._source(name)
                return None
            case ["shift", *_] if self.state.positional is not None:
                self.state.positional = self.state.positional[1:]
                return None
            case ["exit" | "return" | "die", *_]:
                self.state.ended = True
                return None
            case ["read" | "mapfile" | "readarray", *names]:
                for name in names:
                    if name.isidentifier():
                        self.state.values[name] = Unknown.UNKNOWN
                return None
            case ["test", *_]:
                return None
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
        more = [child for redirect in redirects for child in _more_arguments(redirect)]
        status = None
        if body is not None:
            self.more[_last_command(body).id] = more
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


def _last_command(node: "Node") -> "Node":
    """The command that a redirection behind a list or a pipeline is of."""
    while node.type in {"list", "pipeline", "negated_command"} and node.named_children:
        node = node.named_children[-1]
    return node


def _more_arguments(redirect: "Node") -> list["Node"]:
    """What the grammar takes for further files of a redirection: the command's arguments."""
    if redirect.type == "heredoc_redirect":
        return [c for c in redirect.named_children if c.type in {"word", "string", "raw_string"}]
    targets = [
        child
        for index, child in enumerate(redirect.children)
        if redirect.field_name_for_child(index) == "destination"
    ]
    return targets[1:]


def _in(spot: object, quote: Callable[[str], str]) -> Callable[[str], str]:
    encode = getattr(spot, "encode", None)
    return quote if encode is None else lambda word: encode(quote(word))


def _globbed(text: str) -> bool:
    return bool(re.search(r"[*?]", text))


def _test_words(source: Traced) -> Iterator[Traced]:
    for match in re.finditer(r"(?:\"[^\"]*\"|'[^']*'|\$\{[^}]*\}|\$\([^)]*\)|\S)+", source.text):
        yield source[match.start() : match.end()]


def _compared(left: str, how: str, right: str) -> bool | None:
    if not re.fullmatch(r"-?\d{1,15}", left) or not re.fullmatch(r"-?\d{1,15}", right):
        return None
    one, other = int(left), int(right)
    return {
        "-eq": one == other,
        "-ne": one != other,
        "-gt": one > other,
        "-ge": one >= other,
        "-lt": one < other,
        "-le": one <= other,
    }[how]


def _errors(root: "Node") -> Iterator[int]:
    pending = [root]
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            yield node.start_point.row + 1
        pending += reversed([child for child in node.children if child.has_error])


_QUOTED: Final = re.compile(
    r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"|\$'(?:[^'\\]|\\.)*'|(?<![^\s;&|(])#[^\n]*|[^'\"\\]",
    re.DOTALL,
)


def _open_quote(text: str) -> int | None:
    """The line of a quote that does not end; None where all do, or a here-document may hold it."""
    if "<<" in text:
        return None
    position = 0
    while match := _QUOTED.match(text, position):
        position = match.end()
    rest = text[position:].strip()
    return text.count("\n", 0, position) + 1 if rest and rest[0] in "'\"" else None


_PROMPT: Final = re.compile(r"(?m)^[ \t]*(?:[\w.-]+@[\w.-]+:[^\s$#]*)?\$ (?=\S)")
_COMMENT_IN_BACKTICKS: Final = re.compile(r"`#[^`\n]*`")


def _parsed(text: str) -> tuple["Node", Callable[[int], int]]:
    """The syntax tree, and which character each byte of the text belongs to."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    # The grammar takes a comment in backticks for one to the end of the line, and knows no
    # carriage returns. What takes their place is as long, so that all else stays where it is.
    # A prompt that was copied with a command is no part of it.
    plain = _COMMENT_IN_BACKTICKS.sub(lambda match: " " * len(match[0]), text)
    plain = _PROMPT.sub(lambda match: " " * len(match[0]), plain)
    plain = plain.replace("\\\r\n", " \\\n").replace("\r\n", " \n")
    data = plain.encode("utf-8", "surrogatepass")
    root = Parser(Language(tree_sitter_bash.language())).parse(data).root_node
    if len(data) == len(plain):
        return root, int
    index = [i for i, char in enumerate(plain) for _ in char.encode("utf-8", "surrogatepass")]
    return root, partial(_char_of, [*index, len(plain)])


def _char_of(index: Sequence[int], byte: int) -> int:
    return index[byte]
