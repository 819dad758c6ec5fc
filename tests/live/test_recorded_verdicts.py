"""Verdicts on recordings that were once wrong, in either direction."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.builds.locations import cache_root
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.gguf_models import ensure_models
from harness.gguf_models.fitting import fitting_model
from harness.model import Cell, CellResult, FailureKind, LoadRequest, Verdict
from harness.report.jsonl import read_results
from harness.shim.recordings import Launch, Recording, Run, load_recording, save_recording
from harness.subjects import demanded_by, open_subject
from harness.subjects.command_lines import words_of
from tests.live.matrix_runs import variables
from tests.live.test_record import record
from tests.unit.builds.stand_in import local_text

pytestmark = pytest.mark.live


NOTHING: Mapping[str, str] = {}


def launch(
    argv: str = "", *, env: Mapping[str, str] = NOTHING, files: Mapping[str, str] = NOTHING
) -> Launch:
    return Launch(argv=argv.split(), env=dict(env), directory="/", time=1, pid=1, files=dict(files))


def saved(folder: Path, launches: Mapping[str, Launch]) -> str:
    """A recording with one start for each build, as a subject."""
    runs = [Run(build=build, status=0, launches=[one]) for build, one in launches.items()]
    save_recording(Recording(application=["app"], runs=runs), folder / "app.json")
    return f"recording:{folder / 'app.json'}"


def judged(build: str, subject: str, workbench: Workbench) -> CellResult:
    with open_subject(subject) as opened:
        model = fitting_model(words_of(opened))
    cell = Cell(
        build=build,
        subject=subject,
        environment="cpu",
        request=LoadRequest(model=model, mode=None),
        demanded_by=demanded_by(subject),
    )
    return run_cell(cell, workbench)


PRESET = "[one]\nmodel = /m/one.gguf\nctx-size = 768\n"
WITH_MTP = f"{PRESET}[two]\nmodel = /m/two.gguf\nspec-type = draft-mtp\n"
NAME = "/home/user/.config/models.ini"


@pytest.mark.parametrize(
    ("preset", "build", "status", "says"),
    [
        (WITH_MTP, "b8929", Verdict.FAIL, "two does not load"),
        (WITH_MTP, "b9246", Verdict.PASS, ""),
        (f"{PRESET}no-such-key = 1\n", "b9246", Verdict.FAIL, "no-such-key"),
        (PRESET, "b8929", Verdict.PASS, ""),
    ],
    ids=["mtp on b8929", "mtp on b9246", "unknown key", "plain"],
)
def test_a_router_is_as_good_as_every_model_of_its_preset(  # noqa: PLR0917 - a row of the table
    preset: str, build: str, status: Verdict, says: str, tmp_path: Path, workbench: Workbench
) -> None:
    one = launch(f"--models-preset {NAME} --port 8080", files={NAME: preset})
    result = judged(build, saved(tmp_path, {build: one}), workbench)
    assert result.status is status, result.failure
    told = [result.failure.message] if result.failure else []
    assert says in "; ".join([*told, *(check.observed for check in result.failed)])


def test_each_build_is_given_the_preset_that_was_written_for_it(
    tmp_path: Path, workbench: Workbench
) -> None:
    line = f"--models-preset {NAME} --port 8080"
    subject = saved(
        tmp_path,
        {
            "b8929": launch(line, files={NAME: PRESET}),
            "b9246": launch(line, files={NAME: WITH_MTP}),
        },
    )
    assert judged("b8929", subject, workbench).status is Verdict.PASS
    newer = judged("b9246", subject, workbench)
    assert newer.status is Verdict.PASS
    assert newer.effective is not None
    assert set(newer.effective["models"]) == {"one", "two"}


WRITES = """
import pathlib, subprocess
known = subprocess.run(["llama-server", "--help"], capture_output=True, text=True).stdout
mtp = "spec-type = draft-mtp" if "draft-mtp" in known else ""
text = f"[*]\\napi-key = very-secret\\n[one]\\nmodel = one.gguf\\n{mtp}\\n"
pathlib.Path("own.ini").write_text(text)
subprocess.run(["llama-server", "--models-preset", "own.ini", "--port", "70000"])
"""


def test_what_an_application_writes_anew_for_each_build_is_kept_without_its_secrets(
    tmp_path: Path,
) -> None:
    words = ["--build", "b8929", "--health-only"]
    script = tmp_path / "writes.py"
    script.write_text(f"import os; os.chdir({str(tmp_path)!r})\n{WRITES}")
    done = record(tmp_path, *words, application=[sys.executable, str(script)])
    assert done.returncode == 0, done.stderr
    texts = {
        run.build: run.launches[0].files["own.ini"]
        for run in load_recording(tmp_path / "app.json").runs
    }
    assert "draft-mtp" not in texts["b8929"]
    assert "draft-mtp" in texts["b9246"]
    assert "very-secret" not in (tmp_path / "app.json").read_text()
    assert "api-key =REDACTED" in texts["b9246"]


@pytest.mark.parametrize(
    ("env", "build", "status"),
    [
        # Stops a renamed build; means the draft length before.
        ({"LLAMA_ARG_DRAFT_MAX": "4"}, "b8929", Verdict.PASS),
        ({"LLAMA_ARG_DRAFT_MAX": "4"}, "b9246", Verdict.FAIL),
        ({"LLAMA_ARG_SPEC_TYPE": "draft-mtp"}, "b9246", Verdict.PASS),
        ({"LLAMA_ARG_SPEC_TYPE": "draft-mtp"}, "b8929", Verdict.FAIL),
        ({"LLAMA_ARG_CTX_SIZE": "many"}, "b9246", Verdict.FAIL),
        ({"LLAMA_ARG_MODEL_URL": "https://example.org/x.gguf"}, "b9246", Verdict.PASS),
    ],
    ids=str,
)
def test_variables_are_a_command_line(
    env: dict[str, str], build: str, status: Verdict, tmp_path: Path, workbench: Workbench
) -> None:
    model = {} if "LLAMA_ARG_MODEL_URL" in env else {"LLAMA_ARG_MODEL": "/m/x.gguf"}
    one = launch(env={**model, **env})
    result = judged(build, saved(tmp_path, {build: one}), workbench)
    assert result.status is status, (result.failure, result.failed)
    if status is Verdict.FAIL:
        assert result.failure is not None
        assert result.failure.argument == next(iter(env))


def test_a_draft_model_named_by_a_variable_is_seen_not_to_draft(
    tmp_path: Path, workbench: Workbench
) -> None:
    env = {"LLAMA_ARG_MODEL": "/m/x.gguf", "LLAMA_ARG_SPEC_DRAFT_MODEL": "/m/d.gguf"}
    result = judged("b9464", saved(tmp_path, {"b9464": launch(env=env)}), workbench)
    assert result.status is Verdict.FAIL
    assert any("never drafts" in check.observed for check in result.failed), result.failed


def test_a_variable_that_a_build_does_not_read_is_told(
    tmp_path: Path, workbench: Workbench
) -> None:
    env = {"LLAMA_ARG_MODEL": "/m/x.gguf", "LLAMA_ARG_NO_MMAP": "1"}
    result = judged("b11434", saved(tmp_path, {"b11434": launch(env=env)}), workbench)
    assert "LLAMA_ARG_NO_MMAP" in {one.word for one in result.silent}


@pytest.mark.parametrize("count", ["-1", "8"])
def test_threads_are_replaced_and_then_known(
    count: str, tmp_path: Path, workbench: Workbench
) -> None:
    one = launch(f"-m x.gguf --threads {count}")
    result = judged("b9246", saved(tmp_path, {"b9246": one}), workbench)
    assert result.status is Verdict.PASS
    assert f"--threads {count}" in {one.given for one in result.replaced}
    assert result.not_seen == ()
    assert result.effective is not None
    assert result.effective.get("threads", 1) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_illegal_instruction_is_not_laid_at_the_applications_door(
    workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = workbench.build("b9246").binary
    program = tmp_path / "llama-server"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *--jinja*) kill -ILL $$;; esac\nexec "{real}" "$@"\n'
    )
    program.chmod(0o755)
    catalogue = tmp_path / "cache" / "catalogue"
    catalogue.mkdir(parents=True)
    (catalogue / "ill.toml").write_text(local_text("ill", program, number=9246))
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "cache"))
    subject = saved(tmp_path, {"ill": launch("-m x.gguf --jinja")})
    with open_workbench() as own:
        result = judged("ill", subject, own)
    assert result.status is Verdict.ERROR
    assert result.failure is not None
    assert result.failure.kind is FailureKind.ILLEGAL_INSTRUCTION


def harness(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        env=variables({"LLAMA_HARNESS_CACHE": str(cache_root())}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def on_two_builds(tmp_path: Path) -> str:
    """Without speculation on b8929, with MTP on b9246, as an application that asks --help."""
    mtp = "-m x.gguf --spec-type draft-mtp --spec-draft-n-max 2"
    return saved(tmp_path, {"b8929": launch("-m x.gguf -c 768"), "b9246": launch(mtp)})


BOTH = ("--build", "b8929", "--build", "b9246")


def test_a_matrix_asks_a_recording_once_with_a_model_that_fits(
    on_two_builds: str, tmp_path: Path
) -> None:
    words = ["--env", "cpu", "-n", "0", "--jsonl", "results.jsonl", "--subject", on_two_builds]
    done = harness(tmp_path, "matrix", *BOTH, *words)
    assert done.returncode == 0, done.stdout
    results = list(read_results([tmp_path / "results.jsonl"]))
    assert [(one.build, one.request.model) for one in results] == [
        ("b8929", "tiny-mtp"),
        ("b9246", "tiny-mtp"),
    ]
    varied = harness(tmp_path, "matrix", *BOTH, "--contract", "studio", "--list", *words)
    assert len(varied.stdout.splitlines()) > 40


def test_check_and_explain_take_the_command_line_of_each_build(
    on_two_builds: str, tmp_path: Path
) -> None:
    done = harness(tmp_path, "check", *BOTH, "--json", "--subject", on_two_builds)
    assert done.returncode == 0, done.stdout
    (line,) = json.loads(done.stdout)["command_lines"]
    assert line["atlas"] is None
    assert line["builds"]["b8929"]["settings"]["context"] == 768
    assert line["builds"]["b9246"]["settings"]["draft_max"] == 2
    bad = {"b8929": launch("-m x.gguf"), "b9246": launch("-m x.gguf --spec-replace a b")}
    subject = saved(tmp_path, bad)
    told = harness(tmp_path, "explain", *BOTH, "--subject", subject)
    assert told.returncode == 1, told.stdout
    assert "--spec-replace" in told.stdout
    assert "b8929" not in told.stdout.splitlines()[0]


def test_a_profile_is_recorded_as_it_is_judged(tmp_path: Path) -> None:
    done = harness(tmp_path, "record", "-q", "--", "true")
    assert done.returncode == 2
    assert "--profile" in done.stderr
    model = ensure_models(cache_root() / "models")["tiny-llama"].path
    words = ["--profile", "smoke", "--health-only", "-q", "-o", "app.json"]
    app = ["llama-server", "-m", str(model), "--port", "70000"]
    done = harness(tmp_path, "record", *words, "--", *app)
    assert done.returncode == 0, done.stderr
    runs = load_recording(tmp_path / "app.json").runs
    assert [run.build for run in runs] == ["b8929", "b9246", "b10435"]
