"""The syntax tree of a shell script."""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tree_sitter import Node

_QUOTED: Final = re.compile(
    r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"|\$'(?:[^'\\]|\\.)*'|(?<![^\s;&|(])#[^\n]*|[^'\"\\]",
    re.DOTALL,
)
_PROMPT: Final = re.compile(r"(?m)^[ \t]*(?:[\w.-]+@[\w.-]+:[^\s$#]*)?\$ (?=\S)")
_COMMENT_IN_BACKTICKS: Final = re.compile(r"`#[^`\n]*`")


def parsed(text: str) -> "tuple[Node, Callable[[int], int]]":
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
    return root, [*index, len(plain)].__getitem__


def broken_line(root: "Node") -> int | None:
    """The first line that does not read as shell; None where all do."""
    if not root.has_error:
        return None
    pending = [root]
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            return node.start_point.row + 1
        pending += reversed([child for child in node.children if child.has_error])
    return None


def open_quote(text: str) -> int | None:
    """The line of a quote that does not end; None where all do, or a here-document may hold it."""
    if "<<" in text:
        return None
    position = 0
    while match := _QUOTED.match(text, position):
        position = match.end()
    rest = text[position:].strip()
    return text.count("\n", 0, position) + 1 if rest and rest[0] in "'\"" else None


def having(node: "Node", field: str | None) -> "list[Node]":
    """The named children that stand in a field of a node; those in none where it is None."""
    return [
        child
        for index, child in enumerate(node.children)
        if child.is_named and node.field_name_for_child(index) == field
    ]


def last_command(node: "Node") -> "Node":
    """The command that a redirection behind a list or a pipeline is of."""
    while node.type in {"list", "pipeline", "negated_command"} and node.named_children:
        node = node.named_children[-1]
    return node


def more_arguments(redirect: "Node") -> "list[Node]":
    """What the grammar takes for further files of a redirection: the command's arguments."""
    if redirect.type == "heredoc_redirect":
        return [c for c in redirect.named_children if c.type in {"word", "string", "raw_string"}]
    return having(redirect, "destination")[1:]


def clauses(node: "Node") -> "Iterator[tuple[list[Node], list[Node]]]":
    """Conditions and statements of each branch of an ``if``."""
    own = [c for c in node.named_children if c.type not in {"elif_clause", "else_clause"}]
    conditions = having(node, "condition")
    told = {child.id for child in conditions}
    yield conditions, [c for c in own if c.id not in told and c.type != "comment"]
    for clause in node.named_children:
        if clause.type in {"elif_clause", "else_clause"}:
            then = next((c.start_byte for c in clause.children if c.type == "then"), -1)
            inner = [child for child in clause.named_children if child.type != "comment"]
            yield (
                [child for child in inner if child.start_byte < then],
                [child for child in inner if child.start_byte >= then],
            )
