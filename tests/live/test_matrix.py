"""The matrix command from the outside: what it launches, writes, prints and ends with."""

import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness import cli
from harness.model import CellResult, DraftRange, Verdict
from tests.live.matrix_runs import ROOT, Run, run_matrix

pytestmark = pytest.mark.live

MTP_BUILDS = ("b9246", "b10435", "b11434")
DRAFT_BUILDS = ("py0.3.16", "b8929", "b9246", "b9464")

FIELDS = {
    "build", "flavour", "emulated", "subject", "environment", "request", "argv", "resolved_mode",
    "status", "checks", "effective", "witnesses", "startup_ms", "wall_ms", "failure", "repro",
}  # fmt: skip
REQUEST_FIELDS = {"mode", "draft_n_max", "model", "extra_args"}
CHECK_FIELDS = {"name", "expected", "observed", "ok"}
FAILURE_FIELDS = {"kind", "argument", "message", "log_tail", "explained"}


def repeated(flag: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]


@pytest.fixture(scope="module")
def mtp_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    words = [
        *repeated("--build", MTP_BUILDS),
        *repeated("--mode", ["mtp"]),
        *repeated("--draft-max", ["default", "5"]),
        *("--model", "tiny-mtp", "-n", "2"),
    ]
    return run_matrix(tmp_path_factory.mktemp("mtp"), words)


@pytest.fixture(scope="module")
def draft_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    words = [
        *repeated("--build", DRAFT_BUILDS),
        *repeated("--mode", ["draft", "ngram"]),
        *("--draft-max", "5", "--model", "tiny-llama", "--env", "cpu", "-n", "0"),
    ]
    return run_matrix(tmp_path_factory.mktemp("draft"), words)


