"""Workflows against GitHub's own schema, and against the commands that they call."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import make_parser

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"
EVERY = [*WORKFLOWS, ACTION]


def read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def steps(path: Path) -> Iterator[Any]:
    content = read(path)
    for job in content["jobs"].values() if "jobs" in content else [content["runs"]]:
        yield from job["steps"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-workflows", WORKFLOWS), ("vendor.github-actions", [ACTION])],
)
def test_schema(schema: str, files: list[Path]) -> None:
    pytest.importorskip("check_jsonschema", reason="carries GitHub's schemas")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    answer = subprocess.run(
        [*command, *map(str, files)], capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", one) for one in used)


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.name)
def test_no_script_is_put_together_of_expressions(path: Path) -> None:
    assert all("${{" not in step.get("run", "") for step in steps(path))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_least_permissions_and_one_run_per_ref(path: Path) -> None:
    content = read(path)
    assert content["permissions"] == {"contents": "read"}
    assert content["concurrency"]["cancel-in-progress"] == "true"
    assert "github.workflow" in content["concurrency"]["group"]
    assert "github.ref" in content["concurrency"]["group"]
    assert all("timeout-minutes" in job for job in content["jobs"].values())


def test_only_the_nightly_job_may_write_issues() -> None:
    jobs = {
        (path.name, name): job.get("permissions")
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
        if "permissions" in job
    }
    assert jobs == {
        ("matrix.yml", "nightly-issue"): {"contents": "read", "issues": "write"},
    }


def test_three_systems() -> None:
    matrix = read(ROOT / ".github" / "workflows" / "matrix.yml")["jobs"]
    systems = {name.partition("-")[0] for name in matrix["cells"]["strategy"]["matrix"]["os"]}
    assert systems == {"ubuntu", "macos", "windows"}
    heads = read(ROOT / ".github" / "workflows" / "pr-heads.yml")["jobs"]
    assert heads["heads-windows"]["strategy"]["max-parallel"] == "4"
    assert heads["heads-windows"]["steps"] == heads["heads"]["steps"]


def commands(path: Path) -> Iterator[list[str]]:
    """The words of every call of our command, as far as one can tell without a shell."""
    for step in steps(path):
        script = step.get("run", "").replace("\\\n", " ")
        for line in script.splitlines():
            for found in re.finditer(r"(?:\bllama-harness\"?|nox -s matrix --)\s+([a-z-].*)", line):
                if found[0].startswith("llama-harness.") or "venv" in line:
                    continue
                text = re.split(r"\s(?:\|\||\||>>?|;)|\)\"?", found[1])[0]
                words = shlex.split(re.sub(r'"\$\{\w+\[@\]\}"', "", text), comments=True)
                yield ["matrix", *words] if found[0].startswith("nox") else words


def called() -> list[Any]:
    return [
        pytest.param(words, id=f"{path.name}: {' '.join(words)}"[:80])
        for path in EVERY
        for words in commands(path)
    ]


def test_commands_are_found() -> None:
    names = [param.values[0][0] for param in called()]
    assert {"plan", "matrix", "report", "builds", "bisect"} == set(names)


@pytest.mark.parametrize("words", called())
def test_commands_and_their_options_exist(words: list[str]) -> None:
    options, unknown = make_parser(words).parse_known_args(words)
    assert unknown == []
    assert callable(options.func)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_results_are_kept_whatever_the_verdict(path: Path) -> None:
    uploads = [step for step in steps(path) if "upload-artifact" in step.get("uses", "")]
    for step in uploads:
        if "results" in step["with"]["path"] or "bisect" in step["with"]["path"]:
            assert step["if"] == "always()"
