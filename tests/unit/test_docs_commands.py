"""Every command that the documentation shows is one; those that launch nothing are run."""

import pytest

from harness.cli import main, make_parser
from harness.errors import EXIT_OK
from harness.report.jsonl import encode_result
from tests.unit.docs_commands import DocumentedCommand, documented_commands
from tests.unit.results import result

COMMANDS = tuple(documented_commands())

LAUNCHES_NOTHING = ("plan", "config", "completion", "report", "explain", "flag", "flags")
"""Commands that neither start a server nor need a network."""


def runs_at_once(command: DocumentedCommand) -> bool:
    name, *rest = command.words
    return (
        name in LAUNCHES_NOTHING
        or (name == "matrix" and "--list" in rest)
        or command.words == ("builds", "list")
    ) and not (name == "explain" or "RESULTS" in rest)


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 20
    assert {command.words[0] for command in COMMANDS} >= {
        *("matrix", "plan", "report", "config", "doctor", "record", "check", "probe", "builds"),
        "completion",
    }


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_documented_command_and_its_options_exist(command: DocumentedCommand) -> None:
    options, unknown = make_parser(command.words).parse_known_args(list(command.words))
    assert callable(options.func)
    assert not unknown or options.passes_unknown


@pytest.mark.parametrize("command", [one for one in COMMANDS if runs_at_once(one)], ids=str)
def test_a_command_that_launches_nothing_runs(
    command: DocumentedCommand,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path_factory.mktemp("docs")
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(folder / "store"))
    (folder / "results.jsonl").write_bytes(encode_result(result()) + b"\n")
    monkeypatch.chdir(folder)
    assert main(list(command.words)) == EXIT_OK
    assert capsys.readouterr().err == ""
