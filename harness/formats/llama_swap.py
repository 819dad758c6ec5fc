"""llama-swap's configuration: ``models: NAME: cmd``, with macros.

Macros stand as ``${name}``; a model's own come before the file's, and a macro may use others.
``${PORT}`` stays as it stands, ``${MODEL_ID}`` is the model's name; ``${env.NAME}`` is not in the
file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from harness.errors import FormatError
from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.document import Contents, Document
from harness.formats.nodes import ListNode, MapNode, Scalar
from harness.formats.places import Edit, UnwritableError, assignment_at
from harness.formats.programs import servers_of
from harness.formats.traced import Traced
from harness.formats.units import around
from harness.formats.words import Rules, assignment, stands, words_of

LOOKED_FOR: Final = "llama-swap's configuration (models: NAME: cmd)"

_MACRO: Final = re.compile(r"\$\{([^}\s]+)\}")
_STAYS: Final = frozenset({"PORT", "PID"})
_DEPTH: Final = 10
_LONGEST: Final = 256 * 1024
_RULES: Final = Rules(comments=True)


def recognises(document: Document) -> bool:
    """Whether some model has a command."""
    models = document.mapping.mapping("models") if document.mapping else None
    return models is not None and any(
        isinstance(one.value, MapNode) and one.value.get("cmd") for one in models.entries
    )


def read(document: Document) -> Contents:
    """The command line of every model that runs a llama-server."""
    root = document.mapping
    models = root.mapping("models") if root else None
    if root is None or models is None:
        document.refuse("has no models")
    shared, lines, unread = _macros(root), dict[str, PlacedLine](), dict[str, str]()
    for entry in models.entries:
        name = str(entry.key)
        try:
            if line := _model(name, entry.value, shared, document):
                lines[name] = line
        except (FormatError, ValueError) as error:
            unread[name] = f"{document.origin}#{name}: {error}"
    return Contents(lines=lines, unread=unread)


def _model(
    name: str, model: object, shared: Mapping[str, Traced], document: Document
) -> PlacedLine | None:
    command = model.get("cmd") if isinstance(model, MapNode) else None
    if not isinstance(model, MapNode) or not isinstance(command, Scalar) or not command.is_text:
        raise FormatError("has no cmd, or it is not text")
    macros = {**shared, **_macros(model), "MODEL_ID": Traced.made(name)}
    text = Traced.joined(_kept(_expanded(command.text, macros)))
    words, row = words_of(text, document.file, _RULES)
    env, add = _environment(model, macros)
    lines = servers_of(words, env, around(document), add)
    if not lines and words and str(words[0]).startswith("-"):
        lines = [PlacedLine(words=tuple(words), env=env, row=row, add=add)]
    return lines[0] if lines else None


def _kept(text: Traced) -> Iterator[Traced]:
    """Without lines of comment, and a backslash at a line's end goes on with the next."""
    for line in text.lines():
        bare = line.text.strip()
        if bare.startswith("#"):
            continue
        end = len(line.text.rstrip())
        yield line[: end - 1] if bare.endswith("\\") else line
        yield Traced.made("\n")


def _environment(
    model: MapNode, macros: Mapping[str, Traced]
) -> tuple[dict[str, Variable], AddVariables | None]:
    env, entries = dict[str, Variable](), model.get("env")
    if not isinstance(entries, ListNode):
        add = partial(_opened, model) if entries is None else None
        return env, add
    for item in entries.items:
        if not isinstance(item, Scalar):
            raise FormatError("an entry of env is not text")
        text = _expanded(item.text, macros)
        assigned = assignment(replace(item.word, text=text))
        if assigned:
            value = assigned[1].text
            place = item.place if text.text == str(item) else None
            env[assigned[0]] = Variable(
                value=None if stands(value) or "${" in value else value,
                place=assignment_at(place),
            )
    return env, partial(_appended, entries)


def _opened(model: MapNode, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    del model, pairs
    raise UnwritableError("the model has no env that variables could be put in")


def _appended(entries: ListNode, pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    words = [f"{name}={value}" for name, value in pairs]
    last = entries.items[-1] if entries.items else None
    after = last.place if isinstance(last, Scalar) else None
    return [entries.row.insert(words, after=after)]


def _macros(holder: MapNode) -> dict[str, Traced]:
    macros = holder.mapping("macros")
    entries = macros.entries if macros else []
    return {str(one.key): one.value.text for one in entries if isinstance(one.value, Scalar)}


def _expanded(text: Traced, macros: Mapping[str, Traced]) -> Traced:
    """A text with the values of its macros, and theirs.

    Raises:
        FormatError: A macro is not defined or uses itself.
    """
    for _ in range(_DEPTH):
        pieces, position, changed = list[Traced](), 0, False
        for match in _MACRO.finditer(text.text):
            name = match[1]
            if name in _STAYS or name.startswith("env."):
                continue
            if name not in macros:
                raise FormatError(f"the macro ${{{name}}} is not defined")
            pieces += [text[position : match.start()], macros[name]]
            position, changed = match.end(), True
        if not changed:
            return text
        text = Traced.joined([*pieces, text[position:]])
        if len(text) > _LONGEST:
            break
    raise FormatError("a macro uses itself")
