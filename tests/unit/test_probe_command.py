import argparse
import json
import sys
from pathlib import Path

import pytest

from harness.commands import probe as probe_command
from harness.errors import ProbeError, UnknownBuildError

HELP = Path(__file__).parents[2] / "fixtures" / "help"

posix = pytest.mark.skipif(sys.platform == "win32", reason="a script is no program on Windows")


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    probe_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["probe", *words])
    code = args.func(args)
    assert isinstance(code, int)
    return code


def program(folder: Path, build: str) -> Path:
    path = folder / "llama-server"
    text = str(HELP / f"{build}.txt")
    path.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.stdout.write(open({text!r}, encoding='utf-8').read())\n"
    )
    path.chmod(0o755)
    return path


@posix
def test_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(program(tmp_path, "b9246"))) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["flavour"] == "renamed"
    assert lines["MTP"] == "--spec-type draft-mtp"
    assert lines["draft"] == ("length    --spec-draft-n-max (default 3; upstream b8955 on, #22397)")
    assert lines["--spec-type"].endswith(
        "ngram-cache (several, separated by commas; upstream b7864 on, #18471)"
    )
    assert lines["removed"].startswith(
        "--draft, --draft-n, --draft-max, --draft-min, --draft-n-min (upstream b4159 … b8954, "
        "removed since b8955, #22397); "
    )


@posix
def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(program(tmp_path, "py0.3.16")), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["flavour"] == "legacy"
    assert document["mtp_token"] is None
    assert document["speculative_types"] == []
    draft = next(o for o in document["options"] if "--draft-max" in o["spellings"])
    assert draft["default"] == "16"
    assert draft["env"] == "LLAMA_ARG_DRAFT_MAX"
    assert document["upstream"]["--draft-max"] == "b4159 … b8954, removed since b8955, #22397"
    flags = {flag for option in document["options"] for flag in option["spellings"]}
    assert set(document["upstream"]) == flags


@posix
def test_the_users_llama_variables_do_not_reach_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = program(tmp_path, "b9246")
    body = path.read_text().replace(
        "import sys\n", "import os, sys\nassert 'LLAMA_ARG_DRAFT_MAX' not in os.environ\n"
    )
    path.write_text(body)
    monkeypatch.setenv("LLAMA_ARG_DRAFT_MAX", "5")
    assert run(str(path)) == 0
    assert "renamed" in capsys.readouterr().out


def test_wrong_targets(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="is a directory"):
        run(str(tmp_path))
    with pytest.raises(ProbeError, match="cannot be run"):
        run(str(tmp_path / "absent"))
    with pytest.raises(UnknownBuildError):
        run("b1")
