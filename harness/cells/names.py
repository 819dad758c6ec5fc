"""What a cell is called, and how it is run alone; light, for whoever only lists cells."""

import shlex
from typing import Final
from urllib.parse import quote

from harness.model import MODE_UNSET, Cell, LoadRequest

DEFAULT_MODEL: Final = "tiny-mtp"
_USUAL: Final = LoadRequest(model="", mode=None)
_READABLE: Final = "!*'(),;:@&=+$/?<>{}|"
"""Stand in an id as they are; letters, digits, dots, ``_`` (a dash) and ``~`` do so as well."""


def cell_id(cell: Cell) -> str:
    """A readable id, e.g. ``b9246-cuda_spoof-reference-mtp-n5``, of this cell and no other.

    The model is left out where it is the default one, and so is what a request does not wish. A
    dash within a part is written ``_``; whatever else could be misread is percent-encoded.
    """
    request = cell.request
    length = "default" if request.draft_n_max is None else str(request.draft_n_max)
    mode = "%75nset" if request.mode == MODE_UNSET else _encoded(request.spelling)
    parts = [_encoded(cell.build), _encoded(cell.environment), _encoded(cell.subject), mode]
    parts.append(f"n{_encoded(length)}")
    if request.model != DEFAULT_MODEL:
        parts.append(_encoded(request.model).replace("=", "%3D"))
    parts += [f"x={_encoded(word)}" for word in request.extra_args]
    if request.context_length != _USUAL.context_length:
        parts.append(f"c={_encoded(str(request.context_length))}")
    if request.cache_type is not None:
        parts.append(f"k={_encoded(request.cache_type)}")
    if request.chat_template is not None:
        parts.append(f"t={_encoded(request.chat_template)}")
    return "-".join(parts)


def _encoded(text: str) -> str:
    quoted = quote(text, safe=_READABLE, errors="surrogatepass")
    return quoted.replace("_", "%5F").replace("-", "_")


def repro_command(cell: Cell) -> str:
    """A command that runs this cell alone."""
    request = cell.request
    length = "default" if request.draft_n_max is None else str(request.draft_n_max)
    options = {
        "build": cell.build,
        "env": cell.environment,
        "subject": cell.subject,
        "mode": request.spelling,
        "draft-max": length,
        "model": request.model,
    }
    if request.context_length != _USUAL.context_length:
        options["context"] = str(request.context_length)
    if request.cache_type is not None:
        options["cache-type"] = request.cache_type
    if request.chat_template is not None:
        options["chat-template"] = request.chat_template
    words = [word for name, value in options.items() for word in _option(name, value)]
    words += [f"--extra-arg={word}" for word in request.extra_args]
    return shlex.join(["llama-harness", "matrix", *words])


def _option(name: str, value: str) -> tuple[str, ...]:
    # A value that begins with a dash would be taken for another option.
    return (f"--{name}={value}",) if value.startswith("-") else (f"--{name}", value)
