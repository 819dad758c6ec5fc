"""The axes of a matrix and the cells they span."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

from harness.builds import Catalogue
from harness.cells.names import DEFAULT_MODEL, cell_id
from harness.environments import parse_environment
from harness.errors import UsageError
from harness.gguf_models.fitting import fitting_model
from harness.gguf_models.models import MODELS
from harness.matrix.shards import deal, parse_shard
from harness.model import Cell, CellResult, DemandedBy, LoadRequest, Mode
from harness.report.jsonl import read_results
from harness.settings import axes
from harness.subjects import check_subject, demanded_by, is_static, open_subject
from harness.subjects.command_lines import words_of

DEFAULT_PROFILE: Final = "smoke"
DEFAULT_ENVIRONMENTS: Final = ("cpu", "cuda-spoof")
DEFAULT_SUBJECTS: Final = ("reference",)
DEFAULT_MODELS: Final = (DEFAULT_MODEL, "tiny-llama")
SMALL_MODEL: Final = "tiny-mtp-1b"
"""Under 3B: only ``auto`` treats it otherwise than ``tiny-mtp``."""


def _option(name: str, metavar: str, text: str, *, default: Any = ()) -> Any:
    """A field, with the option that sets it; the option may be repeated where it has many values.

    ``harness.matrix.options`` declares them to a parser.
    """
    return field(default=default, metadata={"name": name, "metavar": metavar, "help": text})


def _option_of(axis: axes.Axis) -> Any:
    return _option(axis.option, axis.metavar, axis.help)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a user selected; an empty tuple means the default axis.

    Attributes:
        profile: A profile of the catalogue; ``smoke`` if empty.
        builds: Globs of build ids; they replace the profile.
        draft_lengths: As the user wrote them: numbers or ``default``.
        contexts: As the user wrote them: numbers.
        contract: ``studio`` or ``own``; the usual one of each subject if empty.
        shard: ``K/N`` for the K-th of N parts; all cells if empty.
        balance_from: A results file whose times the parts are balanced by.
    """

    profile: str = _option(
        "profile", "NAME", "builds of a profile: smoke (default), full, all or history", default=""
    )
    builds: tuple[str, ...] = _option(
        "build", "GLOB", "builds whose id matches, instead of a profile"
    )
    environments: tuple[str, ...] = _option(
        "env", "E", "cpu, cuda-spoof, cuda-spoof:VARIANT or cuda (default: cpu and cuda-spoof)"
    )
    subjects: tuple[str, ...] = _option(
        "subject", "S", "flag generator under test (default: reference)"
    )
    modes: tuple[str, ...] = _option_of(axes.MODE)
    draft_lengths: tuple[str, ...] = _option_of(axes.DRAFT_LENGTH)
    models: tuple[str, ...] = _option(
        "model", "NAME", "model to load (default: tiny-mtp and tiny-llama)"
    )
    contexts: tuple[str, ...] = _option_of(axes.CONTEXT)
    cache_types: tuple[str, ...] = _option_of(axes.CACHE_TYPE)
    chat_templates: tuple[str, ...] = _option_of(axes.CHAT_TEMPLATE)
    extra_args: tuple[str, ...] = _option(
        "extra-arg", "WORD", "an argument that the user adds by hand; write --extra-arg=--flag"
    )
    contract: str = _option(
        "contract",
        "WHOSE",
        "what must hold: studio, or own for the subject's own word (default: studio for reference "
        "and unsloth, else own)",
        default="",
    )
    shard: str = _option(
        "shard", "K/N", "only the K-th of N parts, as `llama-harness plan` deals them", default=""
    )
    balance_from: str = _option(
        "balance-from", "FILE", "results whose times the parts are balanced by", default=""
    )


def select_cells(selection: Selection, catalogue: Catalogue) -> tuple[Cell, ...]:
    """The cells of a selection, in the order they run.

    Cells that often ask for the same launch are neighbours, so that they can share it.

    Raises:
        UnknownBuildError: A glob or profile matches no build.
        UsageError: An environment, subject, model, draft length or shard has no meaning.
        SubjectError: A file of command lines or a recording cannot be read.
    """
    cells = _all_cells(selection, catalogue)
    if not selection.shard:
        return cells
    number, count = parse_shard(selection.shard)
    return deal(cells, count, measured_results(selection))[number - 1].cells


def measured_results(selection: Selection) -> tuple[CellResult, ...]:
    """The earlier results that shards are balanced by.

    Raises:
        UsageError: The file cannot be read or is no results file.
    """
    return tuple(read_results([Path(selection.balance_from)] if selection.balance_from else []))


def _all_cells(selection: Selection, catalogue: Catalogue) -> tuple[Cell, ...]:
    builds = (
        catalogue.select(selection.builds)
        if selection.builds
        else catalogue.profile(selection.profile or DEFAULT_PROFILE)
    )
    environments = selection.environments or DEFAULT_ENVIRONMENTS
    subjects = selection.subjects or DEFAULT_SUBJECTS
    for environment in environments:
        parse_environment(environment)
    for subject in subjects:
        check_subject(subject)
    for model in selection.models:
        if model not in MODELS:
            raise UsageError(f"--model {model!r}: there are {', '.join(MODELS)}")
    # One for all builds, environments and subjects: thousands of cells share a few dozen.
    varied = tuple(_requests(selection))
    requests = {subject: _requests_of(subject, selection) for subject in subjects}
    cells = [
        Cell(
            build=build.id,
            subject=subject,
            environment=environment,
            request=request,
            demanded_by=demanded_by(subject, selection.contract),
        )
        for build in builds
        for environment in environments
        for subject in subjects
        for request in requests[subject] or varied
    ]
    return _unique(cells)


def _requests_of(subject: str, selection: Selection) -> tuple[LoadRequest, ...]:
    """The one request to a subject that gives the same command line whatever is asked for.

    Empty for every other subject. What the selection leaves open is not varied, and the model is
    one that has what the command line wants.

    Raises:
        SubjectError: There is no such command line.
    """
    if not is_static(subject):
        return ()
    with open_subject(subject) as opened:
        models = selection.models or (fitting_model(words_of(opened)),)
    if demanded_by(subject, selection.contract) is not DemandedBy.SUBJECT:
        return ()
    return tuple(_requests(replace(selection, models=models), varied=False))


def _requests(selection: Selection, *, varied: bool = True) -> Iterator[LoadRequest]:
    wishes = {axis.field: _wishes(axis, selection, varied=varied) for axis in axes.AXES}
    for model in selection.models or (*DEFAULT_MODELS, SMALL_MODEL):
        for values in product(*wishes.values()):
            request = LoadRequest(
                model=model,
                extra_args=selection.extra_args,
                **dict(zip(wishes, values, strict=True)),
            )
            if selection.models or model != SMALL_MODEL or request.mode == Mode.AUTO:
                yield request


def _wishes(axis: axes.Axis, selection: Selection, *, varied: bool) -> tuple[Any, ...]:
    usual = axis.varied if varied else (axis.usual,)
    return tuple(map(axis.read, getattr(selection, axis.many))) or usual


def _unique(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple({cell_id(cell): cell for cell in cells}.values())
