"""Command lines upgraded between real builds: rewritten, launched, and compared."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.cli import main
from harness.errors import (
    EXIT_CANNOT_TELL,
    EXIT_FAIL,
    EXIT_NOTHING_SAYS_IT,
    EXIT_OK,
    EXIT_USAGE,
)

pytestmark = pytest.mark.live

CORPUS = Path(__file__).parents[2] / "fixtures" / "corpus"
CASES = [json.loads(line) for line in (CORPUS / "given.jsonl").read_text("utf-8").splitlines()]
ORDER = ("py0.3.16", "b8929", "b9093", "b9246", "b9464", "b10435", "b11434")
NO_EQUIVALENT = {
    ("era-checkpoint-every", "py0.3.16"), ("era-tool-renamed", "py0.3.16"),
    ("era-ngram-sizes", "py0.3.16"), ("router-underscore-key", "py0.3.16"),
    ("router-mmap-boolean", "py0.3.16"), ("router-removed-key-in-model", "py0.3.16"),
}  # fmt: skip
"""What the other build has nothing of: it is dropped, and said to be lost."""
LESS = {"template-budget-number", "net-host-list", "cache-v-quantised-fa-off"}
"""Cases whose advice says less than they asked for: what is lost is said."""
OTHER_WORDS = {
    # Of two builds in one sentence.
    ("era-flash-attn-value-on-old", "py0.3.16"): "--flash-attn --no-mmap",
    ("era-flash-attn-value-on-old", "b11434"): "--flash-attn on --load-mode none",
    ("file-shell-prefixes", "py0.3.16"): "--log-colors",
    ("file-lemonade", "py0.3.16"): "--no-mmap -fa -np",
    ("cache-v-quantised-fa-off", "py0.3.16"): "--flash-attn --cache-type-v",
    # In words, or in words that only another build has.
    **{("env-empty-number", build): "-m /models/a.gguf -c 512" for build in ORDER},
    **{("draft-simple", build): "-md /models/draft.gguf --" for build in ORDER},
    ("template-kwargs-bare", "py0.3.16"): '--chat-template-kwargs {"enable_thinking":false}',
    # It had no effect, and the other build has no such cache to begin with.
    ("context-no-unified-without-np", "py0.3.16"): "-c 2048",
    # The mode that locks, and maps as well, which the switch did.
    ("file-launchd", "b11434"): "--load-mode mmap+mlock",
}  # fmt: skip
"""What is written where that is not word by word what the corpus advises."""


class Step(NamedTuple):
    case: dict[str, Any]
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.case['id']}: {self.old} to {self.new}"


def steps(case: dict[str, Any]) -> Iterator[Step]:
    """From the nearest build that takes it to each that refuses it."""
    expected = case["expect"]
    starts = {build: expected[build].get("starts") for build in expected}
    refused = [build for build in ORDER if starts.get(build) is False]
    for new in refused:
        others = [build for build in starts if build != new]
        takers = (
            [build for build in others if starts[build]]
            or [build for build in others if starts[build] is None]
            or others
        )
        if takers:
            near = min(takers, key=lambda build: abs(ORDER.index(build) - ORDER.index(new)))
            yield Step(case, near, new)


EVERY = [step for case in CASES if case.get("advice") for step in steps(case)]
ENDS = {(step.case["id"], step.new) for case in CASES if case.get("advice")
        for step in [*steps(case)][:: max(len([*steps(case)]) - 1, 1)]}  # fmt: skip
"""The first and the last of each case; the others are slow."""


def marked(step: Step) -> Any:
    slow = [] if (step.case["id"], step.new) in ENDS else [pytest.mark.slow]
    return pytest.param(step, id=str(step), marks=slow)


def lay_out(case: dict[str, Any], folder: Path) -> list[str]:
    """Write the case's files, and give the words that name it."""
    given = case["input"]
    files = {
        **given.get("files", {}),
        **({given["file"]: given["text"]} if "file" in given else {}),
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    model = given.get("model", "")
    words = ["--model", model] if model.startswith("tiny") else []
    if "file" in given:
        return [*words, given["file"]]
    variables = (("--variable", "=".join(item)) for item in given.get("env", {}).items())
    return [*words, *(word for pair in variables for word in pair), "--", *given["argv"]]


@pytest.mark.parametrize("step", [marked(step) for step in EVERY])
def test_a_refused_case_is_written_as_it_is_advised(
    step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case, old, new = step
    words = lay_out(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    status = main(["upgrade", "--json", "--from", old, "--to", new, *words])
    answers = json.loads(capsys.readouterr().out)["command_lines"]
    advised = OTHER_WORDS.get((case["id"], new), case["advice"])
    if (case["id"], new) in NO_EQUIVALENT:
        assert status == EXIT_NOTHING_SAYS_IT
        assert any(answer["lost"] for answer in answers)
        return
    written = [one for one in answers if advised in told(one)]
    assert written, [told(one) for one in answers]
    assert status == (EXIT_NOTHING_SAYS_IT if case["id"] in LESS else EXIT_FAIL)
    for answer in written:
        assert answer["new"]["starts"] is True
        assert answer["differing"] == []
        settings = answer["new"]["settings"]
        kept = {
            name: value
            for name, value in answer["old"]["settings"].items()
            if name in case["expect"][old].get("settings", {}) and name in settings
        }
        drifted = {one["setting"] for one in (*answer["drift"], *answer["gained"])}
        assert {n: settings[n] for n in kept if n not in drifted} == {
            n: v for n, v in kept.items() if n not in drifted
        }


def told(answer: dict[str, Any]) -> str:
    """The command line, and the keys of a preset that it names."""
    variables = (f"{name}={value}" for name, value in answer["env"].items())
    instead = (word for one in answer["findings"] for word in one["instead"] or ())
    keys = (word for word in instead if " = " in word)
    return " ".join([*variables, *answer["argv"], *keys])


def upgraded(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["upgrade", *words])
    return status, capsys.readouterr().out


def answer_of(said: str) -> dict[str, Any]:
    (answer,) = json.loads(said)["command_lines"]
    found: dict[str, Any] = answer
    return found


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "b9246", "--to", "b9464", "--", "-m", "a.gguf", "-c", "512")
    status, said = upgraded(*words, capsys=capsys)
    assert status == EXIT_OK
    assert said.splitlines()[:2] == [
        "b9246: starts, without speculation",
        "b9464: starts, without speculation",
    ]
    assert said.endswith("nothing to write otherwise\n")


def test_changes_that_are_needed_and_proved(capsys: pytest.CaptureFixture[str]) -> None:
    status, said = upgraded(
        *("--from", "b8929", "--to", "b11434", "--", "-m", "a.gguf", "-md", "d.gguf"),
        *("--draft-max", "8", "--no-mmap", "-c", "512"),
        capsys=capsys,
    )
    assert status == EXIT_FAIL
    lines = said.splitlines()
    added = "add --spec-type draft-simple: on b11434 a draft model alone does not turn drafting on"
    written = "--spec-type draft-simple --spec-draft-n-max 8 --load-mode none -c 512"
    for line in (
        "b8929: starts, with draft-simple up to 8",
        "b11434, as it is: b11434 has removed --draft-max; write --spec-draft-n-max 8 instead",
        "b11434, as below: starts, with draft-simple up to 8",
        "  --draft-max 8 → --spec-draft-n-max 8: b11434 has removed --draft-max (b8955, #22397)",
        f"  {added} (b9464, #23988)",
        "  draft_p_min 0.75 → 0 (b9235, #23269)",
        "  model_id the file's name → the file's path (after b9725, by b9733)",
        f"  -m a.gguf -md d.gguf {written}",
    ):
        assert line in lines
    api = said.partition("the API:\n")[2]
    assert "speculative.{n_max, n_min, p_min, type," in api
    assert "gone in /props default_generation_settings.params and /completion" in api


def test_what_nothing_can_express(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "b11434", "--to", "b9464", "--", "-m", "a.gguf", "--repeat-last-n", "9")
    assert upgraded(*words, capsys=capsys)[0] == EXIT_OK
    words = ("--from", "b9464", "--to", "b11434", "--", "-m", "a.gguf", "--repeat-last-n", "-1")
    status, said = upgraded(*words, capsys=capsys)
    assert status == EXIT_NOTHING_SAYS_IT
    assert "lost: drop --repeat-last-n -1: b11434 takes no -1" in said


def test_what_cannot_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "b9246", "--to", "b9464", "--model", "no-such", "--", "-c", "512")
    status, said = upgraded(*words, capsys=capsys)
    assert status == EXIT_CANNOT_TELL
    assert "no model is named no-such" in said


def test_the_draft_model_of_another_type_drafts_as_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The answer of /completion names the types that were asked for, and not the draft model's.
    words = ("--from", "b8929", "--to", "b9464", "--", "-m", "a.gguf", "-c", "1024", "-np", "1",
             "--spec-type", "ngram-mod", "-md", "d.gguf", "--draft-max", "8")  # fmt: skip
    status, said = upgraded(*words, capsys=capsys)
    assert status == EXIT_FAIL
    assert "b8929: starts, with draft-simple and ngram-mod up to 8" in said
    assert "as below: starts, with draft-simple up to 8 and ngram-mod up to 8" in said


def test_defaults_are_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "py0.3.16", "--to", "b8929", "--", "-m", "x/chat.gguf", "-c", "256")
    plain = answer_of(upgraded("--json", *words, capsys=capsys)[1])
    assert {one["setting"] for one in plain["drift"]} >= {"slots", "jinja", "context_shift"}
    status, said = upgraded("--json", "--pin-defaults", *words, capsys=capsys)
    pinned = answer_of(said)
    assert status == EXIT_FAIL
    assert pinned["pins"]["slots"] == ["--parallel", "1"]
    assert pinned["pins"]["context_shift"] == ["--context-shift"]
    assert not {one["setting"] for one in pinned["drift"]} & set(pinned["pins"])
    settings = pinned["new"]["settings"]
    assert (settings["slots"], settings["jinja"], settings["context_shift"]) == (1, False, True)


