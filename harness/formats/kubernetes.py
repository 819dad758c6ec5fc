"""Kubernetes manifests, and the values and templates of Helm charts."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.containers import container
from harness.formats.document import Contents, Document
from harness.formats.naming import named
from harness.formats.nodes import ListNode, MapNode, Node, Scalar, mappings
from harness.formats.places import Edit, Pair, UnwritableError, Word
from harness.formats.traced import Traced
from harness.formats.units import around
from harness.formats.words import SHLEX, words_of

LOOKED_FOR: Final = "Kubernetes manifests or Helm values with a container (image, args)"

_REFERENCE: Final = re.compile(r"\$(\$)?\((\w+)\)")
_VARIABLES: Final = ("env", "extraEnv", "extraEnvVars", "envVars", "environment")
_ARGUMENTS: Final = ("args", "extraArgs", "arguments", "extra_args")


def recognises(document: Document) -> bool:
    """Whether it is a manifest, or has something like a container that is a server."""
    roots = [node for node in document.nodes if isinstance(node, MapNode)]
    if any(root.get("apiVersion") and root.get("kind") for root in roots):
        return True
    try:
        return any(True for _ in _containers(document))
    except ValueError:
        return False


def read(document: Document) -> Contents:
    """The command line of every container that is a llama-server, by the container's name."""
    try:
        found = [*_containers(document), *_within(document)]
    except ValueError as error:
        document.refuse(str(error))
    if not found:
        document.refuse("none of its containers is a llama-server")
    return Contents(lines=named(found), unread={})


def _containers(document: Document) -> Iterator[tuple[str, PlacedLine]]:
    sources = dict(_data(document.nodes))
    for node in document.nodes:
        for path, mapping in mappings(node):
            if _is_container(mapping) and "initContainers" not in path:
                image = _image(mapping, node, path)
                lines = _Container(mapping, image, document, sources).lines()
                yield from ((_name(path, mapping), line) for line in lines)


def _is_container(mapping: MapNode) -> bool:
    has_words = any(
        isinstance(mapping.get(key), ListNode) for key in ("command", *_ARGUMENTS)
    ) or any(isinstance(mapping.get(key), Scalar) for key in _ARGUMENTS)
    return has_words or (mapping.text("image") is not None and mapping.get("name") is not None)


def _name(path: Sequence[str], mapping: MapNode) -> str:
    own = mapping.text("name")
    if own:
        return own
    return path[-1] if path else ""


def _image(mapping: MapNode, root: Node, path: Sequence[str]) -> str:
    """The image of a container, or of what it lies in, as charts have it."""
    holders, node = [mapping], root
    for part in path:
        if isinstance(node, MapNode):
            holders.insert(1, node)
            following = node.get(part)
            if following is None:
                break
            node = following
    for holder in holders:
        image = holder.get("image")
        if isinstance(image, Scalar) and not image.is_null:
            return str(image)
        if isinstance(image, MapNode):
            parts = [image.text("registry"), image.text("repository") or image.text("name")]
            tag = image.text("tag")
            return "/".join(part for part in parts if part) + (f":{tag}" if tag else "")
    return ""


def _data(nodes: Sequence[Node]) -> Iterator[tuple[tuple[str, str], MapNode]]:
    """What ConfigMaps and Secrets in the same file hold."""
    for node in nodes:
        if not isinstance(node, MapNode) or node.text("kind") not in {"ConfigMap", "Secret"}:
            continue
        metadata = node.mapping("metadata")
        data = node.mapping("data" if node.text("kind") == "ConfigMap" else "stringData")
        if metadata and data:
            yield (str(node.text("kind")), metadata.text("name") or ""), data


def _within(document: Document) -> Iterator[tuple[str, PlacedLine]]:
    """Scripts and configurations that a ConfigMap holds."""
    from harness.formats.registry import read_nested
    from harness.formats.shell import commands

    for node in document.nodes:
        if not isinstance(node, MapNode) or node.text("kind") != "ConfigMap":
            continue
        data = node.mapping("data")
        for entry in data.entries if data else []:
            if isinstance(entry.value, Scalar) and "llama" in str(entry.value):
                inner = document.within(entry.value.text)
                lines = read_nested(inner)
                if not lines and re.match(r"#!.*sh\b", inner.text):
                    lines = commands(inner)
                yield from ((str(entry.key), line) for line in lines)


