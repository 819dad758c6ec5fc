import argparse
import json
import random
import re
import sys
import time
from pathlib import Path

import pytest

from harness.cli import main
from harness.commands.bisect import add_parser
from harness.errors import EXIT_USAGE, HarnessError
from tests.signals import interrupt
from tests.unit.bisect.shelf import Shelf, make_shelf

NUMBERS = range(20000, 20120, 3)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return make_shelf(tmp_path, NUMBERS)


def ends(shelf: Shelf, *more: str) -> list[str]:
    first, last = shelf.numbers[0], shelf.numbers[-1]
    return ["run", "--good", f"b{first}", "--bad", f"b{last}", "--catalogue-only", *more]


def test_finds_the_window_and_reports_it(shelf: Shelf, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    status, out, err = shelf.bisect(
        *ends(shelf, "--json", "--report", str(report), "--"), *shelf.command("number > 20050")
    )
    assert status == 0, err
    answer = json.loads(out)
    (leg,) = answer["legs"]
    assert leg["last_good"]["point"]["id"] == "b20048"
    assert leg["first_bad"]["point"]["id"] == "b20051"
    assert leg["compare_url"].endswith("/compare/b20048...b20051")
    assert leg["first_bad"]["outcome"]["log"] == ["looked at b20051"]
    assert answer["tested"] == len(shelf.tested()) == len(set(shelf.tested())) <= 8
    assert "window b20048 (good) … b20051 (bad) | 0 steps left" in err
    markdown = report.read_text()
    assert "Fails since `b20051`; the neighbouring build `b20048` is good." in markdown
    assert "Run on each: command" in markdown
    assert "| last good | `b20048` | unknown |" in markdown
    assert "https://github.com/ggml-org/llama.cpp/compare/b20048...b20051" in markdown


def test_a_failure_that_was_mended_is_found_with_the_ends_the_other_way(shelf: Shelf) -> None:
    status, out, err = shelf.bisect(
        "run", "--good", "b20117", "--bad", "b20000", "--catalogue-only", "--",
        *shelf.command("number < 20050"),
    )  # fmt: skip
    assert status == 0, err
    assert "| last bad | `b20048` |" in out
    assert "| first good | `b20051` |" in out


def test_untestable_neighbours_are_named_and_change_the_status(shelf: Shelf) -> None:
    status, out, _ = shelf.bisect(
        *ends(shelf, "--"), *shelf.command("125 if 20045 < number < 20055 else number > 20050")
    )
    assert status == 1
    for skipped in ("b20048", "b20051", "b20054"):
        assert f"- `{skipped}`: untestable, the command ended with status 125" in out


def test_a_history_that_is_not_monotone_is_reported_with_every_boundary(shelf: Shelf) -> None:
    status, out, _ = shelf.bisect(
        *ends(shelf, "--all-boundaries", "1", "--"),
        *shelf.command("20020 < number < 20040 or number > 20080"),
    )
    assert status == 1
    assert "The history is not monotone" in out
    for line in (
        "breaks between `b20018` and `b20021`",
        "is mended between `b20039` and `b20042`",
        "breaks between `b20078` and `b20081`",
    ):
        assert line in out


@pytest.mark.parametrize(
    ("expression", "status", "message"),
    [
        ("0", 3, "the bad end, b20117 under reference, is good"),
        ("1", 3, "the good end, b20000 under reference, is bad"),
        ("125", 3, "the bad end, b20117 under reference, cannot be tested"),
        ("128", 3, "the command asked to stop on b20117 (status 128)"),
        pytest.param(
            "os.kill(os.getpid(), 9)",
            3,
            "the command asked to stop on b20117 (signal 9)",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="signals"),
        ),
        pytest.param(
            "0xC0000005 - 2**32",
            3,
            "the command asked to stop on b20117 (status 0xC0000005)",
            marks=pytest.mark.skipif(sys.platform != "win32", reason="crashes as Windows has them"),
        ),
    ],
)
def test_no_answer_is_one_clear_line(
    shelf: Shelf, expression: str, status: int, message: str
) -> None:
    ended, out, err = shelf.bisect(*ends(shelf, "-q", "--"), *shelf.command(expression))
    assert ended == status
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err


