"""Command lines of a gpustack inference backend: ``default_run_command`` and its versions'.

``{{model_path}}``, ``{{port}}``, ``{{host}}`` and ``{{model_name}}`` are gpustack's placeholders.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import SubjectError
from harness.subjects.command_lines import CommandLine, parse_command_line


def command_lines(document: Mapping[str, Any], origin: str) -> Mapping[str, CommandLine] | None:
    """The default run command under the backend's name, and each version's under the version's.

    None where the document has none.

    Raises:
        SubjectError: A run command is not text.
    """
    lines = {}
    for name, command in _commands(document):
        place = f"{origin}#{name}"
        if not isinstance(command, str):
            raise SubjectError(f"{place}: the run command is not text")
        named = command.replace("{{model_name}}", "model")
        lines[name] = parse_command_line(named, place)
    return lines or None


def _commands(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if document.get("default_run_command"):
        yield str(document.get("backend_name", "default")), document["default_run_command"]
    versions = document.get("version_configs")
    if isinstance(versions, Mapping):
        for version, settings in versions.items():
            if isinstance(settings, Mapping) and settings.get("run_command"):
                yield str(version), settings["run_command"]
