"""The formats, and which of them a file is of."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final, cast

from harness.errors import FormatError
from harness.formats.command_line import PlacedLine
from harness.formats.document import Document, Format, Reading

_ORDER: Final = (
    *("argument_list", "lemonade", "llama_swap", "gpustack", "compose", "kubernetes", "program_map"),
    *("launchd", "quadlet", "systemd", "supervisord", "preset", "dockerfile", "procfile"),
    *("dotenv", "powershell", "batch", "shell"),
)
"""From the one that is told most surely to the one that takes what is left."""

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


def read_document(document: Document, name: str | None = None) -> Reading:
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
    for one in FORMATS.values():
        if one.recognises(document):
            return one.read(document)
    looked_for = "; ".join(one.LOOKED_FOR for one in FORMATS.values())
    raise FormatError(f"{document.origin}: is of no known kind; looked for {looked_for}")


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