class _Container:
    def __init__(
        self,
        node: MapNode,
        image: str,
        document: Document,
        sources: Mapping[tuple[str, str], MapNode],
    ) -> None:
        self._node = node
        self._image = image
        self._document = document
        self._sources = sources
        self._assumed: list[str] = []

    def lines(self) -> list[PlacedLine]:
        env, add = self._environment()
        command = self._words("command", env)
        arguments, row = list[Word](), None
        for key in _ARGUMENTS:
            words = self._words(key, env)
            node = self._node.get(key)
            row = row or (node.row if isinstance(node, ListNode) else None)
            arguments += words or []
        lines = container(
            image=self._image,
            entrypoint=command,
            command=arguments,
            env=env,
            around=around(self._document),
            add=add,
        )
        return [replace(x, row=x.row or row, assumed=(*self._assumed, *x.assumed)) for x in lines]

    def _words(self, key: str, env: Mapping[str, Variable]) -> list[Word] | None:
        node = self._node.get(key)
        if isinstance(node, Scalar) and not node.is_null and key != "command":
            return words_of(node.text, self._document.file, SHLEX)[0]
        if not isinstance(node, ListNode):
            return None
        words = list[Word]()
        for item in node.items:
            if not isinstance(item, Scalar):
                continue
            if not item.is_text:
                self._assumed.append(f"{key}: {item} is meant as text, and would need quotes")
            words.append(Word(_filled(item.text, env), item.place))
        return words

    def _environment(self) -> tuple[dict[str, Variable], AddVariables | None]:
        env = dict[str, Variable]()
        node = next((one for key in _VARIABLES if (one := self._node.get(key))), None)
        self._from_sources(env)
        if isinstance(node, ListNode):
            for item, span in zip(node.items, node.row.items, strict=False):
                if isinstance(item, MapNode) and (name := item.text("name")):
                    env[name] = self._from_item(name, item, partial(node.row.cut, span, span))
            return env, partial(_appended, node)
        if isinstance(node, MapNode):
            for entry in node.entries:
                name, value = str(entry.key), entry.value
                known, place = None, None
                if isinstance(value, Scalar) and not value.is_null:
                    known = str(value)
                    pair = (name, known)
                    place = Pair(entry.key.place, value.place, pair, entry.remove)
                elif isinstance(value, MapNode) and value.text("value") is not None:
                    known = value.text("value")
                env[name] = Variable(value=known, place=place)
            return env, lambda pairs: [node.add(list(pairs))]
        return env, partial(_opened, self._node) if node is None else None

    def _from_item(self, name: str, item: MapNode, remove: Callable[[], Edit]) -> Variable:
        value, key = item.get("value"), item.get("name")
        if isinstance(value, Scalar) and isinstance(key, Scalar):
            known = str(value)
            pair = Pair(key.place, value.place, (name, known), remove)
            return Variable(value=known, place=pair)
        if value is None and item.get("valueFrom") is None:
            return Variable(value="")
        return Variable(value=self._referred(item.mapping("valueFrom")))

    def _referred(self, source: MapNode | None) -> str | None:
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            reference = source.mapping(key) if source else None
            if reference:
                data = self._sources.get((kind, reference.text("name") or ""))
                return data.text(reference.text("key") or "") if data else None
        return None

    def _from_sources(self, env: dict[str, Variable]) -> None:
        sources = self._node.list("envFrom")
        for item in sources.items if sources else []:
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                reference = item.mapping(key) if isinstance(item, MapNode) else None
                if not isinstance(item, MapNode) or not reference:
                    continue
                name, prefix = reference.text("name") or "", item.text("prefix") or ""
                data = self._sources.get((kind, name))
                if data is None:
                    self._assumed.append(f"{kind} {name} is not in the file")
                    continue
                for entry in data.entries:
                    variable = prefix + str(entry.key)
                    if isinstance(entry.value, Scalar) and variable.isidentifier():
                        env[variable] = Variable(value=str(entry.value))


def _filled(text: Traced, env: Mapping[str, Variable]) -> Traced:
    """A word with the values of ``$(NAME)``, as Kubernetes fills them in."""
    pieces, position = list[Traced](), 0
    for match in _REFERENCE.finditer(text.text):
        spot, variable = text.span(match.start(), match.end()), env.get(match[2])
        if match[1]:
            piece = Traced.at(f"$({match[2]})", spot)
        elif variable and variable.value is not None:
            piece = Traced.at(variable.value, spot)
        else:
            piece = text[match.start() : match.end()]
        pieces += [text[position : match.start()], piece]
        position = match.end()
    return Traced.joined([*pieces, text[position:]])


def _appended(node: ListNode, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    if not node.row.items:
        raise UnwritableError("its env is empty")
    _, indent, block = node.row.separator.partition("\n")
    start = node.row.items[-1][1]
    written = list[str]()
    for name, value in pairs:
        first, second = f"name: {json.dumps(name)}", f"value: {json.dumps(value)}"
        between = f"\n{' ' * len(block)}" if indent else ", "
        written.append(f"{first}{between}{second}" if indent else f"{{{first}, {second}}}")
    end = node.row.behind(start)
    return [Edit(end, end, "".join(node.row.separator + one for one in written))]


def _opened(node: MapNode, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    return [node.open("env", [[("name", n), ("value", v)] for n, v in pairs])]
