"""Cells without a server: ids, commands, ports, and what comes of builds that cannot be had."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import cli
from harness.builds import load_catalogue
from harness.builds.manifest import Manifest
from harness.cells.launching import has_few_http_threads, listening_port, switches
from harness.cells.names import cell_id, repro_command
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.cli import make_parser
from harness.errors import SubjectError
from harness.flags.arguments import read_arguments
from harness.gguf_models.models import MODELS
from harness.matrix.axes import select_cells
from harness.matrix.options import selection_from
from harness.model import Cell, FailureKind, LaunchPlan, LaunchTarget, LoadRequest, Verdict
from tests.unit.era import MTP, NEWEST, capabilities


def cell(**changes: object) -> Cell:
    values: dict[str, object] = {"model": "tiny-mtp", "mode": "mtp", "draft_n_max": 5}
    return Cell(
        build=str(changes.pop("build", "b9246")),
        subject=str(changes.pop("subject", "reference")),
        environment=str(changes.pop("environment", "cuda-spoof")),
        request=LoadRequest(**{**values, **changes}),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("one", "readable"),
    [
        (cell(), "b9246-cuda_spoof-reference-mtp-n5"),
        (cell(draft_n_max=None), "b9246-cuda_spoof-reference-mtp-ndefault"),
        (cell(mode=None, environment="cpu"), "b9246-cpu-reference-unset-n5"),
        (cell(model="tiny-llama"), "b9246-cuda_spoof-reference-mtp-n5-tiny_llama"),
        (cell(context_length=64), "b9246-cuda_spoof-reference-mtp-n5-c=64"),
        (
            cell(extra_args=("--spec-type", "ngram-mod")),
            "b9246-cuda_spoof-reference-mtp-n5-x=__spec_type-x=ngram_mod",
        ),
    ],
)
def test_readable_ids(one: Cell, readable: str) -> None:
    assert cell_id(one) == readable


@pytest.mark.parametrize(
    "one",
    [
        cell(),
        cell(draft_n_max=None, mode=None),
        cell(mode="mtp+ngram", environment="cpu", subject="reference@D"),
        cell(mode=" MTP ", model="tiny-llama"),
        cell(extra_args=("--spec-type", "ngram-mod", "-c", "64")),
        cell(context_length=4096, cache_type="q8_0", chat_template="chatml"),
        cell(mode="--x", chat_template="--y"),
    ],
)
def test_the_command_of_a_cell_selects_it_alone(
    one: Cell, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = shlex.split(repro_command(one))
    assert program == "llama-harness"
    assert cli.main([*words, "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [cell_id(one)]


@pytest.mark.parametrize(
    ("argv", "port"),
    [
        (("--port", "8080"), 8080),
        (("--port", "1", "--port", "2"), 2),
        ((), 4242),
        (("-c", "512"), 4242),
        (("--port=8080",), 4242),
        (("--port",), 4242),
        (("--port", "many"), 0),
        (("--port", "70000"), 0),
    ],
)
def test_the_port_that_argv_makes_a_server_listen_on(argv: tuple[str, ...], port: int) -> None:
    assert listening_port(argv, {"LLAMA_ARG_PORT": "4242"}) == port


@pytest.mark.parametrize(
    ("argv", "few"),
    [
        ((), False),
        (("--threads-http", "1"), True),
        (("--threads-http", "3"), True),
        (("--threads-http", "1", "--threads-http", "4"), False),
        (("--threads-http", "-1"), False),
        (("--threads-http", "x"), False),
        (("--threads-http", "+1"), True),
        (("--threads-http", "03x"), True),
        (("--threads-http", "0"), False),
        (("--threads-http", "1" * 5000), False),
    ],
)
def test_what_has_few_threads_for_http(argv: tuple[str, ...], *, few: bool) -> None:
    assert has_few_http_threads(argv, {}) is few
    assert has_few_http_threads((), {"LLAMA_ARG_THREADS_HTTP": "1"})


def test_own_variables_leave_what_argv_sets_to_argv() -> None:
    def names(*argv: str) -> set[str]:
        return set(switches(1, read_arguments(argv, capabilities(NEWEST))))

    every = names()
    assert {"LLAMA_ARG_PORT", "LLAMA_ARG_THREADS", "LLAMA_ARG_ENDPOINT_METRICS"} <= every
    assert every - names("--port", "1", "-t", "2") == {"LLAMA_ARG_PORT", "LLAMA_ARG_THREADS"}
    assert every - names("--metrics") == {"LLAMA_ARG_ENDPOINT_METRICS"}
    assert every - names("-lv", "1") == {"LLAMA_ARG_LOG_VERBOSITY"}
    assert names("--no-such-flag") == every


@dataclass
class Stubborn:
    """A subject that never plans."""

    name: str = "stubborn"
    asked: list[tuple[str | None, Path]] = field(default_factory=list)

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        self.asked.append((request.mode, target.binary))
        raise SubjectError("stubborn: it will not")


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    from harness.cells.qualification import open_store

    with open_workbench(store=open_store(tmp_path_factory.mktemp("store"))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("one", "kind", "words"),
    [
        (cell(model="no-model"), FailureKind.HARNESS, "no model is named no-model"),
        (cell(environment="moon"), FailureKind.ENVIRONMENT, "no environment is named 'moon'"),
        (cell(build="b1"), FailureKind.BUILD, "b1"),
    ],
)
def test_what_cannot_be_had_is_no_verdict(
    workbench: Workbench, one: Cell, kind: FailureKind, words: str
) -> None:
    result = run_cell(one, workbench)
    assert result.status is Verdict.ERROR
    assert result.failure is not None
    assert result.failure.kind is kind
    assert words in result.failure.message
    assert result.effective is None
    assert result.id == cell_id(one)


def test_a_subject_that_does_not_plan(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from harness.builds import AcquiredBuild

    acquired = AcquiredBuild(
        build=workbench.catalogue.get(MTP),
        binary=tmp_path / "never-started",
        env={},
        manifest=Manifest(
            build=MTP,
            number=1,
            source="local",
            asset="",
            sha256="",
            binary="never-started",
            env={},
            details={},
            reported_version="",
            seconds=0,
            acquired=datetime.now(UTC),
            files={},
        ),
    )
    monkeypatch.setattr(workbench, "build", lambda _: acquired)
    monkeypatch.setattr(workbench, "capabilities", lambda *_: capabilities(MTP))
    stubborn = Stubborn()
    workbench.add_subject(stubborn)
    result = run_cell(cell(subject="stubborn", environment="cpu"), workbench)
    assert result.status is Verdict.ERROR
    assert result.failure is not None
    assert result.failure.kind is FailureKind.SUBJECT
    assert result.failure.message == "stubborn: it will not"
    assert stubborn.asked == [("mtp", acquired.binary)]
    unknown = run_cell(cell(subject="telepathy", environment="cpu"), workbench)
    assert unknown.failure is not None
    assert unknown.failure.kind is FailureKind.SUBJECT
    assert "telepathy" in unknown.failure.message


TEXT = st.text(max_size=6)
REQUESTS = st.builds(
    LoadRequest,
    model=st.sampled_from(("tiny-mtp", "tiny-llama", "c=64", "x=a", "")),
    mode=st.one_of(st.none(), TEXT, st.sampled_from(("unset", "mtp", " mtp", "a-b", "a_b"))),
    draft_n_max=st.one_of(st.none(), st.integers(-3, 20)),
    extra_args=st.lists(TEXT, max_size=2).map(tuple),
    context_length=st.sampled_from((512, 64)),
    cache_type=st.one_of(st.none(), TEXT),
    chat_template=st.one_of(st.none(), TEXT),
)
CELLS = st.builds(
    Cell,
    build=TEXT,
    subject=TEXT,
    environment=st.sampled_from(("cpu", "cuda-spoof")),
    request=REQUESTS,
)


@given(CELLS, CELLS)
def test_different_cells_have_different_ids(one: Cell, other: Cell) -> None:
    assert (cell_id(one) == cell_id(other)) == (one == other)
    assert cell_id(one) == cell_id(one).strip()
    assert cell_id(one).isascii()


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        LoadRequest,
        model=st.sampled_from(tuple(MODELS)),
        mode=st.one_of(st.none(), TEXT.filter(lambda mode: mode != "unset")),
        draft_n_max=st.one_of(st.none(), st.integers(-3, 20)),
        extra_args=st.lists(TEXT, max_size=2).map(tuple),
        context_length=st.integers(1, 9000),
        cache_type=st.one_of(st.none(), TEXT.filter(lambda name: name != "default")),
        chat_template=st.one_of(st.none(), TEXT.filter(lambda name: name != "default")),
    )
)
def test_the_command_of_any_cell_selects_exactly_that_cell(request: LoadRequest) -> None:
    wanted = Cell(build="b9246", subject="reference", environment="cpu", request=request)
    words = shlex.split(repro_command(wanted))[1:]
    options, unknown = make_parser(words).parse_known_args(words)
    assert not unknown
    assert select_cells(selection_from(vars(options)), load_catalogue()) == (wanted,)
