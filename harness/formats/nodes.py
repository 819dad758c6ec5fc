"""Values of a YAML or JSON document, and where each stands in the file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from harness.formats.places import Edit, ListRow, Place, UnwritableError, Word
from harness.formats.traced import Traced

DEPTH: Final = 100
"""How deep values may lie in one another."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text, a number, true, false or null as the document writes it.

    Attributes:
        text: The text; empty for null.
        place: Where it stands, its quotes included.
        is_text: Whether it is text and nothing else.
        is_null: Whether it is null.
    """

    text: Traced
    place: Place | None
    is_text: bool = True
    is_null: bool = False

    def __str__(self) -> str:
        return self.text.text

    @property
    def word(self) -> Word:
        """It as one word of a command line."""
        return Word(self.text, self.place)


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list.

    Attributes:
        items: What it holds.
        row: Where the items stand.
    """

    items: list["Node"]
    row: ListRow

    def words(self) -> list[Word] | None:
        """Its items as words; None where it holds something else."""
        if not all(isinstance(item, Scalar) for item in self.items):
            return None
        return [item.word for item in self.items if isinstance(item, Scalar)]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and what belongs to it.

    Attributes:
        key: The key.
        value: The value.
        remove: The edit that takes both away.
    """

    key: Scalar
    value: "Node"
    remove: Callable[[], Edit]


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping.

    Attributes:
        entries: Its keys and values, in their order.
        add: The edit that gives it more text entries.
        open: The edit that gives it a key that holds text entries itself, or a list of items of
            several entries each.
    """

    entries: list[Entry]
    add: Callable[[list[tuple[str, str]]], Edit] = field(repr=False)
    open: Callable[[str, list[list[tuple[str, str]]] | list[tuple[str, str]]], Edit] = field(
        repr=False
    )

    def get(self, key: str) -> "Node | None":
        """What belongs to a key; the last where it is there twice."""
        return next((one.value for one in reversed(self.entries) if str(one.key) == key), None)

    def text(self, key: str) -> str | None:
        """The text that belongs to a key; None where none does."""
        value = self.get(key)
        return str(value) if isinstance(value, Scalar) and not value.is_null else None

    def mapping(self, key: str) -> "MapNode | None":
        """The mapping that belongs to a key; None where none does."""
        value = self.get(key)
        return value if isinstance(value, MapNode) else None

    def list(self, key: str) -> "ListNode | None":
        """The list that belongs to a key; None where none does."""
        value = self.get(key)
        return value if isinstance(value, ListNode) else None


Node = Scalar | ListNode | MapNode


def mappings(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], MapNode]]:
    """Every mapping within a node, with the keys that lead to it; each once."""
    yield from _mappings(node, path, set())


def _mappings(
    node: Node, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], MapNode]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, MapNode):
        yield path, node
        for entry in node.entries:
            yield from _mappings(entry.value, (*path, str(entry.key)), seen)
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from _mappings(item, path, seen)


def nothing_to_add(*_: object) -> Edit:
    """Where nothing can be added."""
    raise UnwritableError("nothing can be added there")