def test_a_pin_is_never_of_the_model_of_the_harness(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "b11434", "--to", "py0.3.16", "--pin-defaults", "--", "-m", "x/chat.gguf")
    answer = answer_of(upgraded("--json", *words, capsys=capsys)[1])
    # The tiny model was trained on 8192 tokens; the default is what a model was trained on.
    assert answer["pins"]["context"] == ["--ctx-size", "0"]


def test_from_a_fork(capsys: pytest.CaptureFixture[str]) -> None:
    status, said = upgraded(
        *("--from", "ik-2026-04", "--to", "b9464", "--", "-m", "a.gguf", "-md", "d.gguf"),
        *("--draft-max", "4", "--no-mmap", "-c", "1024", "-np", "1"),
        capsys=capsys,
    )
    assert status == EXIT_FAIL
    assert "as below: starts, with draft-simple up to 4" in said
    assert "--spec-type draft-simple --spec-draft-n-max 4 --no-mmap" in said


COMPOSE = """services:
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server-b8929
    command: -m /models/a.gguf --no-mmap -c 512  # NFS
"""


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "compose.yml"
    path.write_text(COMPOSE, encoding="utf-8")
    return path


def test_a_file_tells_the_build_that_it_is_for(
    compose: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = upgraded("--to", "b11434", "--diff", compose.name, capsys=capsys)
    assert status == EXIT_FAIL
    assert "-    command: -m /models/a.gguf --no-mmap -c 512  # NFS\n" in said
    assert "+    command: -m /models/a.gguf --load-mode none -c 512  # NFS\n" in said
    assert compose.read_text() == COMPOSE


def test_a_file_is_written_once(compose: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "b8929", "--to", "b11434", "--write", compose.name)
    assert upgraded(*words, capsys=capsys) == (EXIT_FAIL, "")
    assert compose.read_text() == COMPOSE.replace("--no-mmap", "--load-mode none")
    assert [path.name for path in compose.parent.iterdir()] == ["compose.yml"]
    status, said = upgraded(*words[:-2], compose.name, capsys=capsys)
    assert (status, said.splitlines()[-1]) == (EXIT_OK, "nothing to write otherwise")


def test_what_is_lost_is_told_where_a_file_is_written(
    compose: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compose.write_text(COMPOSE.replace("-c 512", "-c 512 -cd 256"), encoding="utf-8")
    status = main(["upgrade", "--from", "b8929", "--to", "b11434", "--write", compose.name])
    assert status == EXIT_NOTHING_SAYS_IT
    assert "compose.yml#llm: lost: drop -cd 256" in capsys.readouterr().err
    assert "--load-mode none -c 512  # NFS" in compose.read_text()


def test_what_does_not_start_all_the_same_is_not_written(
    compose: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = COMPOSE.replace("-c 512", "-c abc")
    compose.write_text(text, encoding="utf-8")
    status = main(["upgrade", "--from", "b8929", "--to", "b11434", "--write", compose.name])
    assert status == EXIT_NOTHING_SAYS_IT
    assert "compose.yml#llm: left as it is: b11434: " in capsys.readouterr().err
    assert compose.read_text() == text


@pytest.mark.parametrize("name", ["models.ini", "conf/models.ini"])
def test_a_preset_is_written_where_it_lies(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    preset = tmp_path / name
    preset.parent.mkdir(exist_ok=True)
    preset.write_text("[a]\nmodel = /models/a.gguf\nc = 512\n; NFS\nmmap = 0\n", encoding="utf-8")
    words = ("--from", "b8929", "--to", "b11434", "--write", name)
    assert upgraded(*words, capsys=capsys)[0] == EXIT_FAIL
    assert preset.read_text().endswith("; NFS\nload-mode = none\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", "-m", "a.gguf"), "--from: which build is the command line written for?"),
        (("--from", "b1", "--", "-m", "a.gguf"), "unknown build 'b1'"),
        (("--from", "b8929", "--write", "--", "-m", "a.gguf"), "give a file"),
        (("--from", "b8929", "--backup", "compose.yml"), "--backup: goes with --write"),
        (("--from", "b8929", "--mode", "mtp", "compose.yml"), "--mode: goes with --subject"),
        (
            ("--from", "b8929"),
            "a command line after -- or by --variable, files, --subject or --base",
        ),
        (("--from", "b8929", "--base", "HEAD", "compose.yml"), "one of them"),
        (("--from", "b8929", "--diff", "--variable", "A=1", "compose.yml"), "--variable: goes"),
    ],
)
def test_a_command_that_has_no_meaning(
    words: tuple[str, ...], said: str, compose: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upgrade", *words]) == EXIT_USAGE
    assert said in capsys.readouterr().err


def test_markdown_made_for_a_pull_request(
    compose: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = upgraded("--to", "b11434", "--markdown", compose.name, capsys=capsys)
    assert status == EXIT_FAIL
    lines = said.splitlines()
    assert lines[0] == "### compose.yml#llm: b8929 → b11434"
    assert lines[2].startswith("**Changes are needed.** As it is, b11434 does not know --no-mmap")
    assert "--m /models/a.gguf --no-mmap -c 512" in lines
    assert "+-m /models/a.gguf --load-mode none -c 512" in lines
    assert any(line.startswith("<details><summary>The API: ") for line in lines)
    assert "- model\\_id the file's name → the file's path (after b9725, by b9733)" in lines
    assert "[#28334](https://redirect.github.com/ggml-org/llama.cpp/pull/28334)" in said


def test_what_a_subject_writes_for_both(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "b9246", "--to", "b11434", "--subject", "reference", "--mode", "mtp")
    status, said = upgraded(*words, capsys=capsys)
    assert status == EXIT_OK
    assert said.splitlines()[:3] == [
        "reference (mtp)",
        "b9246: starts, with draft-mtp up to 3",
        "b11434: starts, with draft-mtp up to 3",
    ]


def commit_all() -> None:
    own = ("-c", "user.email=a@example.org", "-c", "user.name=a", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "-A"), (*own, "commit", "-qm", "before")):
        subprocess.run(["git", *words], check=True)


def test_a_pull_request_that_bumps_a_build(
    compose: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit_all()
    compose.write_text(COMPOSE.replace("b8929", "b11434"), encoding="utf-8")
    status, said = upgraded("--base", "HEAD", "--markdown", capsys=capsys)
    assert status == EXIT_FAIL
    assert said.startswith("### compose.yml#llm: b8929 → b11434\n")
    assert "+-m /models/a.gguf --load-mode none -c 512" in said
    assert upgraded("--base", "HEAD", "--write", capsys=capsys)[0] == EXIT_FAIL
    assert compose.read_text() == COMPOSE.replace("b8929", "b11434").replace(
        "--no-mmap", "--load-mode none"
    )


def test_a_pull_request_that_bumps_none(compose: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit_all()
    compose.write_text(f"{COMPOSE}# x\n", encoding="utf-8")
    assert upgraded("--base", "HEAD", "--markdown", capsys=capsys) == (EXIT_OK, "")


def test_a_subject_whose_own_plan_is_refused_is_told_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.sh").write_text("llama-server -m a.gguf -c 512 --no-mmap\n", encoding="utf-8")
    words = ("--from", "b9464", "--to", "b11434", "--subject", "argv:app.sh", "--mode", "off")
    status, said = upgraded(*words, capsys=capsys)
    assert status == EXIT_FAIL
    assert said.startswith("argv:app.sh (off)\nb9464: starts, without speculation\n")
    assert "-c 512 --load-mode none" in said.splitlines()[-1]


@pytest.mark.slow
def test_studio_adapts_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "b9464", "--to", "b11434", "--subject", "unsloth==2026.10.9")
    status, said = upgraded(*words, capsys=capsys)
    assert status == EXIT_OK
    assert "b11434: starts, with draft-mtp up to 3 and ngram-mod up to 64" in said
