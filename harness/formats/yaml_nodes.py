"""Contents YAML with the places of its values."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from harness.formats.nodes import DEPTH, Entry, ListNode, MapNode, Node, Scalar, nothing_to_add
from harness.formats.places import Edit, ListRow, UnwritableError, place_of
from harness.formats.traced import Encode, Traced

if TYPE_CHECKING:
    import yaml

_TEXT: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_PLAIN: Final = re.compile(r"[\w./-][\w./:=@%+~$()-]*")
_FOLDED: Final = re.compile(r"[ \t]*\r?\n(?:[ \t]*\r?\n)*[ \t]*")
_OTHER_MEANING: Final = re.compile(
    r"~|null|true|false|yes|no|on|off|y|n|[-.]|---|\.(inf|nan)|[-+]?(\d[\d_]*)?\.?\d*(e[-+]?\d+)?"
    r"|[-+]?\d[\d_.:]*|0x[\da-f]+|0o?\d+|\d{4}-\d\d?-\d\d?.*",
    re.IGNORECASE,
)


def read_yaml(source: Traced, file: str) -> list[Node]:
    """The documents of a text.

    Raises:
        ValueError: It is not YAML.
    """
    import yaml

    try:
        roots = list(yaml.compose_all(source.text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is too deep") from error
    return [_Reader(source, file).node(root, 0) for root in roots]


def without_templates(source: Traced) -> Traced | None:
    """A chart's template without the lines that hold nothing but instructions; None elsewhere."""
    if "{{" not in source.text:
        return None
    pieces = list[Traced]()
    for line in source.lines():
        bare = re.sub(r"\{\{.*?\}\}", "", line.text).strip()
        pieces += [Traced.made("\n"), line if bare else Traced.made("")]
    return Traced.joined(_quoted_templates(pieces[1:]))


def _quoted_templates(lines: list[Traced]) -> Iterator[Traced]:
    """A value that begins with ``{{`` is text, not a mapping."""
    for line in lines:
        match = re.match(r"(\s*(?:- )?(?:[\w.-]+:\s+)?)(\{\{.*\}\}[^\"']*)$", line.text)
        if match and '"' not in match[2]:
            quote = Traced.made('"')
            yield from (line[: match.end(1)], quote, line[match.start(2) :], quote)
        else:
            yield line


