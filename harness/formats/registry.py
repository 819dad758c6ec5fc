"""The formats, and which of them a file is of."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final, cast

from harness.errors import FormatError
from harness.formats.command_line import PlacedLine
from harness.formats.document import Contents, Document, Format

_ORDER: Final = (
    *("argument_list", "lemonade", "llama_swap", "gpustack", "compose", "program_map"),
    *("kubernetes", "launchd", "quadlet", "systemd", "supervisord", "preset", "dockerfile"),
    *("procfile", "dotenv", "powershell", "batch", "shell"),
)
"""From the one that is told most surely to the one that takes what is left."""

_TEXT: Final = frozenset({"dotenv", "powershell", "batch", "shell"})
"""Those that a file of JSON or YAML is not."""

_NESTED: Final = ("compose", "kubernetes", "llama_swap", "quadlet", "systemd", "supervisord",
                  "launchd", "dockerfile")  # fmt: skip
"""Those that a script writes."""


class _Formats(Mapping[str, Format]):
    """The formats by name; a module is imported when it is looked at."""

    def __getitem__(self, name: str) -> Format:
        module = next((one for one in _ORDER if one.replace("_", "-") == name), None)
        if module is None:
            raise KeyError(name)
        return cast("Format", import_module(f"harness.formats.{module}"))

    def __iter__(self) -> Iterator[str]:
        return (name.replace("_", "-") for name in _ORDER)

    def __len__(self) -> int:
        return len(_ORDER)


FORMATS: Final[Mapping[str, Format]] = _Formats()


def read_document(document: Document, name: str | None = None) -> Contents:
    """The command lines of a document.

    Args:
        document: The document.
        name: The format it is of; by its content where None.

    Raises:
        FormatError: It is of no known kind, or holds none.
    """
    if name is not None:
        if name not in FORMATS:
            raise FormatError(f"format {name!r}: there are {', '.join(FORMATS)}")
        return FORMATS[name].read(document)
    if not document.text.strip():
        document.refuse("is empty")
    for kind, one in FORMATS.items():
        if kind in _TEXT and (document.nodes or document.is_malformed):
            document.refuse(document.trouble or _unknown())
        if kind == "shell" or one.recognises(document):
            break
    try:
        return one.read(document)
    except FormatError as error:
        if kind != "shell" or document.is_script:
            raise
        reason = str(error).removeprefix(f"{document.origin}: ")
        raise FormatError(
            f"{document.origin}: {_unknown()}; as a shell command it {reason}"
        ) from error


def _unknown() -> str:
    return (
        f"is of no known kind; looked for {'; '.join(one.LOOKED_FOR for one in FORMATS.values())}"
    )


def read_nested(document: Document) -> list[PlacedLine]:
    """The command lines of a file that another one writes; none where it is of no known kind."""
    for module in _NESTED:
        one = FORMATS[module.replace("_", "-")]
        try:
            if one.recognises(document):
                return list(one.read(document).lines.values())
        except FormatError:
            return []
    return []
