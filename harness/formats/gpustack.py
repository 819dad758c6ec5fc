"""gpustack's inference backends: one backend, or the list of them that gpustack ships.

What stands in double braces is gpustack's to fill in, and stays. Where a template has conditions,
they are taken to hold.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from harness.formats.command_line import PlacedLine, Variable
from harness.formats.containers import Kind, container, kind_of_image
from harness.formats.document import Contents, Document
from harness.formats.naming import named
from harness.formats.nodes import ListNode, MapNode, Scalar
from harness.formats.traced import Traced
from harness.formats.units import around
from harness.formats.words import Rules, quoted, words_of

LOOKED_FOR: Final = "a backend of gpustack (default_run_command, version_configs)"

_CONDITION: Final = re.compile(
    r"\{%-?\s*(?P<jinja>if|elif|else|endif)\b[^%]*-?%\}"
    r"|\{\{~?\s*(?P<mark>#if|#unless|else|/if|/unless)\b[^}]*\}\}"
)
_RULES: Final = Rules(quote=quoted)


def recognises(document: Document) -> bool:
    """Whether it is a backend with a command, or a list of such."""
    return any(True for _ in _backends(document))


def _backends(document: Document) -> Iterator[MapNode]:
    for root in document.nodes:
        for one in root.items if isinstance(root, ListNode) else [root]:
            if isinstance(one, MapNode) and (
                one.get("default_run_command")
                or (one.get("backend_name") and one.mapping("version_configs"))
                or _own_commands(one)
            ):
                yield one


def _own_commands(backend: MapNode) -> bool:
    versions = backend.mapping("version_configs")
    return versions is not None and any(
        isinstance(one.value, MapNode) and one.value.get("run_command") for one in versions.entries
    )


def read(document: Document) -> Contents:
    """Each backend's default command under its name, each version's own under the version's."""
    found, unread = list[tuple[str, PlacedLine]](), dict[str, str]()
    for backend in _backends(document):
        images = set(_images(backend))
        for name, holder, command, image in _commands(backend):
            try:
                found += [(name, x) for x in _lines(command, holder, image or images, document)]
            except ValueError as error:
                unread[name] = f"{document.origin}#{name}: {error}"
    return Contents(lines=named(found), unread=unread)


def _commands(backend: MapNode) -> Iterator[tuple[str, MapNode, object, set[str]]]:
    name = backend.text("backend_name") or "default"
    default = backend.get("default_run_command")
    if default is not None and not (isinstance(default, Scalar) and not str(default).strip()):
        yield name, backend, default, set()
    versions = backend.mapping("version_configs")
    for one in versions.entries if versions else []:
        if isinstance(one.value, MapNode) and not _is_empty(one.value.get("run_command")):
            own = one.value.text("image_name")
            command = one.value.get("run_command")
            yield str(one.key), one.value, command, {own} if own else set()


def _is_empty(node: object) -> bool:
    return node is None or (isinstance(node, Scalar) and not str(node).strip())


def _images(backend: MapNode) -> Iterator[str]:
    versions = backend.mapping("version_configs")
    for one in versions.entries if versions else []:
        if isinstance(one.value, MapNode) and (image := one.value.text("image_name")):
            yield image


def _lines(
    command: object, holder: MapNode, images: set[str], document: Document
) -> list[PlacedLine]:
    if not isinstance(command, Scalar) or not command.is_text:
        raise ValueError("the run command is not text")
    text, assumed = _without_conditions(command.text)
    words, _ = words_of(text, document.file, _RULES)
    entry = holder.text("default_entrypoint") or holder.text("entrypoint")
    entrypoint = words_of(Traced.made(entry), document.file)[0] if entry and entry.strip() else None
    kinds = {kind_of_image(image) for image in images}
    image = next(iter(images), "")
    if Kind.SERVER in kinds:
        image = "llama.cpp:server"
    lines = container(
        image=image,
        entrypoint=entrypoint,
        command=words,
        env=_environment(holder),
        around=around(document),
    )
    return [PlacedLine(words=x.words, env=x.env, row=x.row, assumed=assumed) for x in lines]


def _environment(holder: MapNode) -> Mapping[str, Variable]:
    env = holder.mapping("default_env") or holder.mapping("env")
    entries = env.entries if env else []
    return {
        str(one.key): Variable(value=None if "{{" in str(one.value) else str(one.value))
        for one in entries
        if isinstance(one.value, Scalar)
    }


def _without_conditions(text: Traced) -> tuple[Traced, tuple[str, ...]]:
    """A template with its conditions taken to hold, and what that takes for granted."""
    pieces, position, assumed, holds = list[Traced](), 0, list[str](), list[bool]()
    for match in _CONDITION.finditer(text.text):
        if all(holds):
            pieces.append(text[position : match.start()])
        kind = match["jinja"] or match["mark"]
        if kind == "if" or kind.startswith("#"):
            if all(holds):
                assumed.append(f"{match[0]} holds")
            holds.append(True)
        elif kind in {"else", "elif"} and holds:
            holds[-1] = False
        elif holds:
            holds.pop()
        position = match.end()
    return Traced.joined([*pieces, text[position:]]), tuple(assumed)
