"""The axes of a matrix and the cells they span."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.builds import Catalogue
from harness.cells import DEFAULT_MODEL, cell_id
from harness.errors import UsageError
from harness.model import Cell, LoadRequest, Mode

DEFAULT_PROFILE: Final = "smoke"
DEFAULT_ENVIRONMENTS: Final = ("cpu", "cuda-spoof")
DEFAULT_SUBJECTS: Final = ("reference",)
DEFAULT_MODES: Final = tuple(mode.value for mode in Mode)
DEFAULT_LENGTHS: Final = (None, 1, 5, 16)
DEFAULT_MODELS: Final = (DEFAULT_MODEL, "tiny-llama")
SMALL_MODEL: Final = "tiny-mtp-1b"
"""Under 3B: only ``auto`` treats it otherwise than ``tiny-mtp``."""

LENGTH_DEFAULT: Final = "default"
MODE_UNSET: Final = "unset"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a user selected; an empty tuple means the default axis.

    Attributes:
        builds: Globs of build ids; they replace the profile.
        draft_lengths: As the user wrote them: numbers or ``default``.
    """

    profile: str = DEFAULT_PROFILE
    builds: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    draft_lengths: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    extra_args: tuple[str, ...] = field(default=())


def select_cells(selection: Selection, catalogue: Catalogue) -> tuple[Cell, ...]:
    """The cells of a selection, in the order they run.

    Cells that often ask for the same launch are neighbours, so that they can share it.

    Raises:
        UnknownBuildError: A glob or profile matches no build.
        UsageError: A draft length is no number.
    """
    builds = (
        catalogue.select(selection.builds)
        if selection.builds
        else catalogue.profile(selection.profile)
    )
    environments = selection.environments or DEFAULT_ENVIRONMENTS
    subjects = selection.subjects or DEFAULT_SUBJECTS
    lengths = _lengths(selection.draft_lengths)
    cells = [
        Cell(build=build.id, subject=subject, environment=environment, request=request)
        for build in builds
        for environment in environments
        for subject in subjects
        for request in _requests(selection, lengths)
    ]
    return _unique(cells)


def _requests(selection: Selection, lengths: Sequence[int | None]) -> Iterator[LoadRequest]:
    for model in selection.models or (*DEFAULT_MODELS, SMALL_MODEL):
        for mode in selection.modes or DEFAULT_MODES:
            if not selection.models and model == SMALL_MODEL and mode != Mode.AUTO:
                continue
            for length in lengths:
                yield LoadRequest(
                    model=model,
                    mode=None if mode == MODE_UNSET else mode,
                    draft_n_max=length,
                    extra_args=selection.extra_args,
                )


def _lengths(written: Sequence[str]) -> tuple[int | None, ...]:
    if not written:
        return DEFAULT_LENGTHS
    return tuple(_length(word) for word in written)


def _length(word: str) -> int | None:
    if word == LENGTH_DEFAULT:
        return None
    try:
        return int(word)
    except ValueError:
        raise UsageError(
            f"--draft-max {word!r}: give a number of tokens, or {LENGTH_DEFAULT}"
        ) from None


def _unique(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple({cell_id(cell): cell for cell in cells}.values())