def test_a_command_that_never_ends_is_untestable(shelf: Shelf) -> None:
    status, _, err = shelf.bisect(
        *ends(shelf, "--timeout", "0.5", "--"), *shelf.command("1", sleep_s=60)
    )
    assert status == 3
    assert "the command took longer than 0.5 s" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--good", "b20000", "--bad", "b20000"], "--good and --bad are both b20000"),
        (["--good", "b20000", "--bad", "b20001"], "there is no build 'b20001' to bisect over"),
        (["--good", "b20000", "--bad", "b20003", "--check", "moon"], "--check moon"),
        (["--good", "b20000", "--bad", "b20003", "--draft-max", "x"], "--draft-max x"),
        (["--good", "b20000", "--bad", "b20003", "--build", "b1"], "--over-subject only"),
        (["--good", "b20000", "--bad", "b20003", "--confidence", "2"], "between 0.5 and 1"),
        (["--good", "b20000", "--bad", "b20003", "--mode", "mtp", "--", "x"], "a COMMAND decides"),
        (["--good", "a", "--bad", "b", "--over-subject", "a,b"], "needs --build"),
        (["--good", "b20000", "--bad", "b20003", "--", "/none/x"], "cannot be started"),
    ],
)
def test_wrong_usage_is_one_clear_error(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(shelf.root))
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    options = parser.parse_args(["bisect", "run", "-q", "--catalogue-only", *arguments])
    with pytest.raises(HarnessError, match=re.escape(message)) as raised:
        options.func(options)
    assert raised.value.exit_code == EXIT_USAGE
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("form", ["resume", "replay"])
def test_a_journal_that_is_none_is_one_clear_error(shelf: Shelf, form: str) -> None:
    status, out, err = shelf.bisect(form, "-q", "none.jsonl")
    assert (status, out) == (EXIT_USAGE, "")
    assert "none.jsonl: this journal cannot be used" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: {run,resume,replay}"),
        (["--good", "b1", "--bad", "b2"], "llama-harness bisect run --good B --bad B"),
        (["--bad", "b2", "--", "./works.sh"], "llama-harness bisect run --good B --bad B"),
        (["--resume", "x.jsonl"], "'x.jsonl' (choose from "),
        (["run"], "required: --good, --bad"),
        (["run", "--good", "b1"], "required: --bad"),
        (["resume"], "required: JOURNAL"),
        (["resume", "x.jsonl", "--good", "b1"], "unrecognized arguments: --good b1"),
        (["resume", "x.jsonl", "--mode", "mtp"], "unrecognized arguments: --mode mtp"),
        (["resume", "x.jsonl", "--", "./works.sh"], "unrecognized arguments: "),
        (["replay", "x.jsonl", "--no-lookahead"], "unrecognized arguments: --no-lookahead"),
    ],
)
def test_each_form_takes_its_own_arguments_and_no_others(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bisect", *arguments])
    assert ended.value.code == EXIT_USAGE
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith("llama-harness")
    assert message in said


def test_replay_shows_the_same_and_runs_nothing(shelf: Shelf) -> None:
    journal = ["--journal", "journal.jsonl"]
    _, out, err = shelf.bisect(*ends(shelf, *journal, "--"), *shelf.command("number > 20050"))
    before = shelf.tested()
    status, again, told = shelf.bisect("replay", "journal.jsonl")
    assert status == 0
    assert again == out
    assert [line for line in err.splitlines() if "left" in line] == told.splitlines()[1:]
    assert shelf.tested() == before


def test_interrupted_it_says_how_to_go_on(shelf: Shelf) -> None:
    arguments = ends(shelf, "--journal", "journal.jsonl", "--")
    command = shelf.command("number > 20050", sleep_s=0.3)
    with shelf.start_interruptible(*arguments, *command) as process:
        while not shelf.tested():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        interrupt(process)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "go on with: llama-harness bisect resume" in err
    assert "Traceback" not in err
    status, out, _ = shelf.bisect("resume", "journal.jsonl")
    assert status == 0
    assert "`b20048`" in out


def test_killed_at_ten_random_moments_it_resumes_to_the_same_answer(
    shelf: Shelf, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Every build is tested, so that ten kills do not meet the end of the bisection.
    stride = ("--all-boundaries", "1", "--json")
    expression = "20020 < number < 20040 or number > 20080"
    undisturbed = make_shelf(tmp_path_factory.mktemp("undisturbed"), NUMBERS)
    _, whole, _ = undisturbed.bisect(*ends(shelf, *stride, "--"), *undisturbed.command(expression))
    journal = shelf.root / "journal.jsonl"
    arguments = ends(shelf, *stride, "--journal", str(journal), "--")
    arguments += shelf.command(expression, sleep_s=0.1)
    dice = random.Random()
    for _ in range(10):
        answered, ran = _steps(journal), len(shelf.tested())
        with shelf.start(*arguments) as process:
            # Up to two steps on, then at any moment of the next one; or before any step at all.
            further = dice.randrange(3)
            while process.poll() is None and len(_steps(journal)) < len(answered) + further:
                time.sleep(0.005)
            time.sleep(dice.random() * 0.2)
            assert process.poll() is None, "killed while it runs"
            process.kill()
        assert not set(shelf.tested()[ran:]) & set(answered)
        assert _steps(journal)[: len(answered)] == answered
        if journal.exists() and journal.read_bytes().endswith(b"\n"):
            arguments = ["resume", str(journal), "--json"]
        else:
            journal.unlink(missing_ok=True)
    answered, ran = _steps(journal), len(shelf.tested())
    status, out, err = shelf.bisect(*arguments)
    assert status == 1, err
    assert not set(shelf.tested()[ran:]) & set(answered)
    assert len(_steps(journal)) == len(set(_steps(journal))) == len(NUMBERS)
    assert _answer(out) == _answer(whole)


def _answer(output: str) -> object:
    """Both answers are about stores of their own, which only the command names."""
    document = json.loads(output)
    (leg,) = document["legs"]
    for end in ("last_good", "first_bad"):
        del leg[end]["outcome"]["argv"]
    return document["signature"], document["tested"], document["untestable"], leg


def _steps(journal: Path) -> list[str]:
    """The builds that the journal has an answer for."""
    if not journal.exists():
        return []
    lines = [line for line in journal.read_bytes().split(b"\n")[:-1] if line]
    records = [json.loads(line) for line in lines]
    return [record["trial"]["build"] for record in records if record["type"] == "step"]


def test_the_atlas_says_where_to_begin_and_can_be_switched_off(tmp_path: Path) -> None:
    numbers = range(8900, 9060, 5)
    told: dict[bool, tuple[int, list[str]]] = {}
    for by_atlas in (True, False):
        (tmp_path / str(by_atlas)).mkdir()
        shelf = make_shelf(tmp_path / str(by_atlas), numbers)
        command = shelf.command("number >= 8955")
        off = () if by_atlas else ("--no-atlas",)
        # The command names the flag that it is about.
        status, out, err = shelf.bisect(
            *ends(shelf, "--json", *off, "--"), *command, "--draft-max", "8"
        )
        assert status == 0, err
        (leg,) = json.loads(out)["legs"]
        assert (leg["last_good"]["point"]["id"], leg["first_bad"]["point"]["id"]) == (
            "b8950",
            "b8955",
        )
        told[by_atlas] = len(shelf.tested()), shelf.tested()[:4]
        hinted = "--draft-max lives on one side only: b8950 and b8955 first" in err
        assert hinted is by_atlas
    assert told[True] == (4, ["b9055", "b8900", "b8950", "b8955"])
    assert told[False][0] > 4
