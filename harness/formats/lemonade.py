"""lemonade's ``recipe_options.json``: ``{MODEL: {"llamacpp_args": "…"}}``.

lemonade adds the model, the port and ``--jinja`` itself, and refuses them among a recipe's own
arguments (lemonade-sdk/lemonade#866). A context size beside them becomes ``--ctx-size``.
"""

from collections.abc import Iterator
from typing import Final

from harness.errors import FormatError
from harness.formats.command_line import PlacedLine
from harness.formats.document import Contents, Document
from harness.formats.nodes import MapNode, Scalar, mappings
from harness.formats.places import Word
from harness.formats.traced import Traced
from harness.formats.words import words_of

LOOKED_FOR: Final = "lemonade's recipe options (llamacpp_args)"

_AUTOMATIC: Final = {"-1", "0"}


def recognises(document: Document) -> bool:
    """Whether something has arguments for llama.cpp."""
    return bool(document.mapping) and any(_recipes(document))


def _recipes(document: Document) -> Iterator[tuple[str, MapNode]]:
    for node in document.nodes:
        for path, mapping in mappings(node):
            if mapping.get("llamacpp_args") is not None:
                parts = [part for part in path if part != "recipe_options"]
                own = mapping.text("model_name")
                yield own or (parts[-1] if parts else ""), mapping


def read(document: Document) -> Contents:
    """The command line of each model that has arguments of its own."""
    lines, unread = dict[str, PlacedLine](), dict[str, str]()
    for name, mapping in _recipes(document):
        try:
            lines[name] = _line(mapping, document, name)
        except FormatError as error:
            unread[name] = str(error)
    return Contents(lines=lines, unread=unread)


def _line(mapping: MapNode, document: Document, name: str) -> PlacedLine:
    place = f"{document.origin}#{name}"
    arguments, context = mapping.get("llamacpp_args"), mapping.get("ctx_size")
    if not isinstance(arguments, Scalar) or not arguments.is_text:
        raise FormatError(f"{place}: llamacpp_args is not text")
    try:
        words, row = words_of(arguments.text, document.file)
    except ValueError as error:
        raise FormatError(f"{place}: {error}") from error
    size = list[Word]()
    if context is not None:
        if not isinstance(context, Scalar) or not str(context).lstrip("-").isdigit():
            raise FormatError(f"{place}: ctx_size is not a number")
        if str(context) not in _AUTOMATIC:
            size = [Word(Traced.made("--ctx-size")), context.word]
    return PlacedLine(words=(*size, *words), row=row)