class _Reader:
    def __init__(self, source: Traced, file: str) -> None:
        self.source = source
        self.text = source.text
        self.file = file
        self.seen: dict[int, Node] = {}

    def node(self, node: "yaml.Node", depth: int) -> Node:
        """A node; what an alias stands for is the same node as where it is written."""
        if depth > DEPTH:
            raise ValueError("it is too deep")
        if id(node) not in self.seen:
            self.seen[id(node)] = self._read(node, depth)
        return self.seen[id(node)]

    def _read(self, node: "yaml.Node", depth: int) -> Node:
        import yaml

        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return self._list(node, depth)
        return self.scalar(node, _scalar_row(self.file))

    def scalar(self, node: Any, row: ListRow) -> Scalar:
        is_null = node.tag == _NULL
        text = Traced.made("") if is_null else traced(self.source, node)
        spot = self.source.span(node.start_mark.index, node.end_mark.index)
        place = None if node.style in {"|", ">"} else place_of(spot, _writer(node.style), row)
        return Scalar(text, place, is_text=node.tag == _TEXT, is_null=is_null)

    def _list(self, node: Any, depth: int) -> ListNode:
        start = node.start_mark.index
        style = node.value[0].style if node.value and node.value[0].id == "scalar" else None
        if node.flow_style:
            opened = self.source.begin(start + 1)
            row = ListRow(self.file, _writer(style, flow=True), ", ", opened)
        else:
            indent = " " * node.start_mark.column
            row = ListRow(self.file, _writer(style), f"\n{indent}- ")
        items = list[Node]()
        for child in node.value:
            if child.id == "scalar" and id(child) not in self.seen:
                item: Node = self.scalar(child, row)
                self.seen[id(child)] = item
            else:
                item = self.node(child, depth + 1)
            items.append(item)
            spot = self.source.span(child.start_mark.index, self.end(child))
            if spot:
                row.items.append((spot.start, spot.end))
        return ListNode(items, row)

    def end(self, node: Any) -> int:
        """Where a node's own text ends: not where the next begins."""
        if node.id == "scalar":
            if node.style in {"|", ">"}:
                written = self.text[node.start_mark.index : node.end_mark.index]
                return int(node.start_mark.index) + len(written.rstrip())
            return int(node.end_mark.index)
        if node.flow_style or not node.value:
            return int(node.end_mark.index)
        last = node.value[-1]
        return self.end(last[1] if isinstance(last, tuple) else last)

    def _mapping(self, node: Any, depth: int) -> MapNode:
        entries, merged = list[Entry](), list[Entry]()
        for key, value in node.value:
            if key.id != "scalar":
                continue
            read = self.node(value, depth + 1)
            if key.tag == "tag:yaml.org,2002:merge":
                for one in read.items if isinstance(read, ListNode) else [read]:
                    merged += one.entries if isinstance(one, MapNode) else []
                continue
            name = self.scalar(key, _scalar_row(self.file))
            entries.append(Entry(name, read, partial(self._removal, node, key, value)))
        own = {str(one.key) for one in entries}
        entries = [*(one for one in merged if str(one.key) not in own), *entries]
        if node.flow_style:
            return MapNode(entries, partial(self._add_flow, node), nothing_to_add)
        return MapNode(entries, partial(self._add, node), partial(self._open, node))

    def _removal(self, node: Any, key: Any, value: Any) -> Edit:
        if node.flow_style:
            return self._removal_from_flow(node, key)
        spot = self.source.span(key.start_mark.index, self.end(value))
        if spot is None:
            raise UnwritableError("it is put together from several places")
        line = self.file.rfind("\n", 0, spot.start) + 1
        if self.file[line : spot.start].strip():
            raise UnwritableError("it stands on a line with something else")
        after = self.file.find("\n", spot.end)
        return Edit(line, after + 1 if after >= 0 else len(self.file), "")

    def _removal_from_flow(self, node: Any, key: Any) -> Edit:
        row = ListRow(self.file, str)
        index = 0
        for number, (one, value) in enumerate(node.value):
            spot = self.source.span(one.start_mark.index, value.end_mark.index)
            if spot is None:
                raise UnwritableError("it is put together from several places")
            row.items.append((spot.start, spot.end))
            index = number if one is key else index
        return row.cut(row.items[index], row.items[index])

    def _last(self, node: Any) -> int:
        last = self.end(node.value[-1][1]) if node.value else node.end_mark.index
        at = self.source.begin(last)
        if at is None:
            raise UnwritableError("nothing can be added there")
        end = self.file.find("\n", at)  # a comment behind the value stays behind it
        return end if end >= 0 else len(self.file)

    def _add(self, node: Any, pairs: list[tuple[str, str]]) -> Edit:
        indent = "\n" + " " * node.start_mark.column
        at = self._last(node)
        return Edit(at, at, "".join(f"{indent}{_entry(*pair)}" for pair in pairs))

    def _add_flow(self, node: Any, pairs: list[tuple[str, str]]) -> Edit:
        written = ", ".join(f"{json.dumps(n)}: {json.dumps(v)}" for n, v in pairs)
        if node.value:
            at = self.source.begin(self.end(node.value[-1][1]))
            written = f", {written}"
        else:
            at = self.source.begin(node.start_mark.index + 1)
        if at is None:
            raise UnwritableError("nothing can be added there")
        return Edit(at, at, written)

    def _open(
        self, node: Any, key: str, inner: list[list[tuple[str, str]]] | list[tuple[str, str]]
    ) -> Edit:
        outer, at = "\n" + " " * node.start_mark.column, self._last(node)
        lines = list[str]()
        for one in inner:
            if isinstance(one, list):
                first, *rest = (_entry(*pair) for pair in one)
                lines += [f"- {first}", *(f"  {line}" for line in rest)]
            else:
                lines.append(_entry(*one))
        text = "".join(f"{outer}  {line}" for line in lines)
        return Edit(at, at, f"{outer}{key}:{text}")


def _scalar_row(file: str) -> ListRow:
    return ListRow(file, _writer(None))


def _entry(name: str, value: str) -> str:
    return f"{name}: {json.dumps(value, ensure_ascii=False)}"


def _writer(style: str | None, *, flow: bool = False) -> Encode:
    if style == "'":
        return _single
    if style is not None:
        return _double
    return partial(_plain, flow=flow)


