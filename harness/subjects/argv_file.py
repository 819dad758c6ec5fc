"""``argv:FILE`` and ``argv:FILE#NAME``: static command lines, in whatever file they are kept.

The format is told by the content: a JSON list of arguments, a command line as typed into a shell,
a llama-swap configuration, lemonade's ``recipe_options.json``, a gpustack backend.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from harness.errors import SubjectError
from harness.subjects import argv_gpustack, argv_lemonade, argv_llama_swap
from harness.subjects.command_lines import (
    CommandLine,
    StaticSubject,
    parse_command_line,
    server_arguments,
)

_SIZE_LIMIT: Final = 1024 * 1024


_FORMATS: Final = (
    argv_llama_swap.command_lines,
    argv_lemonade.command_lines,
    argv_gpustack.command_lines,
)
"""Each reads a parsed document: command lines by name, None where it is of another format."""


@contextmanager
def open(rest: str) -> Iterator[StaticSubject]:  # noqa: A001 - every subject module has it
    """Open the subject.

    Args:
        rest: ``FILE`` or ``FILE#NAME``.

    Raises:
        SubjectError: The file cannot be read, is of no known format, or holds several command
            lines and no name was given.
    """
    where, _, name = rest.partition("#")
    path = Path(where).expanduser()
    lines = read_command_lines(path)
    yield StaticSubject(f"argv:{rest}", _choose(lines, name, path))


def _choose(lines: Mapping[str, CommandLine], name: str, path: Path) -> CommandLine:
    known = ", ".join(sorted(lines))
    if name:
        if name not in lines:
            raise SubjectError(f"argv:{path}: has no {name!r}; it has {known}")
        return lines[name]
    if len(lines) > 1:
        raise SubjectError(f"argv:{path}: which one? Write argv:{path}#NAME with one of {known}")
    return next(iter(lines.values()))


def read_command_lines(path: Path) -> Mapping[str, CommandLine]:
    """All command lines of a file, by name; the name is empty where a file holds just one.

    Raises:
        SubjectError: The file cannot be read, or holds no command line.
    """
    origin = f"argv:{path}"
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise SubjectError(f"{origin}: larger than {_SIZE_LIMIT} bytes; not a command line")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SubjectError(f"{origin}: cannot be read: {error}") from error
    document = _parse(text, path, origin)
    if isinstance(document, list):
        if not all(isinstance(word, str) for word in document):
            raise SubjectError(f"{origin}: a JSON list of arguments holds strings only")
        return {"": server_arguments(document, origin)}
    if isinstance(document, Mapping):
        for command_lines in _FORMATS:
            lines = command_lines(document, origin)
            if lines is not None:
                if not lines:
                    raise SubjectError(f"{origin}: holds no llama-server command line")
                return lines
        raise SubjectError(
            f"{origin}: is neither a list of arguments, nor of llama-swap (models: cmd), lemonade "
            "(llamacpp_args) or gpustack (default_run_command)"
        )
    return {"": parse_command_line(text, origin)}


def _parse(text: str, path: Path, origin: str) -> Any:
    """The JSON or YAML document, or None for a plain command line."""
    suffix = path.suffix.lower()
    if suffix == ".json" or text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError as error:
            raise SubjectError(f"{origin}: is not JSON: {error}") from error
    if suffix in {".yaml", ".yml"}:
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            line = " ".join(str(error).split())
            raise SubjectError(f"{origin}: is not YAML: {line}") from error
    return None
