"""Command lines of a llama-swap configuration: ``models: NAME: cmd``, with macros.

Macros stand as ``${name}``; a model's own come before the file's, and a macro may use those
before it. ``${PORT}`` and ``${MODEL_ID}`` are built in, ``${env.NAME}`` is the environment's.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Final

from harness.errors import SubjectError
from harness.subjects.command_lines import CommandLine, parse_command_line

_MACRO: Final = re.compile(r"\$\{([^}]+)\}")
_LATER: Final = frozenset({"PORT"})
_DEPTH: Final = 10


def command_lines(document: Mapping[str, Any], origin: str) -> Mapping[str, CommandLine] | None:
    """The command line of every model that runs a llama-server; None where no model has a ``cmd``.

    Raises:
        SubjectError: A macro is not defined or uses itself, or a ``cmd`` is not text.
    """
    models = document.get("models")
    if not isinstance(models, Mapping) or not any(
        isinstance(model, Mapping) and "cmd" in model for model in models.values()
    ):
        return None
    shared = _macros(document, origin)
    lines = {}
    for name, model in models.items():
        place = f"{origin}#{name}"
        if not isinstance(model, Mapping) or not isinstance(model.get("cmd"), str):
            raise SubjectError(f"{place}: has no cmd, or it is not text")
        macros = {**shared, **_macros(model, place), "MODEL_ID": str(name)}
        command = _expanded(model["cmd"], macros, place)
        if "llama-server" not in command and not command.lstrip().startswith("-"):
            continue  # another kind of server
        line = parse_command_line(command, place)
        variables = [_expanded(str(entry), macros, place) for entry in model.get("env") or ()]
        assigned = dict(entry.partition("=")[::2] for entry in variables)
        lines[str(name)] = CommandLine(words=line.words, env={**assigned, **line.env})
    return lines


def _macros(holder: Mapping[str, Any], place: str) -> dict[str, str]:
    macros = holder.get("macros") or {}
    if not isinstance(macros, Mapping):
        raise SubjectError(f"{place}: macros is not a mapping")
    return {str(name): str(value) for name, value in macros.items()}


def _expanded(text: str, macros: Mapping[str, str], place: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in _LATER:
            return match[0]
        if name.startswith("env."):
            return os.environ.get(name.removeprefix("env."), "")
        if name not in macros:
            raise SubjectError(f"{place}: the macro ${{{name}}} is not defined")
        return macros[name]

    for _ in range(_DEPTH):
        expanded = _MACRO.sub(value, text)
        if expanded == text:
            return text
        text = expanded
    raise SubjectError(f"{place}: a macro uses itself")
