"""The commands that answer from the atlas."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK, EXIT_USAGE

Output = pytest.CaptureFixture[str]


def told(capsys: Output, *words: str) -> tuple[int, list[str]]:
    status = main(list(words))
    return status, capsys.readouterr().out.splitlines()


def document(capsys: Output, *words: str) -> tuple[int, Any]:
    status = main(list(words))
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = tmp_path / "store"
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(store))
    monkeypatch.chdir(tmp_path)
    return store


def test_the_life_of_a_flag(capsys: Output) -> None:
    status, lines = told(capsys, "flag", "--draft-max")
    assert status == EXIT_OK
    assert lines == [
        "--draft-max: b4159 … b8954, removed since b8955, #22397",
        "  --draft, --draft-n, --draft-max N  (LLAMA_ARG_DRAFT_MAX)",
        "    b4159  2024-11-25  added: default 16  #10362",
        "    b4311  2024-12-12  variable LLAMA_ARG_DRAFT_MAX  #10801",
        (
            "    b8955  2026-04-28  removed: --help only says so, and using it stops the start; "
            "write --spec-draft-n-max or --spec-ngram-mod-n-max  #22397"
        ),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--no-mmap",), "after b10867, by b10878  2026-09-09  gone: an unknown flag stops the "),
        (("-fa",), "b6325  2025-08-30  takes one value (FA), not no value; default off → auto"),
        (("-hf",), "-hf: b4470 on, #11195"),
        (("LLAMA_ARG_DRAFT_MAX",), "LLAMA_ARG_DRAFT_MAX: b4311 … b8954, removed since b8955"),
        (("llama_arg_draft_max",), "LLAMA_ARG_DRAFT_MAX: b4311 … b8954, removed since b8955"),
        (("draft-max",), "--draft-max: b4159 … b8954, removed since b8955"),
        (("--draft_max",), "--draft_max: b4159 … b8954, removed since b8955"),
        (("--draft-max", "8"), "--draft-max: b4159 … b8954, removed since b8955"),
        (("--rpc",), "b3683 … b11149: only where rpc is compiled in"),
        (("--tensor-read-lazy",), "gone: an unknown flag stops the start; write --lazy-mode"),
        (("--lazy-mode",), "after b10683, by b10705  2026-08-31  added in place of --tensor-rea"),
        (("--webui",), "b9726  2026-06-19  --webui now of --ui"),
        (("--temp",), "after b11076, by b11095  2026-09-22  variable LLAMA_ARG_TEMPERATURE"),
        (("-md",), "b9464  2026-06-01  note: a draft model without --spec-type is loaded and nev"),
        (("--spec-type", "draft"), "--spec-type draft: b9109 … b9130"),
        (("draft", "--spec-type"), "value draft renamed draft-simple  #22964"),
        (("draft-mtp",), "--spec-type draft-mtp: b9180 on"),
        (("--", "--help"), "-h, --help, --usage"),
    ],
)
def test_flags_variables_and_values(words: tuple[str, ...], said: str, capsys: Output) -> None:
    status, lines = told(capsys, "flag", *words)
    assert status == EXIT_OK
    assert any(said in line for line in lines), "\n".join(lines)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("--daft-max",), "--draft-max"),
        (("--n-gpu-layer",), "--n-gpu-layers"),
        (("LLAMA_ARG_CTX",), "LLAMA_ARG_CTX_SIZE"),
        (("--spec-type", "mtp"), "draft-mtp"),
        (("--load-mode", "mmap-mlock"), "mmap+mlock"),
    ],
)
def test_a_misspelt_word_gets_the_nearest(
    words: tuple[str, ...], near: str, capsys: Output
) -> None:
    status, lines = told(capsys, "flag", *words)
    assert status == EXIT_FAIL
    assert any(near in line for line in lines)
    status, answer = document(capsys, "flag", *words, "--json")
    assert status == EXIT_FAIL
    assert near in answer["near"]


def test_the_life_of_a_flag_for_programs(capsys: Output) -> None:
    status, answer = document(capsys, "flag", "--json", "--no-mmap")
    assert status == EXIT_OK
    assert answer["builds"] == [{"first": 3683, "after": None, "last": 10867, "end": 10878}]
    (option,) = answer["options"]
    assert option["name"] == "--mmap"
    gone = option["events"][-1]
    assert gone["kind"] == "gone"
    assert gone["use"] == ["--load-mode"]
    assert gone["when"] == {
        "build": 10878,
        "after": 10867,
        "date": "2026-09-09",
        "pr": 28334,
        "pr_sure": True,
    }
    status, answer = document(capsys, "flag", "--json", "--spec-type", "draft")
    assert answer["builds"] == [{"first": 9109, "after": None, "last": 9130, "end": 9131}]


@pytest.mark.parametrize("words", [(), ("--a", "--b"), ("a", "b", "c")])
def test_flag_wants_one_flag(words: tuple[str, ...], capsys: Output) -> None:
    assert main(["flag", *words]) == EXIT_USAGE
    assert "give one flag or variable" in capsys.readouterr().err


def test_all_options_of_a_build(capsys: Output) -> None:
    status, lines = told(capsys, "flags", "--build", "b9246", "--grep", "draft-max")
    assert status == EXIT_OK
    assert lines == [
        (
            "--draft, --draft-n, --draft-max N  (LLAMA_ARG_DRAFT_MAX)  removed; write "
            "--spec-draft-n-max or --spec-ngram-mod-n-max"
        ),
        "1 option of b9246",
    ]
    _, lines = told(capsys, "flags", "--build", "9246")
    assert lines[-1] == "242 options of b9246"
    _, by_id = told(capsys, "flags", "--build", "py0.3.16")
    assert by_id[-1] == "176 options of b6170"


def test_an_option_that_is_not_certain_says_so(capsys: Output) -> None:
    _, lines = told(capsys, "flags", "--build", "b10870", "--grep", "mmap")
    assert any(line.endswith("(not certain at this build)") for line in lines)
    _, answer = document(capsys, "flags", "--build", "b10870", "--json")
    assert answer["options"]["--mmap"]["certain"] is False
    assert answer["options"]["--jinja"]["certain"] is True


def test_what_changed_between_two_builds(capsys: Output) -> None:
    status, lines = told(capsys, "flags", "--diff", "b8929", "b9093", "--grep", "draft-max")
    assert status == EXIT_OK
    assert lines == [
        (
            "b8955  2026-04-28  --draft-max: removed: --help only says so, and using it stops the "
            "start; write --spec-draft-n-max or --spec-ngram-mod-n-max  #22397"
        ),
        "1 change from b8929 to b9093",
    ]
    _, backwards = told(capsys, "flags", "--diff", "b9093", "b8929", "--grep", "draft-max")
    assert backwards == lines
    _, notes = told(capsys, "flags", "--diff", "b9463", "b9464")
    assert any("a draft model without --spec-type is loaded and never drafts" in n for n in notes)
    _, doubtful = told(capsys, "flags", "--diff", "b10870", "b10878", "--grep", "mlock")
    assert doubtful[0].endswith("(or not between these builds)")
    _, none = told(capsys, "flags", "--diff", "b9246", "b9246")
    assert none == ["0 changes from b9246 to b9246"]


def test_what_changed_for_programs(capsys: Output) -> None:
    _, answer = document(capsys, "flags", "--diff", "b8929", "b9093", "--json")
    kinds = {(one.get("option"), one["kind"]) for one in answer["changes"]}
    assert ("--draft-max", "stub") in kinds
    assert {one["when"]["build"] for one in answer["changes"]} <= set(range(8930, 9094))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--build", "b2"), "b2: the atlas goes from b3683 to b11549"),
        (("--diff", "b9246", "b99999"), "b99999: the atlas goes from"),
        (("--build", "ik-2026-04"), "ik-2026-04: the atlas has upstream's builds only"),
        (("--build", "nonsense"), "unknown build 'nonsense'"),
    ],
)
def test_a_build_that_the_atlas_has_not(words: tuple[str, ...], said: str, capsys: Output) -> None:
    assert main(["flags", *words]) == EXIT_USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--build", "b8929", "--", "--draft-max", "8"), EXIT_OK),
        (("--build", "b9246", "--", "--draft-max", "8"), EXIT_FAIL),
        (("--", "--draft-max", "8"), EXIT_FAIL),
        (("--", "-c", "512"), EXIT_OK),
        (("--build", "b9246", "--", "--rpc", "x:1"), EXIT_CANNOT_TELL),
        (("--build", "ik-2026-04", "--", "-c", "512"), EXIT_CANNOT_TELL),
    ],
)
def test_a_line_by_the_atlas_alone(
    words: tuple[str, ...], status: int, empty_store: Path, capsys: Output
) -> None:
    assert main(["check", "--atlas-only", *words]) == status
    (line,) = capsys.readouterr().out.splitlines()
    assert "by the atlas" in line or "ok where it is compiled in" in line
    assert not empty_store.exists()


def test_a_file_by_the_atlas_alone(empty_store: Path, capsys: Output) -> None:
    Path("line.txt").write_text("LLAMA_ARG_NO_MMAP=1 llama-server -c 512 --draft-max 8\n")
    _, lines = told(capsys, "check", "--atlas-only", "line.txt")
    assert lines[0] == "line.txt"
    assert "write --spec-draft-n-max 8" in lines[1]
    assert "write LLAMA_ARG_LOAD_MODE=none" in lines[1]
    _, by_subject = told(capsys, "check", "--atlas-only", "--subject", "argv:line.txt")
    assert by_subject == lines[1:]


def test_by_the_atlas_for_programs(empty_store: Path, capsys: Output) -> None:
    _, answer = document(capsys, "check", "--atlas-only", "--json", "--", "--draft-max", "8")
    (line,) = answer["command_lines"]
    assert line["atlas"]["ranges"][-1]["status"] == "refused"
    assert line["atlas"]["line"].startswith("refused up to b4158")
    assert line["atlas"]["disagreements"] == []
    assert line["builds"] == {}


def test_a_subject_without_a_line_of_its_own_is_refused(empty_store: Path, capsys: Output) -> None:
    assert main(["check", "--atlas-only", "--subject", "reference"]) == EXIT_USAGE
    assert "has no command line of its own" in capsys.readouterr().err


def test_builds_that_are_not_stored_are_named_and_not_fetched(
    empty_store: Path, capsys: Output
) -> None:
    status, lines = told(capsys, "check", "--", "--draft-max", "8")
    assert status == EXIT_CANNOT_TELL
    assert lines == [
        (
            "refused up to b4158 (--draft-max, #10362); b4159 … b8954 ok by the atlas; refused "
            "from b8955 on (--draft-max, #22397): write --spec-draft-n-max 8"
        ),
        (
            "not launched, because not stored: py0.3.16, b8929, b9093, b9246, b9464, b10435, "
            "b11434; --get gets them"
        ),
    ]
    assert not (empty_store / "builds").exists()
    _, answer = document(capsys, "check", "--json", "--", "-c", "512")
    assert answer["command_lines"][0]["not_stored"][0] == "py0.3.16"
