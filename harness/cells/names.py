"""What a cell is called, and how it is run alone; light, for whoever only lists cells."""

import shlex
from typing import Final

from harness.model import Cell, LoadRequest

DEFAULT_MODEL: Final = "tiny-mtp"
_USUAL: Final = LoadRequest(model="", mode=None)


def cell_id(cell: Cell) -> str:
    """A readable id, e.g. ``b9246-cuda_spoof-reference-mtp-n5``.

    The model is left out where it is the default one.
    """
    request = cell.request
    length = "default" if request.draft_n_max is None else str(request.draft_n_max)
    parts = [
        cell.build,
        cell.environment,
        cell.subject,
        request.spelling,
        f"n{length}",
    ]
    if request.model != DEFAULT_MODEL:
        parts.append(request.model)
    parts += [word.removeprefix("--") for word in request.extra_args]
    if request.context_length != _USUAL.context_length:
        parts.append(f"c{request.context_length}")
    return "-".join(part.strip().replace("-", "_").replace(" ", "_") for part in parts)


def repro_command(cell: Cell) -> str:
    """A command that runs this cell alone."""
    request = cell.request
    words = [
        "llama-harness",
        "matrix",
        "--build",
        cell.build,
        "--env",
        cell.environment,
        "--subject",
        cell.subject,
        "--mode",
        request.spelling,
        "--draft-max",
        "default" if request.draft_n_max is None else str(request.draft_n_max),
        "--model",
        request.model,
        *(f"--extra-arg={word}" for word in request.extra_args),
    ]
    return shlex.join(words)