@pytest.fixture(scope="module")
def red_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Bug D on a build without ngram-mod, and the fix beside it."""
    return run_matrix(tmp_path_factory.mktemp("red"), RED)


RED = [
    *repeated("--subject", ["reference@D", "reference"]),
    *("--build", "py0.3.16", "--mode", "ngram", "--draft-max", "default"),
    *("--model", "tiny-llama", "--env", "cpu", "-n", "0"),
]


def only(results: Iterable[CellResult], **wanted: object) -> CellResult:
    found = [
        result
        for result in results
        if all(
            getattr(result, name, getattr(result.request, name, None)) == value
            for name, value in wanted.items()
        )
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("build", MTP_BUILDS)
@pytest.mark.parametrize("environment", ["cpu", "cuda-spoof"])
def test_mtp_of_five_is_effective_by_two_witnesses(
    mtp_run: Run, build: str, environment: str
) -> None:
    result = only(mtp_run.results, build=build, environment=environment, draft_n_max=5)
    assert result.status is Verdict.PASS
    assert result.drafts is not None
    assert set(result.drafts) == {"draft-mtp"}
    assert result.drafts["draft-mtp"].n_max == 5
    assert len(result.witnessed_by["draft-mtp"]) >= 2


@pytest.mark.parametrize("build", MTP_BUILDS)
def test_the_default_length_depends_on_the_gpu(mtp_run: Run, build: str) -> None:
    lengths = {}
    for environment in ("cpu", "cuda-spoof"):
        result = only(mtp_run.results, build=build, environment=environment, draft_n_max=None)
        assert result.drafts is not None
        lengths[environment] = result.drafts["draft-mtp"].n_max
    assert lengths == {"cpu": 3, "cuda-spoof": 2}


@pytest.mark.parametrize("build", DRAFT_BUILDS)
def test_a_draft_model_drafts_five_at_a_time_by_two_witnesses(draft_run: Run, build: str) -> None:
    result = only(draft_run.results, build=build, mode="draft")
    assert result.status is Verdict.PASS
    assert result.drafts is not None
    assert set(result.drafts) == {"draft-simple"}
    assert result.drafts["draft-simple"].n_max == 5
    witnesses = result.witnessed_by["draft-simple"]
    assert len(witnesses) >= 2
    counted = {one.witness for one in result.witnesses if one.basis == "behaviour" and one.speaks}
    assert counted & set(witnesses)


def test_ngram_on_the_last_legacy_build(draft_run: Run) -> None:
    result = only(draft_run.results, build="b8929", mode="ngram")
    assert result.status is Verdict.PASS
    assert result.drafts == {"ngram-mod": DraftRange(n_min=48, n_max=64)}
    assert len(result.witnessed_by["ngram-mod"]) >= 2


def test_ngram_where_there_is_none_is_degraded_and_says_why(draft_run: Run) -> None:
    result = only(draft_run.results, build="py0.3.16", mode="ngram")
    assert result.status is Verdict.DEGRADED
    assert result.drafts == {}
    assert result.reason


def test_json_lines_have_the_documented_fields(mtp_run: Run, red_run: Run) -> None:
    rows: list[dict[str, Any]] = [
        json.loads(line)
        for run in (mtp_run, red_run)
        for line in run.jsonl.read_text(encoding="utf-8").splitlines()
    ]
    assert len(rows) == 14
    jsonschema = pytest.importorskip("jsonschema", reason="checks against the schema")
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text(encoding="utf-8"))
    for row in rows:
        jsonschema.Draft202012Validator(schema).validate(row)
        assert set(row) >= FIELDS
        assert set(row["request"]) >= REQUEST_FIELDS
        assert all(set(check) >= CHECK_FIELDS for check in row["checks"])
        for effective in (row["effective"] or {}).get("speculation", {}).values():
            assert set(effective) == {"n_min", "n_max"}
        if row["failure"] is not None:
            assert set(row["failure"]) == FAILURE_FIELDS
        assert row["emulated"] is False
        assert row["flavour"] in {"legacy", "renamed"}
        assert row["wall_ms"] > 0
    assert {row["request"]["draft_n_max"] for row in rows} == {None, 5}
    assert any(row["failure"] for row in rows)


def test_each_repro_command_selects_its_one_cell(
    mtp_run: Run, draft_run: Run, red_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [result for run in (mtp_run, draft_run, red_run) for result in run.results]
    assert len(results) == 22
    for result in results:
        program, *words = shlex.split(result.repro)
        assert program == "llama-harness"
        assert cli.main([*words, "--list"]) == 0
        assert capsys.readouterr().out.splitlines() == [result.id]


def test_the_table_is_printed_once_per_environment(mtp_run: Run) -> None:
    assert mtp_run.status == 0, mtp_run.stdout + mtp_run.stderr
    cpu, spoof = mtp_run.stdout.split("llama-harness matrix", 1)[1].split("cuda-spoof (", 1)
    for build in MTP_BUILDS:
        assert re.search(rf"\|{build} *\| tiny-mtp *\| mtp 0…\{{3,5\}} *\|", cpu)
        assert re.search(rf"\|{build} *\| tiny-mtp *\| mtp 0…\{{2,5\}} *\|", spoof)
    assert "12 cells: 12 pass" in mtp_run.stdout
    assert "\x1b[" not in mtp_run.stdout


def test_degraded_cells_do_not_fail_a_run(draft_run: Run) -> None:
    assert draft_run.status == 0, draft_run.stdout + draft_run.stderr
    assert "8 cells: 7 pass, 1 degraded" in draft_run.stdout


def test_a_failing_cell_is_told_in_full(red_run: Run) -> None:
    assert red_run.status == 1
    failed = only(red_run.results, status=Verdict.FAIL)
    assert failed.subject == "reference@D"
    assert failed.failure is not None
    assert failed.failure.argument == "--spec-type"
    told = red_run.stdout
    assert "argv: llama-server -m " in told
    assert ">>> --spec-type <<<" in told
    assert "offending: --spec-type" in told
    assert f"run it alone: {failed.repro}" in told
    assert failed.failure.log_tail[-1] in told
    assert "2 cells: 1 degraded, 1 fail" in told
    assert "Traceback" not in told + red_run.stderr


def test_junit_names_every_cell(red_run: Run) -> None:
    made = red_run.junit.with_name("made.xml")
    assert cli.main(["report", "junit", str(red_run.jsonl), "-o", str(made)]) == 0
    assert red_run.junit.read_bytes() == made.read_bytes()
    cases = ET.parse(red_run.junit).getroot().findall(".//testcase")
    assert {case.get("name") for case in cases} == {result.id for result in red_run.results}
    failed = [case for case in cases if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == [only(red_run.results, status=Verdict.FAIL).id]


def test_last_failed_and_names_select_cells(red_run: Run) -> None:
    directory = red_run.jsonl.parent
    failed = only(red_run.results, status=Verdict.FAIL).id
    again = run_matrix(directory, [*RED, "--lf"])
    assert again.status == 1
    assert [result.id for result in again.results] == [failed]
    named = run_matrix(directory, [*RED, "-k", "not D-ngram"])
    assert named.status == 0
    assert [result.subject for result in named.results] == ["reference"]


def test_a_failure_that_ends_a_run_of_workers_is_a_failure(red_run: Run) -> None:
    ended = run_matrix(red_run.jsonl.parent, [*RED, "-n", "2", "--maxfail=1"])
    assert ended.status == 1
    assert "interrupted;" not in ended.stdout


def test_names_of_all_cells_that_ever_ran_are_kept_only_for_who_asks(red_run: Run) -> None:
    directory = red_run.jsonl.parent
    kept = directory / "cache" / "v" / "cache"
    assert {path.name for path in kept.iterdir()} == {"lastfailed"}
    assert run_matrix(directory, [*RED, "-k", "not D-ngram", "--nf"]).status == 0
    assert len(json.loads((kept / "nodeids").read_text(encoding="utf-8"))) == 1


def test_a_build_that_cannot_be_had_is_no_verdict(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    catalogue = cache / "catalogue"
    catalogue.mkdir(parents=True)
    (catalogue / "gone.toml").write_text(
        'id = "gone"\nnumber = 1\nnumbered = false\n\n'
        f'[[sources]]\nkind = "local"\npath = {json.dumps(str(tmp_path / "no-such-server"))}\n',
        encoding="utf-8",
    )
    words = ["--build", "gone", "--mode", "off", "--draft-max", "default", "--env", "cpu"]
    run = run_matrix(tmp_path, words, {"LLAMA_HARNESS_CACHE": str(cache)})
    assert run.status == 3
    assert {result.status for result in run.results} == {Verdict.ERROR}
    assert "llama-harness: gone: " in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert not (cache / "builds").exists() or not list((cache / "builds").iterdir())
