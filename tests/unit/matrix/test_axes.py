"""Axes to cells."""

from pathlib import Path

import pytest

from harness.builds import load_catalogue
from harness.cells.names import cell_id, repro_command
from harness.errors import EXIT_USAGE, HarnessError, UnknownBuildError, UsageError
from harness.matrix.axes import Selection, select_cells
from harness.matrix.options import SELECTION_OPTIONS, as_pytest_arguments, selection_from
from harness.model import Cell, DemandedBy, Mode

CATALOGUE = load_catalogue()


def select(**changes: object) -> tuple[Cell, ...]:
    return select_cells(Selection(**changes), CATALOGUE)  # type: ignore[arg-type]


def test_the_default_axes() -> None:
    cells = select()
    assert {cell.build for cell in cells} == {"b8929", "b9246", "b10435"}
    assert {cell.environment for cell in cells} == {"cpu", "cuda-spoof"}
    assert {cell.subject for cell in cells} == {"reference"}
    assert {cell.request.mode for cell in cells} == set(Mode)
    assert {cell.request.draft_n_max for cell in cells} == {None, 1, 5, 16}
    assert {cell.request.model for cell in cells} == {"tiny-mtp", "tiny-llama", "tiny-mtp-1b"}
    small = {cell.request.mode for cell in cells if cell.request.model == "tiny-mtp-1b"}
    assert small == {"auto"}
    assert len(cells) == 3 * 2 * (7 * 2 + 1) * 4
    assert len({cell_id(cell) for cell in cells}) == len(cells)


@pytest.mark.parametrize(("profile", "count"), [("smoke", 3), ("full", 7), ("all", 8)])
def test_profiles(profile: str, count: int) -> None:
    assert len({cell.build for cell in select(profile=profile)}) == count


def test_globs_replace_the_profile() -> None:
    cells = select(builds=("b9*",), profile="all")
    assert {cell.build for cell in cells} == {"b9093", "b9246", "b9464"}


def test_a_narrow_selection() -> None:
    (cell,) = select(
        builds=("b9246",),
        environments=("cpu",),
        subjects=("reference@D",),
        modes=("unset",),
        draft_lengths=("default",),
        models=("tiny-mtp-3b",),
        extra_args=("-c", "64"),
    )
    assert cell.subject == "reference@D"
    assert cell.request.mode is None
    assert cell.request.draft_n_max is None
    assert cell.request.model == "tiny-mtp-3b"
    assert cell.request.extra_args == ("-c", "64")


def test_what_is_asked_twice_runs_once() -> None:
    assert select(modes=("mtp", "mtp")) == select(modes=("mtp",))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"builds": ("b1",)}, UnknownBuildError, "b1"),
        ({"profile": "huge"}, UnknownBuildError, "huge"),
        ({"draft_lengths": ("five",)}, UsageError, "'five'"),
        ({"environments": ("moon",)}, UsageError, "'moon'"),
        ({"subjects": ("telepathy",)}, UsageError, "telepathy"),
        ({"models": ("big",)}, UsageError, "'big'"),
        ({"shard": "5/4"}, UsageError, "5/4"),
    ],
)
def test_what_has_no_meaning(
    changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        select(**changes)


def test_a_selection_survives_the_way_through_pytest() -> None:
    selection = Selection(
        profile="all",
        builds=("b9*", "py*"),
        modes=("mtp", " OFF "),
        draft_lengths=("default", "5"),
        extra_args=("--flag", "value with spaces"),
    )
    values: dict[str, object] = {}
    for option in SELECTION_OPTIONS:
        arguments = option.arguments()
        values[arguments["dest"]] = [] if option.many else arguments["default"]
    for word in as_pytest_arguments(selection):
        name, _, value = word.removeprefix("--matrix-").partition("=")
        option = next(option for option in SELECTION_OPTIONS if option.name == name)
        key = option.arguments()["dest"]
        values[key] = [*values[key], value] if option.many else value  # type: ignore[misc]
    assert selection_from(values) == selection


@pytest.fixture
def command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``lines.txt`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("lines.txt").write_text("llama-server -m m.gguf -c 512\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("subject", "contract", "who", "end"),
    [
        ("reference", "", DemandedBy.CONTRACT, ""),
        ("reference@A", "studio", DemandedBy.CONTRACT, ""),
        ("unsloth==2026.6.2", "own", DemandedBy.SUBJECT, "-own"),
        ("command:x", "", DemandedBy.SUBJECT, ""),
        ("argv:lines.txt", "own", DemandedBy.SUBJECT, ""),
        ("argv:lines.txt", "studio", DemandedBy.CONTRACT, "-studio"),
    ],
)
@pytest.mark.usefixtures("command_lines")
def test_who_says_what_must_hold(subject: str, contract: str, who: DemandedBy, end: str) -> None:
    (cell,) = select(
        builds=("b9246",),
        environments=("cpu",),
        subjects=(subject,),
        modes=("mtp",),
        draft_lengths=("5",),
        models=("tiny-mtp",),
        contract=contract,
    )
    assert cell.demanded_by is who
    assert cell_id(cell).endswith(f"-mtp-n5{end}")
    named = f"--contract {contract}" if end else "--contract"
    assert (named in repro_command(cell)) == bool(end)


@pytest.mark.parametrize("subject", ["argv:no.txt", "recording:no.json", "no.txt"])
@pytest.mark.parametrize("contract", ["", "studio", "own"])
def test_a_file_that_there_is_not_is_no_cell(subject: str, contract: str) -> None:
    with pytest.raises(HarnessError, match=r"no\.(txt|json)") as caught:
        select(subjects=("reference", subject), contract=contract)
    assert caught.value.exit_code == EXIT_USAGE


def test_a_contract_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="--contract 'mine': there are studio, own"):
        select(contract="mine")
