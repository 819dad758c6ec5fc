"""Bisections over the real builds of the catalogue: the windows hold what upstream changed."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main

pytestmark = pytest.mark.live

Output = pytest.CaptureFixture[str]


def argv_subject(directory: Path, *arguments: str) -> str:
    """A subject that always gives this command line."""
    file = directory / "argv.json"
    file.write_text(json.dumps(["-m", "{model}", "--port", "{port}", "-c", "512", *arguments]))
    return f"argv:{file}"


def bisect(capsys: Output, *arguments: str) -> tuple[int, dict[str, Any]]:
    return answer_of(capsys, "run", "--catalogue-only", *arguments)


def answer_of(capsys: Output, *arguments: str) -> tuple[int, dict[str, Any]]:
    form, *rest = arguments
    status = main(["bisect", form, "-q", "--json", *rest])
    return status, json.loads(capsys.readouterr().out)


def window(answer: dict[str, Any]) -> tuple[int, int]:
    """The build numbers on the two sides of the change, older first."""
    (leg,) = answer["legs"]
    sides = (leg["last_good"]["point"]["number"], leg["first_bad"]["point"]["number"])
    return min(sides), max(sides)


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that upstream changed in build ``since``, and a command line that shows it."""

    since: int
    good: str
    bad: str
    arguments: tuple[str, ...]
    mode: str
    check: str
    signature: str


DRAFT_MAX_IS_REFUSED = Change(
    since=8955,
    good="b8929",
    bad="b9246",
    arguments=("--draft-max", "8"),
    mode="off",
    check="starts",
    signature="starts removed-argument --draft-max",
)
DEFAULT_LENGTH_IS_16 = Change(
    since=9235,
    good="b9246",
    bad="b9093",
    arguments=("-md", "{draft_model}"),
    mode="draft",
    check="draft-n-max",
    signature="draft-n-max",
)
DRAFT_MODEL_ALONE_DOES_NOT_DRAFT = Change(
    since=9464,
    good="b9246",
    bad="b9464",
    arguments=("-md", "{draft_model}", "--spec-draft-n-max", "3"),
    mode="draft",
    check="implementations",
    signature="implementations -md",
)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(DRAFT_MAX_IS_REFUSED, id="draft-max-is-refused"),
        pytest.param(DEFAULT_LENGTH_IS_16, id="default-length-is-16"),
        pytest.param(DRAFT_MODEL_ALONE_DOES_NOT_DRAFT, id="draft-model-alone-does-not-draft"),
    ],
)
def test_the_window_holds_what_upstream_changed(
    change: Change, tmp_path: Path, capsys: Output
) -> None:
    status, answer = bisect(
        capsys, "--good", change.good, "--bad", change.bad,
        "--subject", argv_subject(tmp_path, *change.arguments),
        "--mode", change.mode, "--model", "tiny-llama", "--check", change.check,
        "--journal", str(tmp_path / "journal.jsonl"),
    )  # fmt: skip
    assert status == 0
    assert answer["signature"] == change.signature
    older, newer = window(answer)
    assert older < change.since <= newer
    (leg,) = answer["legs"]
    assert leg["capabilities"]["defaults"] or leg["capabilities"]["added"]
    assert leg["first_bad"]["outcome"]["argv"][0] == "llama-server"


def test_a_command_asks_the_real_program(tmp_path: Path, capsys: Output) -> None:
    script = tmp_path / "has_draft_max.py"
    script.write_text(
        "import os, subprocess, sys\n"
        "answer = subprocess.run([os.environ['LLAMA_SERVER'], '--draft-max', '8', '--version'],"
        " capture_output=True)\n"
        "sys.exit(answer.returncode)\n"
    )
    journal = str(tmp_path / "journal.jsonl")
    status, answer = bisect(
        capsys, "--good", "b8929", "--bad", "b9246", "--journal", journal,
        "--", sys.executable, str(script),
    )  # fmt: skip
    assert status == 0
    assert window(answer) == (8929, 9093)