def _double(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _single(text: str) -> str:
    if re.search(r"[\n\r\t]", text):
        return _double(text)
    return "'" + text.replace("'", "''") + "'"


def _plain(text: str, *, flow: bool) -> str:
    safe = _PLAIN.fullmatch(text) and not text.endswith(":") and "::" not in text
    if safe and not _OTHER_MEANING.fullmatch(text) and not (flow and "," in text):
        return text
    return _double(text)


def _inner_double(text: str) -> str:
    return _double(text)[1:-1]


def _inner_single(text: str) -> str:
    return text.replace("'", "''")


def _inner_plain(text: str) -> str:
    if re.search(r": |:$| #", text):
        raise UnwritableError(
            f"{text!r} would need quotes around the whole text that it is part of"
        )
    return _inner_block(text)


def _inner_block(text: str) -> str:
    if "\n" in text:
        raise UnwritableError(f"{text!r} has a line end, and stands in a block of text")
    return text


def traced(source: Traced, node: Any) -> Traced:
    """The text of a scalar, and where each of its characters stands."""
    start, end, value = node.start_mark.index, node.end_mark.index, str(node.value)
    if node.style in {"|", ">"}:
        return _block(source[start:end], value, folded=node.style == ">").within(_inner_block)
    if node.style is None:
        found, encode = _flowing(source[start:end], _no_escape), _inner_plain
    elif node.style == "'":
        found, encode = _flowing(source[start + 1 : end - 1], _doubled), _inner_single
    else:
        found, encode = _flowing(source[start + 1 : end - 1], _escaped), _inner_double
    return found.within(encode) if found.text == value else Traced.made(value)


Escape = Callable[[Traced, int], tuple[Traced, int] | None]


def _no_escape(source: Traced, at: int) -> None:
    del source, at


def _doubled(source: Traced, at: int) -> tuple[Traced, int] | None:
    if source.text.startswith("''", at):
        return Traced.at("'", source.span(at, at + 2)), at + 2
    return None


_SHORT: Final = dict(
    zip('0abt\tnvfre "/\\N_LP', '\0\a\b\t\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029', strict=True)
)


def _escaped(source: Traced, at: int) -> tuple[Traced, int] | None:
    text = source.text
    if text[at] != "\\":
        return None
    if joined := re.compile(r"\\\r?\n[ \t]*").match(text, at):
        return source[at:at], joined.end()
    if code := re.compile(r"\\(?:x(..)|u(....)|U(........))").match(text, at):
        char = chr(int(code[1] or code[2] or code[3], 16))
        return Traced.at(char, source.span(at, code.end())), code.end()
    char = _SHORT.get(text[at + 1 : at + 2], "")
    return Traced.at(char, source.span(at, at + 2)), at + 2


def _flowing(source: Traced, escape: Escape) -> Traced:
    text, pieces, i, run = source.text, list[Traced](), 0, 0
    while i < len(text):
        fold = _FOLDED.match(text, i) if text[i] in " \t\r\n" else None
        found = escape(source, i)
        if fold:
            lines = fold[0].count("\n")
            spot = source.span(i, fold.end())
            piece, after = Traced.at(" " if lines == 1 else "\n" * (lines - 1), spot), fold.end()
        elif found:
            piece, after = found
        else:
            i += 1
            continue
        pieces += [source[run:i], piece]
        i = run = after
    return Traced.joined([*pieces, source[run:]])


def _block(source: Traced, value: str, *, folded: bool) -> Traced:
    header = source.text.find("\n")
    if header < 0:
        return Traced.made(value)
    lines = list(_lines(source, header + 1))
    indents = [
        len(t) - len(t.lstrip(" ")) for t in (source.text[a:b] for a, b in lines) if t.strip()
    ]
    if not indents:
        return Traced.made(value)
    indent = indents[0]
    contents = [(min(start + indent, end), end) for start, end in lines]
    pieces = [source[contents[0][0] : contents[0][1]]]
    for (begin, end), (start, stop) in pairwise(contents):
        spot = source.span(end, start)
        line, following = source.text[begin:end], source.text[start:stop]
        pieces.append(Traced.at(_break(line, following, folded=folded), spot))
        pieces.append(source[start:stop])
    found = Traced.joined(pieces)
    if len(found) < len(value) and value == found.text + "\n" * (len(value) - len(found)):
        return Traced.joined([found, Traced.made(value[len(found) :])])
    return found[: len(value)] if found.text.startswith(value) else Traced.made(value)


def _break(line: str, following: str, *, folded: bool) -> str:
    """What the end of a line within a block reads as."""
    if not folded:
        return "\n"
    if not line or line[0] in " \t" or following[:1] in (" ", "\t"):
        return "\n"
    return " " if following else ""


def _lines(source: Traced, start: int) -> Iterator[tuple[int, int]]:
    for line in source.text[start:].splitlines(keepends=True):
        yield start, start + len(line.rstrip("\r\n"))
        start += len(line)
