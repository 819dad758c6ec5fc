"""A JSON list of arguments, or such a list in YAML."""

from typing import Final

from harness.formats.command_line import PlacedLine
from harness.formats.document import Contents, Document
from harness.formats.nodes import ListNode, Scalar
from harness.formats.programs import servers_of
from harness.formats.units import around

LOOKED_FOR: Final = "a JSON list of arguments"


def recognises(document: Document) -> bool:
    """Whether it is a list of texts, or would be JSON and is not."""
    if document.trouble and document.trouble.startswith("is not JSON"):
        return True
    return bool(document.nodes) and _is_list(document)


def _is_list(document: Document) -> bool:
    node = document.nodes[0]
    return isinstance(node, ListNode) and all(isinstance(item, Scalar) for item in node.items)


def read(document: Document) -> Contents:
    """The one command line."""
    if document.trouble:
        document.refuse(document.trouble)
    node = document.nodes[0] if document.nodes else None
    if not isinstance(node, ListNode):
        document.refuse("is no list of arguments")
    words = node.words()
    if words is None or not all(isinstance(i, Scalar) and i.is_text for i in node.items):
        document.refuse("a JSON list of arguments holds strings only")
    lines = servers_of(words, {}, around(document))
    if not lines:
        if words and not str(words[0]).startswith("-"):
            document.refuse(
                f"cannot tell where the arguments of the llama-server begin after "
                f"{str(words[0])!r}; begin with the program or with its first flag"
            )
        lines = [PlacedLine(words=tuple(words), row=node.row)]
    return Contents(lines={"": lines[0]}, unread={})
