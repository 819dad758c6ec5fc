"""JSON or YAML with ``command``, ``args``, ``env``, as editors and process managers have it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from harness.errors import FormatError
from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.document import Contents, Document
from harness.formats.naming import named
from harness.formats.nodes import ListNode, MapNode, Scalar, mappings
from harness.formats.places import Edit, Pair, Word
from harness.formats.programs import servers_of, variable_of
from harness.formats.shell import commands
from harness.formats.units import around
from harness.formats.words import assignment, stands, words_of

LOOKED_FOR: Final = "JSON or YAML with command, args and env"

_COMMANDS: Final = ("command", "cmd", "program", "shell", "script", "exec", "executable")
_ARGUMENTS: Final = ("args", "arguments", "argv")
_GENERIC: Final = frozenset({"servers", "mcpServers", "tasks", "configurations", "apps"})


def recognises(document: Document) -> bool:
    """Whether some mapping in it starts a llama-server, and it is no manifest."""
    is_manifest = document.mapping is not None and document.mapping.get("apiVersion") is not None
    return bool(document.nodes) and not is_manifest and any(True for _ in _found(document))


def read(document: Document) -> Contents:
    """The command line of every program that is a llama-server, by its key or name."""
    found = list(_found(document))
    if not found:
        document.refuse("none of its commands starts a llama-server")
    return Contents(lines=named(found), unread={})


def _found(document: Document) -> Iterator[tuple[str, PlacedLine]]:
    for node in document.nodes:
        for path, mapping in mappings(node):
            name = mapping.text("name") or mapping.text("label") or ""
            name = name or next((p for p in reversed(path) if p not in _GENERIC), "")
            try:
                yield from ((name, line) for line in _lines(mapping, document))
            except (FormatError, ValueError):
                continue


def _lines(mapping: MapNode, document: Document) -> list[PlacedLine]:
    command = next((c for key in _COMMANDS if (c := mapping.get(key)) is not None), None)
    arguments = next((a for key in _ARGUMENTS if (a := mapping.get(key)) is not None), None)
    env, add = _environment(mapping)
    if isinstance(command, ListNode):
        words = command.words() or []
    elif not isinstance(command, Scalar) or not command.is_text:
        return []
    elif arguments is None and " " in str(command).strip():
        return commands(document.within(command.text), env)
    else:
        words = [command.word]
    words += _arguments(arguments, document)
    lines = servers_of(words, env, around(document), add)
    row = arguments.row if isinstance(arguments, ListNode) else None
    return [
        PlacedLine(
            words=x.words, env=x.env, row=x.row if x.words else row, add=x.add, assumed=x.assumed
        )
        for x in lines
    ]


def _arguments(node: object, document: Document) -> list[Word]:
    if isinstance(node, ListNode):
        return node.words() or []
    if isinstance(node, Scalar) and not node.is_null:
        return words_of(node.text, document.file)[0]
    return []


def _environment(mapping: MapNode) -> tuple[dict[str, Variable], AddVariables | None]:
    node, env = mapping.get("env") or mapping.get("environment"), dict[str, Variable]()
    if node is None:
        return env, partial(_opened, mapping)
    if isinstance(node, ListNode):
        for word in node.words() or []:
            if assigned := assignment(word):
                env[assigned[0]] = variable_of(assigned[1], word)
        return env, None
    if not isinstance(node, MapNode):
        return env, None
    for entry in node.entries:
        if isinstance(entry.value, Scalar) and not entry.value.is_null:
            name, value = str(entry.key), str(entry.value)
            pair = Pair(entry.key.place, entry.value.place, (name, value), entry.remove)
            env[name] = Variable(value=None if stands(value) else value, place=pair)
    return env, lambda pairs: [node.add(list(pairs))]


def _opened(mapping: MapNode, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    return [mapping.open("env", list(pairs))]
