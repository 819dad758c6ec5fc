"""Odd words of command lines on real builds: what ``check --json`` says of them is what they do."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.gguf_models.writer import write_adapter

pytestmark = pytest.mark.live

MODEL = ("-m", "/models/a.gguf", "-c", "512")


def checked(
    capsys: pytest.CaptureFixture[str], build: str, *words: str, variable: str | None = None
) -> dict[str, Any]:
    variables = () if variable is None else ("--variable", variable)
    main(["check", "--json", "--build", build, *variables, "--", *MODEL, *words])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["command_lines"][0]["builds"][build]
    return found


@pytest.mark.parametrize("build", ["py0.3.16", "b9246", "b11434"])
@pytest.mark.parametrize("address", ["http://127.0.0.1", "127.0.0.1:8080", "[::1]"])
def test_what_is_no_address(build: str, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    for found, word in (
        (checked(capsys, build, "--host", address), "--host"),
        (checked(capsys, build, variable=f"LLAMA_ARG_HOST={address}"), "LLAMA_ARG_HOST"),
    ):
        assert (found["status"], found["starts"], found["blame"]) == ("fail", False, word)


@pytest.mark.parametrize(
    ("build", "starts"), [("py0.3.16", True), ("b9246", True), ("b11434", False)]
)
def test_an_empty_address(build: str, starts: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(capsys, build, variable="LLAMA_ARG_HOST=")["starts"] is starts
    assert checked(capsys, build, "--host", "")["starts"] is starts


def test_a_port_is_what_the_word_begins_with(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b9246", "--port", "80.5")
    assert (found["starts"], found["silent"][0]["word"]) == (True, "--port")
    assert checked(capsys, "b9246", "--port", "99999999999")["blame"] == "--port"


@pytest.mark.parametrize("flag", ["--alias", "--chat-template", "--port", "-m"])
def test_a_last_flag_without_its_value(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b11434", flag)
    assert found["blame"] == flag
    assert "and has none" in found["message"]


def test_a_key_with_a_comma(capsys: pytest.CaptureFixture[str]) -> None:
    for build in ("py0.3.16", "b11434"):
        assert checked(capsys, build, "--api-key", "a,b")["settings"]["auth"] is True


def test_a_variable_that_says_no(capsys: pytest.CaptureFixture[str]) -> None:
    old = checked(capsys, "py0.3.16", variable="LLAMA_ARG_NO_MMAP=0")
    assert (old["status"], old["settings"]["mmap"]) == ("pass", True)
    new = checked(capsys, "b9246", variable="LLAMA_ARG_NO_MMAP=0")
    assert (new["settings"]["mmap"], new["silent"][0]["word"]) == (False, "LLAMA_ARG_NO_MMAP")


def test_aliases_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b11434", "-a", "one", "-a", "two")
    assert (found["status"], found["silent"]) == ("pass", [])


def test_a_pattern_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "py0.3.16", "-ot", "([=CPU")
    assert found["blame"] == "-ot"
    assert "regular expression" in found["message"]


def test_a_failure_without_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(capsys, "b11434", "--lora", "nope.gguf")["blame"] == "nope.gguf"
    assert checked(capsys, "b11434", "")["blame"] == ""
    main(["check", "--json", "--build", "b9246", "--", "-m", "/models/a.gguf", "-np", "300"])
    answer = json.loads(capsys.readouterr().out)["command_lines"][0]["builds"]["b9246"]
    assert answer["blame"] == "-np"


def test_a_directory_that_is_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slots").mkdir()
    assert checked(capsys, "b9246", "--slot-save-path", "slots")["starts"] is True
    missing = checked(capsys, "b9246", "--slot-save-path", "nope")
    assert (missing["starts"], missing["blame"]) == (False, "--slot-save-path")
    elsewhere = checked(capsys, "b9246", "--slot-save-path", "/nowhere/slots")
    assert elsewhere["starts"] is True


def test_a_limit_that_an_old_build_keeps_to_and_shows_nowhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = checked(capsys, "py0.3.16", "-n", "64", "--keep", "-1")
    assert (found["status"], found["not_seen"]) == ("pass", [])
    assert found["settings"]["n_predict"] == 64
    assert checked(capsys, "b9246", "-n", "64")["settings"]["n_predict"] == 64


def test_a_model_of_a_hub_beside_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b11434", "-hf", "someone/model:Q4_K_M")
    assert (found["status"], found["silent"]) == ("pass", [])


def test_penalties_over_the_whole_context(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b9464", "--repeat-last-n", "-1", "-c", "512")
    assert (found["status"], found["settings"]["repeat_last_n"]) == ("pass", 512)
    assert checked(capsys, "b11434", "--repeat-last-n", "-1")["blame"] == "--repeat-last-n"


def test_what_only_the_tiny_model_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "py0.3.16", "--reranking")
    assert (found["status"], found["starts"], found["blame"]) == ("error", None, None)
    assert "tiny model" in found["message"]


@pytest.mark.parametrize("build", ["py0.3.16", "b9464", "b11434"])
def test_files_that_fit_another_model(
    build: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    adapter, junk = tmp_path / "adapter.gguf", tmp_path / "junk.gguf"
    write_adapter(adapter)
    fitting = checked(capsys, build, "--lora", str(adapter))
    assert (fitting["status"], fitting["cannot_tell"]) == ("pass", [])
    adapter.write_bytes(adapter.read_bytes().replace(b"fits the tiny", b"fits some big"))
    left_out = checked(capsys, build, "--lora", str(adapter))
    assert left_out["status"] == "pass"
    assert [remark["word"] for remark in left_out["cannot_tell"]] == ["--lora"]
    junk.write_bytes(b"no model at all")
    assert checked(capsys, build, "--lora", str(junk))["starts"] is False


def test_two_values_of_which_one_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(capsys, "py0.3.16", "--lora-scaled", "/far/a.gguf:1")["starts"] is False
    found = checked(capsys, "py0.3.16", "--lora-scaled", "/far/a.gguf:1", "--jinja")
    assert (found["starts"], found["blame"]) == (False, "--lora-scaled")
    assert checked(capsys, "b9246", "--lora-scaled", "/far/a.gguf:1")["starts"] is True


@pytest.mark.parametrize("build", ["b8929", "b11434"])
def test_a_hub_has_users_and_models(build: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--json", "--build", build, "--", "-hf", "model"])
    answer = json.loads(capsys.readouterr().out)["command_lines"][0]["builds"][build]
    assert (answer["starts"], answer["blame"]) == (False, "-hf")


def test_one_gpu_of_none(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b9246", "-sm", "none")
    assert (found["status"], found["cannot_tell"][0]["word"]) == ("pass", "-sm")


@pytest.mark.parametrize(
    ("build", "words", "culprits"),
    [("py0.3.16", ("-np", "0"), "-np 0"), ("b9246", ("--host", "192.0.2.77", "-np", "0"), "-np")],
)
def test_what_is_enough_to_fail_where_the_build_names_nothing(
    build: str, words: tuple[str, ...], culprits: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = checked(capsys, build, "--temp", "0.5", *words)
    assert (found["starts"], found["blame"]) == (False, "-np")
    assert culprits in found["message"]


def test_more_sequences_than_a_build_has(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b9246", "-np", "999")
    assert (found["starts"], found["blame"]) == (False, "-np")


def test_a_flag_and_its_value_in_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b9246", "--temp 0.5")
    assert (found["blame"], found["advice"]) == ("--temp 0.5", ["--temp 0.5"])
    assert "one word" in found["message"]


def test_a_dash_of_a_word_processor(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b9246", "\u2013temp", "0.5")
    assert (found["starts"], found["blame"]) == (False, "\u2013temp")
    assert "--temp 0.5" in found["message"]


def test_variables_in_place_of_words(capsys: pytest.CaptureFixture[str]) -> None:
    variables = ("LLAMA_ARG_MODEL=/models/a.gguf", "LLAMA_ARG_CTX_SIZE=1024")
    main(["check", "--json", "--build", "b9246", "--", *variables])
    answer = json.loads(capsys.readouterr().out)["command_lines"][0]["builds"]["b9246"]
    assert answer["settings"]["context_per_slot"] == 1024


def test_a_variable_of_another_name(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "b11434", variable="LLAMA_ARG_API_KEY=k")
    (silent,) = (one for one in found["silent"] if one["word"] == "LLAMA_ARG_API_KEY")
    assert silent["why"].endswith("write LLAMA_API_KEY=k")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("check", "--build", "b9246"), "LLAMA_ARG_SPEC_DRAFT_N_MAX=9"),
        (("check", "--atlas-only"), "LLAMA_ARG_SPEC_DRAFT_N_MAX=9"),
        (("explain", "--build", "b9246"), "enough to fail: LLAMA_ARG_DRAFT_MAX"),
        (("upgrade", "--from", "b8929", "--to", "b9246"), "LLAMA_ARG_SPEC_DRAFT_N_MAX=9"),
    ],
    ids=lambda one: one if isinstance(one, str) else " ".join(one),
)
def test_variables_and_no_words_at_all(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = ("LLAMA_ARG_MODEL=/models/a.gguf", "LLAMA_ARG_DRAFT_MAX=9")
    assert main([*words, *(word for one in variables for word in ("--variable", one))]) == 1
    assert told in capsys.readouterr().out


def test_a_server_that_starts_and_dies(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "py0.3.16", "-c", "1024", "-ctk", "bf16", "-ctv", "bf16")
    assert (found["status"], found["starts"], found["blame"]) == ("fail", True, "-ctk")
    assert "starts, and dies" in found["message"]
