import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.builds.locations import cache_root
from harness.cli import main
from harness.config.configuration import (
    DEFAULT,
    FILE_VARIABLE,
    KEYS,
    VARIABLE_PREFIX,
    load_configuration,
    show,
    variable_of,
)
from harness.errors import EXIT_OK, EXIT_USAGE, ConfigurationError

WHOLE = """\
profile = "night"
environments = ["cpu"]
draft-lengths = ["default", 3]
sources = ["release", "package"]
cache = "store"
health-timeout = 90
retries = 0
ledger = "known.toml"
workers = 2

[profiles.night]
builds = ["b9*"]
modes = ["mtp"]
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(variable_of(key), raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    configuration = load_configuration(tmp_path, {})
    assert configuration.file is None
    assert {configuration.origin(key) for key in KEYS} == {DEFAULT}
    assert configuration.settings.health_timeout == 60
    assert configuration.settings.retries == 1


def test_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "llama-harness.toml"
    file.write_text(WHOLE, encoding="utf-8")
    below = tmp_path / "deep" / "below"
    below.mkdir(parents=True)
    configuration = load_configuration(below, {})
    settings = configuration.settings
    assert configuration.file == file
    assert settings.draft_lengths == ("default", 3)
    assert settings.sources == ("release", "package")
    assert settings.profiles["night"].builds == ("b9*",)
    assert (settings.retries, settings.workers, settings.health_timeout) == (0, 2, 90)
    assert configuration.origin("retries") == f"{file}:7"
    assert configuration.origin("profiles") == f"{file}:11"
    assert configuration.origin("models") == DEFAULT
    assert settings.cache == str(tmp_path / "store"), "relative to the file, not to the caller"
    assert settings.ledger == str(tmp_path / "known.toml")


def test_a_table_of_pyproject(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    text = '[project]\nname = "x"\n\n[tool.llama-harness]\nmodes = ["mtp"]\n'
    file.write_text(text, encoding="utf-8")
    configuration = load_configuration(tmp_path, {})
    assert configuration.settings.modes == ("mtp",)
    assert configuration.origin("modes") == f"{file}:5"


def test_a_project_file_without_our_table_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "llama-harness.toml").write_text('modes = ["off"]\n', encoding="utf-8")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    assert load_configuration(inner, {}).settings.modes == ("off",)


def test_nothing_above_the_repository_is_read(tmp_path: Path) -> None:
    (tmp_path / "llama-harness.toml").write_text('modes = ["off"]\n', encoding="utf-8")
    inner = tmp_path / "inner"
    (inner / ".git").mkdir(parents=True)
    assert load_configuration(inner, {}).file is None


def test_variables_are_laid_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "llama-harness.toml").write_text(WHOLE, encoding="utf-8")
    configuration = load_configuration(
        tmp_path,
        {
            "LLAMA_HARNESS_DRAFT_LENGTHS": "default, 8",
            "LLAMA_HARNESS_HEALTH_TIMEOUT": "2.5",
            "LLAMA_HARNESS_SOURCES": "package",
            "LLAMA_HARNESS_CACHE": str(tmp_path / "other"),
            "LLAMA_HARNESS_RETRIES": "",
        },
    )
    settings = configuration.settings
    assert settings.draft_lengths == ("default", 8)
    assert settings.health_timeout == 2.5
    assert settings.sources == ("package",)
    assert settings.cache == str(tmp_path / "other")
    assert settings.retries == 0, "an empty variable says nothing"
    assert configuration.origin("health-timeout") == "LLAMA_HARNESS_HEALTH_TIMEOUT"
    assert settings.environments == ("cpu",)


def test_a_file_may_be_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('modes = ["mtp"]\n', encoding="utf-8")
    assert load_configuration(tmp_path, {FILE_VARIABLE: str(file)}).settings.modes == ("mtp",)
    with pytest.raises(ConfigurationError, match="absent"):
        load_configuration(tmp_path, {FILE_VARIABLE: str(tmp_path / "absent.toml")})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\nretrys = 1\n", r":2: retrys: no such key; do you mean retries\?"),
        ('retries = "often"\n', r":1: retries: Expected int, got str"),
        ("retries = -1\n", r":1: retries: Expected int >= 0"),
        ("\n\nhealth-timeout = 0\n", r":3: health-timeout: Expected float > 0"),
        ('sources = ["package", "torrent"]\n', r":1: sources\[1\]: Invalid enum value 'torrent'"),
        ('modes = "mtp"\n', r":1: modes: Expected array, got str"),
        ('draft-lengths = ["long"]\n', r":1: draft-lengths\[0\]"),
        ("[profiles.a]\nbuild = []\n", r":2: profiles.*build: no such key; do you mean builds\?"),
        ("cache = 1\n", r":1: cache: Expected str, got int"),
        ("this is no TOML", r"llama-harness\.toml: not valid TOML"),
    ],
)
def test_a_wrong_file_is_told_by_line_and_key(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "llama-harness.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load_configuration(tmp_path, {})
    message = str(raised.value)
    assert re.search(told, message), message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LLAMA_HARNESS_RETRIES", "many"),
        ("LLAMA_HARNESS_SOURCES", "package,torrent"),
        ("LLAMA_HARNESS_HEALTH_TIMEOUT", "-1"),
        ("LLAMA_HARNESS_DRAFT_LENGTHS", "1,two"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable}='{value}'"):
        load_configuration(tmp_path, {variable: value})


@settings(max_examples=30, deadline=None)
@given(st.text())
def test_any_text_in_a_variable_is_read_or_refused(text: str) -> None:
    for key in KEYS:
        refused = ""
        try:
            load_configuration(Path("/"), {variable_of(key): text})
        except ConfigurationError as error:
            refused = str(error)
        assert not refused or variable_of(key) in refused


def test_show_names_every_key_and_its_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "llama-harness.toml").write_text(WHOLE, encoding="utf-8")
    assert main(["config", "--show"]) == EXIT_OK
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines()[2:]}
    assert set(rows) == set(KEYS)
    assert rows["retries"].endswith("llama-harness.toml:7")
    assert rows["models"].endswith(DEFAULT)
    assert re.search(r"draft-lengths +default, 3 +", out)
    assert main(["config", "--json"]) == EXIT_OK
    read = json.loads(capsys.readouterr().out)
    assert read["workers"] == {"value": 2, "origin": f"{tmp_path / 'llama-harness.toml'}:9"}


def test_show_tells_what_holds_without_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "store"))
    assert main(["config"]) == EXIT_OK
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[2:]}
    assert re.search(r"profile +smoke +default$", rows["profile"])
    assert re.search(r"environments +cpu, cuda-spoof +default$", rows["environments"])
    assert re.search(r"draft-lengths +default, 1, 5, 16 +default$", rows["draft-lengths"])
    assert str(tmp_path / "store") in rows["cache"]
    assert rows["cache"].endswith("LLAMA_HARNESS_CACHE")
    assert [key for key, line in rows.items() if re.search(r" - +", line)] == ["profiles"]


def test_shown_keys_are_all_keys(tmp_path: Path) -> None:
    assert [key for key, _, _ in show(load_configuration(tmp_path, {}))] == list(KEYS)
    assert all(variable_of(key).startswith(VARIABLE_PREFIX) for key in KEYS)


def test_every_command_refuses_a_wrong_configuration_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "llama-harness.toml").write_text("retries = []\n", encoding="utf-8")
    for command in (
        ["matrix", "--list"],
        ["plan", "--shards", "2"],
        ["config"],
        ["builds", "list"],
    ):
        assert main(command) == EXIT_USAGE
        error = capsys.readouterr().err
        assert error.endswith("llama-harness.toml:1: retries: Expected int, got array\n")


def test_the_store_is_where_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "llama-harness.toml").write_text('cache = "here"\n', encoding="utf-8")
    assert cache_root() == tmp_path / "here"


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["matrix", "--list", *words]) == EXIT_OK
    return capsys.readouterr().out.splitlines()


def test_configured_axes_are_those_of_the_matrix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "llama-harness.toml").write_text(
        'builds = ["b9246"]\nenvironments = ["cpu"]\nmodes = ["mtp"]\nmodels = ["tiny-mtp"]\n'
        'draft-lengths = ["default", 7]\n[profiles.night]\nbuilds = ["b8929"]\nmodes = ["off"]\n',
        encoding="utf-8",
    )
    assert listed(capsys) == ["b9246-cpu-reference-mtp-ndefault", "b9246-cpu-reference-mtp-n7"]
    assert listed(capsys, "--draft-max", "2", "--env", "cuda-spoof") == [
        "b9246-cuda_spoof-reference-mtp-n2"
    ]
    assert listed(capsys, "--profile", "night", "--draft-max", "1") == [
        "b8929-cpu-reference-off-n1"
    ]
    assert listed(capsys, "--build", "b10435", "--draft-max", "1") == [
        "b10435-cpu-reference-mtp-n1"
    ]
    of_the_catalogue = listed(capsys, "--profile", "smoke", "--draft-max", "1")
    assert {one.partition("-")[0] for one in of_the_catalogue} == {"b8929", "b9246", "b10435"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('environments = ["gpu"]\n', "environments"),
        ('subjects = ["nobody"]\n', "subjects"),
        ('models = ["big"]\n', "models"),
        ('builds = ["b0"]\n', "builds"),
    ],
)
def test_a_configured_axis_without_meaning_is_told_by_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, key: str
) -> None:
    (tmp_path / "llama-harness.toml").write_text(text, encoding="utf-8")
    assert main(["matrix", "--list"]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert f"llama-harness.toml:1: {key}: " in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == EXIT_OK
    script = capsys.readouterr().out
    for word in ("matrix", "bisect", "session", "doctor", "balance-from"):
        assert word in script
