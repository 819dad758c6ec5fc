"""Compose files."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from harness.errors import FormatError
from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.containers import container
from harness.formats.document import Contents, Document
from harness.formats.dotenv import values
from harness.formats.interpolation import Lookup, interpolated
from harness.formats.naming import named
from harness.formats.nodes import ListNode, MapNode, Node, Scalar
from harness.formats.places import Edit, Pair, Row, Word, assignment_at
from harness.formats.units import around
from harness.formats.words import Rules, assignment, no_reference, quoted, stands, words_of

LOOKED_FOR: Final = "a Compose file (services: NAME: image, command)"


def _quote(word: str) -> str:
    return _dollars(quoted(word) if not re.search(r"[;&|<>()]", word) else _in_quotes(word))


def _in_quotes(word: str) -> str:
    return f"'{word}'" if "'" not in word else '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'


def _dollars(text: str) -> str:
    return no_reference(text, "$$")


_RULES: Final = Rules(
    stops=";&|<>", forbidden="()", escaped={"n": "\n", "t": "\t"}, escapes_all=True, quote=_quote
)
"""As Compose splits a command that is one text: what a shell would act on ends it."""


def recognises(document: Document) -> bool:
    """Whether it has services."""
    services = document.mapping.mapping("services") if document.mapping else None
    return services is not None and any(
        isinstance(one.value, MapNode)
        and any(one.value.get(key) for key in ("image", "build", "command", "extends"))
        for one in services.entries
    )


def read(document: Document) -> Contents:
    """The command line of every service that is a llama-server, by its name."""
    services = document.mapping.mapping("services") if document.mapping else None
    if services is None:
        document.refuse("has no services")
    outer = values(document.beside(".env") or "", {})
    found, unread = list[tuple[str, PlacedLine]](), dict[str, str]()
    for entry in services.entries:
        name = str(entry.key)
        if not isinstance(entry.value, MapNode):
            continue
        try:
            service = _Service(entry.value, document, outer)
            found += [(name, line) for line in service.lines()]
        except (FormatError, ValueError) as error:
            unread[name] = f"{document.origin}#{name}: {error}"
    return Contents(lines=named(found), unread=unread)


class _Service:
    def __init__(self, node: MapNode, document: Document, outer: Mapping[str, str]) -> None:
        self._node = node
        self._document = document
        self._outer = outer
        self._lookup: Lookup = outer.get
        self._assumed: list[str] = []

    def lines(self) -> list[PlacedLine]:
        env, add = self._environment()
        image = self._text("image")
        command, row = self._words("command")
        entrypoint, _ = self._words("entrypoint")
        lines = container(
            image=image,
            entrypoint=entrypoint,
            command=command or (),
            env=env,
            around=around(self._document),
            add=add,
        )
        return [replace(x, row=x.row or row, assumed=(*self._assumed, *x.assumed)) for x in lines]

    def _text(self, key: str) -> str:
        value = self._node.get(key)
        return self._filled(value).text.text if isinstance(value, Scalar) else ""

    def _filled(self, scalar: Scalar) -> Word:
        text = interpolated(scalar.text, self._lookup)
        place = scalar.place
        if place:
            written = place.write
            place = replace(place, write=lambda text: written(_dollars(text)))
        return Word(text, place)

    def _words(self, key: str) -> tuple[list[Word] | None, Row | None]:
        node = self._node.get(key)
        if isinstance(node, ListNode):
            if not all(isinstance(item, Scalar) for item in node.items):
                raise FormatError(f"{key} holds something else than text")
            scalars = [item for item in node.items if isinstance(item, Scalar)]
            self._note_numbers(key, scalars)
            return [self._filled(one) for one in scalars], node.row
        if not isinstance(node, Scalar) or node.is_null:
            return None, None
        return words_of(interpolated(node.text, self._lookup), self._document.file, _RULES)

    def _note_numbers(self, key: str, scalars: Sequence[Scalar]) -> None:
        for one in scalars:
            if not one.is_text:
                self._assumed.append(f"{key}: {one} is meant as text, and would need quotes")

    def _environment(self) -> tuple[dict[str, Variable], AddVariables | None]:
        env = dict[str, Variable]()
        for name in self._files():
            text = self._document.beside(name)
            if text is None:
                self._assumed.append(f"{name} is not there, and what it sets is not known")
                continue
            for variable, value in values(text, self._outer).items():
                env[variable] = Variable(value=None if stands(value) else value)
        node = self._node.get("environment")
        if isinstance(node, MapNode):
            for entry in node.entries:
                name = str(entry.key)
                if isinstance(entry.value, Scalar):
                    env[name] = self._from_pair(name, entry.key, entry.value, entry.remove)
            return env, partial(_added, node)
        if isinstance(node, ListNode):
            env.update(self._from_list(node))
            return env, partial(_appended, node)
        return env, partial(_opened, self._node) if node is None else None

    def _files(self) -> Iterator[str]:
        node: Node | None = self._node.get("env_file")
        for item in node.items if isinstance(node, ListNode) else [node]:
            if isinstance(item, Scalar) and not item.is_null:
                yield self._filled(item).text.text
            elif isinstance(item, MapNode) and (path := item.text("path")):
                yield path

    def _passed(self, name: str) -> Variable:
        """A variable that Compose takes from where it is started itself."""
        return Variable(value=self._outer.get(name))

    def _from_pair(
        self, name: str, key: Scalar, value: Scalar, remove: Callable[[], Edit]
    ) -> Variable:
        if value.is_null:
            return self._passed(name)
        filled = self._filled(value)
        known = None if stands(str(filled)) else str(filled)
        pair = Pair(key.place, filled.place, (name, str(filled)), remove)
        return Variable(value=known, place=pair)

    def _from_list(self, node: ListNode) -> Iterator[tuple[str, Variable]]:
        for item in node.items:
            if not isinstance(item, Scalar):
                continue
            word = self._filled(item)
            assigned = assignment(word)
            if assigned:
                text = assigned[1].text
                place = assignment_at(word.place)
                yield assigned[0], Variable(value=None if stands(text) else text, place=place)
            elif str(word).isidentifier():
                yield str(word), self._passed(str(word))


def _added(node: MapNode, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    return [node.add([(name, _dollars(value)) for name, value in pairs])]


def _appended(node: ListNode, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    words = [f"{name}={_dollars(value)}" for name, value in pairs]
    last = node.items[-1] if node.items else None
    return [node.row.insert(words, after=last.place if isinstance(last, Scalar) else None)]


def _opened(node: MapNode, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    return [node.open("environment", [(name, _dollars(value)) for name, value in pairs])]
