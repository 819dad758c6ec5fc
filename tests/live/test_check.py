"""Command lines of real reports on real builds: where they die, where they do nothing, and why."""

from pathlib import Path

import pytest

from harness.cli import main

pytestmark = pytest.mark.live

REPORTS = Path(__file__).parents[2] / "fixtures" / "argv"
BUILDS = ("--build", "b8929", "--build", "b9246", "--build", "py0.3.16", "--build", "b11434")


@pytest.mark.parametrize(
    ("report", "fine_on", "blamed"),
    [
        ("unsloth-5231.txt", {"b8929"}, "has removed --spec-ngram-size-n"),
        (
            "textgen-7541.json",
            {"b8929"},
            "--draft-max (since b8955, #22397); write --spec-ngram-mod-n-max",
        ),
        ("lemonade-2124.json", {"b8929"}, "write --spec-ngram-mod-n-match 24 instead"),
        ("llama-swap-283.yaml", {"py0.3.16"}, "took '--ctx-size' for it; write --flash-attn on"),
        ("textgen-7219.txt", {"b8929", "b9246", "b11434"}, "-fa is a switch on py0.3.16"),
        ("unsloth-5575.txt", {"b9246", "b11434"}, "does not know --spec-type"),
        ("llama.cpp-25345.txt", {"b9246"}, "add --spec-type draft-simple"),
    ],
)
def test_a_report(
    report: str, fine_on: set[str], blamed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"argv:{REPORTS / report}"
    assert main(["check", *BUILDS, "--subject", spec]) == 1
    table = capsys.readouterr().out.splitlines()
    fine = {line.split()[1] for line in table if line.startswith("ok ")}
    failed = {line.split()[1] for line in table if line.startswith("FAIL ")}
    assert fine == fine_on
    assert fine | failed == {"b8929", "b9246", "py0.3.16", "b11434"}
    assert main(["explain", *BUILDS, "--subject", spec]) == 1
    assert blamed in capsys.readouterr().out


def test_a_command_line_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--spec-type", "draft-mtp", "--spec-draft-n-max", "4"]
    assert main(["check", "--build", "b9246", "--", *words]) == 0
    assert "starts, with draft-mtp up to 4" in capsys.readouterr().out
    assert main(["explain", "--build", "b9246", "--", *words]) == 0
    assert capsys.readouterr().out == ""


def test_a_command_line_is_explained_on_the_builds_that_check_tries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "--", "--draft-max", "8"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        "b9093",
        "  b9093 has removed --draft-max (since b8955, #22397); write --spec-draft-n-max 8 instead",
        "  enough to fail: --draft-max 8 (1 command line tried)",
    ]
    assert told[3:] == [f"{build}: the same" for build in ("b9246", "b9464", "b10435", "b11434")]


def test_a_flag_that_is_refused_by_name_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is launched without it: no server refuses what it was not given."""
    words = ["-c", "512", "--jinja", "--draft-max", "8"]
    assert main(["explain", "--build", "b9246", "--env", "cpu", "--", *words]) == 1
    told = capsys.readouterr().out
    assert told.endswith("  enough to fail: --draft-max 8 (2 command lines tried)\n")


def test_a_flag_that_every_launch_needs_can_be_at_fault(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-c", "512", "--port", "abc"]
    assert main(["explain", "--build", "b9246", "--env", "cpu", "--", *words]) == 1
    assert "  enough to fail: --port abc (" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["-ngl", "99"], ["--timeout", "5"]])
def test_what_cannot_be_told_is_fine_unless_it_must_be_told(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--build", "b9246", "--", "-c", "512", *words]) == 0
    assert words[0] in capsys.readouterr().out
    assert main(["check", "--strict", "--build", "b9246", "--", "-c", "512", *words]) == 3


def test_a_preset_is_read_from_wherever_it_lies(capsys: pytest.CaptureFixture[str]) -> None:
    preset = str(REPORTS / "preset.ini")
    assert main(["check", "--build", "b9246", preset]) == 1
    out = capsys.readouterr().out
    assert "b9246 does not know what 'top_p' is" in out
    assert "write top-p = 0.9 instead" in out