def test_over_variants_of_the_reference_at_one_build(tmp_path: Path, capsys: Output) -> None:
    status, answer = bisect(
        capsys, "--over-subject", "reference@E,reference", "--build", "b9246",
        "--good", "reference", "--bad", "reference@E",
        "--mode", "none", "--model", "tiny-mtp-3b", "--check", "implementations",
        "--journal", str(tmp_path / "journal.jsonl"),
    )  # fmt: skip
    assert status == 0
    assert answer["blame"] == "subject"
    (leg,) = answer["legs"]
    assert "observed draft-mtp" in leg["first_bad"]["outcome"]["reason"]
    assert leg["compare_url"] is None


@pytest.mark.parametrize(
    ("cell", "versions"),
    [
        (
            ("b9246", "none", "tiny-mtp-3b", "implementations"),
            ("2026.8.21", "2026.8.22", "2026.9.1"),
        ),
        (
            ("b8929", "auto", "tiny-mtp-3b", "implementations"),
            ("2026.6.6", "2026.6.7", "2026.6.8"),
        ),
        (("b9246", "mtp", "tiny-llama", "starts"), ("2026.5.10", "2026.6.1", "2026.6.2")),
    ],
)
def test_over_releases_of_an_application(
    cell: tuple[str, str, str, str],
    versions: tuple[str, str, str],
    tmp_path: Path,
    capsys: Output,
) -> None:
    build, mode, model, check = cell
    subjects = [f"unsloth=={version}" for version in versions]
    status, answer = bisect(
        capsys, "--over-subject", ",".join(subjects), "--build", build,
        "--good", subjects[-1], "--bad", subjects[0],
        "--mode", mode, "--model", model, "--check", check,
        "--journal", str(tmp_path / "journal.jsonl"),
    )  # fmt: skip
    assert status == 0
    (leg,) = answer["legs"]
    assert leg["first_bad"]["point"]["id"] == subjects[1]
    assert leg["last_good"]["point"]["id"] == subjects[2]


@pytest.mark.parametrize(
    ("variant", "asked", "blame"),
    [
        # Bug E reads `none` as auto; every build with --spec-default or MTP then speculates.
        ("E", ("none", "implementations"), "subject"),
        # Bug D names ngram-mod on every build; only one that lacks it refuses to start.
        ("D", ("ngram", "starts"), "both together"),
    ],
)
def test_both_axes_tell_which_one_a_failure_is_due_to(
    variant: str, asked: tuple[str, str], blame: str, tmp_path: Path, capsys: Output
) -> None:
    mode, check = asked
    good, bad = ("b8929", "b9246") if variant == "E" else ("b8929", "py0.3.16")
    status, answer = bisect(
        capsys, "--over-subject", f"reference,reference@{variant}", "--good", good, "--bad", bad,
        "--good-subject", "reference", "--bad-subject", f"reference@{variant}",
        "--mode", mode, "--model", "tiny-mtp-3b", "--check", check,
        "--journal", str(tmp_path / "journal.jsonl"),
    )  # fmt: skip
    assert status == 0
    assert answer["blame"] == blame
    assert [leg["axis"] for leg in answer["legs"]] == (
        ["build", "subject"] if blame == "both together" else ["subject"]
    )


def test_an_interrupted_cell_bisection_goes_on_where_it_was(tmp_path: Path, capsys: Output) -> None:
    subject = argv_subject(tmp_path, "--draft-max", "8")
    journal = tmp_path / "journal.jsonl"
    arguments = ("--subject", subject, "--mode", "off", "--model", "tiny-llama")
    more = ("--check", "starts", "--journal", str(journal))
    _, whole = bisect(capsys, "--good", "b8929", "--bad", "b9246", *arguments, *more)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:-10])
    status, again = answer_of(capsys, "resume", str(journal))
    assert status == 0
    assert again["tested"] == whole["tested"]
    assert window(again) == window(whole)
    assert journal.read_bytes().splitlines(keepends=True)[:2] == lines[:2]
