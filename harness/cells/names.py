"""What a cell is called, and how it is run alone; light, for whoever only lists cells."""

import shlex
from typing import Final
from urllib.parse import quote

from harness.model import Cell, LoadRequest
from harness.settings.axes import AXES, Axis
from harness.subjects import CONTRACTS, demanded_by

DEFAULT_MODEL: Final = "tiny-mtp"
_READABLE: Final = "!*'(),;:@&=+$/?<>{}|"
"""Stand in an id as they are; letters, digits, dots, ``_`` (a dash) and ``~`` do so as well."""


def cell_id(cell: Cell) -> str:
    """A readable id, e.g. ``b9246-cuda_spoof-reference-mtp-n5``, of this cell and no other.

    The model is left out where it is the default one, and so is what a request does not wish. A
    dash within a part is written ``_``; whatever else could be misread is percent-encoded.
    """
    request = cell.request
    parts = [_encoded(cell.build), _encoded(cell.environment), _encoded(cell.subject)]
    parts += [_wish(axis, request) for axis in AXES if axis.always]
    if request.model != DEFAULT_MODEL:
        parts.append(_encoded(request.model).replace("=", "%3D"))
    parts += [f"x={_encoded(word)}" for word in request.extra_args]
    parts += [_wish(axis, request) for axis in _unusual(request)]
    return "-".join([*parts, *_unusual_contract(cell)])


def _unusual_contract(cell: Cell) -> list[str]:
    """The contract that a cell is held to, where it is not the usual one of its subject."""
    if cell.demanded_by is demanded_by(cell.subject):
        return []
    return [name for name, who in CONTRACTS.items() if who is cell.demanded_by]


def _unusual(request: LoadRequest) -> list[Axis]:
    """The axes on which a request wishes something that is named only then."""
    return [axis for axis in AXES if not axis.always and getattr(request, axis.field) != axis.usual]


def _wish(axis: Axis, request: LoadRequest) -> str:
    wish = getattr(request, axis.field)
    word = _encoded(axis.write(wish))
    if wish is not None and word == axis.unset:
        # A wish that is spelled like none at all.
        word = f"%{ord(word[0]):02X}{word[1:]}"
    return f"{axis.letter}{word}"


def _encoded(text: str) -> str:
    quoted = quote(text, safe=_READABLE, errors="surrogatepass")
    return quoted.replace("_", "%5F").replace("-", "_")


def repro_command(cell: Cell) -> str:
    """A command that runs this cell alone."""
    request = cell.request
    options = {"build": cell.build, "env": cell.environment, "subject": cell.subject}
    named = [axis for axis in AXES if axis.always]
    for axis in named:
        options[axis.option] = axis.write(getattr(request, axis.field))
    options["model"] = request.model
    for axis in _unusual(request):
        options[axis.option] = axis.write(getattr(request, axis.field))
    for contract in _unusual_contract(cell):
        options["contract"] = contract
    words = [word for name, value in options.items() for word in _option(name, value)]
    words += [f"--extra-arg={word}" for word in request.extra_args]
    return shlex.join(["llama-harness", "matrix", *words])


def _option(name: str, value: str) -> tuple[str, ...]:
    # A value that begins with a dash would be taken for another option.
    return (f"--{name}={value}",) if value.startswith("-") else (f"--{name}", value)
