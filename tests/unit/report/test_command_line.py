"""What a command line does on many builds, as text, as a table, as Markdown and as JSON."""

import json
from typing import Any

import msgspec
import pytest

from harness.model import Remark, Verdict
from harness.report.command_line import (
    CheckedLine,
    as_json,
    drift_lines,
    finding_lines,
    markdown_lines,
    settings_table,
)
from harness.verdicts.findings import Finding


def finding(build: str, status: Verdict = Verdict.PASS, **what: Any) -> Finding:
    told: dict[str, Any] = {
        "starts": status is not Verdict.ERROR,
        "message": "starts, without speculation",
        "settings": {},
        "witnesses": {},
        **what,
    }
    return Finding(build=build, status=status, **told)


OLD = finding("b1", settings={"drafts": False, "context": 512, "slots": 1, "port": 1, "ui": True})
NEW = finding(
    "b2",
    Verdict.FAIL,
    settings={"drafts": False, "context": 256, "slots": 4, "port": 2, "ui": True},
    witnesses={"context": 1, "slots": 3},
    lacks=("-c 8k is read as 8, and context is 256",),
    silent=(
        Remark(word="8k", why="-c 8k is read as 8, and context is 256"),
        Remark(word="", why="something is ignored"),
    ),
    not_seen=("--nope",),
    advice=("-c 8192",),
    replaced=("started with -t 1 in place of -t 8: spinning",),
)
LOST = finding("b3", Verdict.ERROR, message="a | b <x>", starts=None)
LINE = CheckedLine(
    name="file#one",
    argv=("-c", "8k"),
    env={"LLAMA_ARG_X": "1"},
    findings=(OLD, NEW, LOST),
    demanded=frozenset({"context"}),
)


def test_as_text() -> None:
    assert list(finding_lines(OLD, LINE.demanded)) == [
        "ok    b1           starts, without speculation; context 512"
    ]
    assert list(finding_lines(NEW, LINE.demanded)) == [
        "FAIL  b2           starts, without speculation; context 256",
        "                   -c 8k is read as 8, and context is 256",
        "                   something is ignored",
        "                   write -c 8192 instead",
        "                   not seen: --nope",
        "                   started with -t 1 in place of -t 8: spinning",
    ]
    assert list(finding_lines(LOST, ())) == ["?     b3           a | b <x>"]


def test_drift_is_told_where_there_is_any() -> None:
    assert list(drift_lines(LINE)) == [
        "changes that nothing asked for:",
        "  slots 1 → 4 since b2",
    ]
    alone = CheckedLine(name="", argv=(), env={}, findings=(OLD, LOST), demanded=frozenset())
    assert list(drift_lines(alone)) == []


def test_builds_side_by_side() -> None:
    """What was asked for, and what differs; nothing that the harness chose."""
    assert list(settings_table(LINE)) == [
        ("", "b1", "b2", "b3"),
        ("", "ok", "FAIL", "?"),
        ("context", "512", "256", ""),
        ("slots", "1", "4", ""),
    ]


def test_as_markdown() -> None:
    assert (
        "\n".join(markdown_lines(LINE))
        == """\
### file#one

| build | | what it does |
|---|---|---|
| b1 | ok | starts, without speculation |
| b2 | FAIL | starts, without speculation<br>-c 8k is read as 8, and context is 256<br>\
something is ignored<br>write -c 8192 instead<br>not seen: --nope<br>\
started with -t 1 in place of -t 8: spinning |
| b3 | ? | a \\| b &lt;x> |

Changes that nothing asked for:

- slots 1 → 4 since b2"""
    )


def test_as_json() -> None:
    document = json.loads(msgspec.json.encode(as_json([LINE])))
    assert document["schema"] == 1
    (line,) = document["command_lines"]
    assert (line["name"], line["argv"]) == ("file#one", ["-c", "8k"])
    assert line["env"] == {"LLAMA_ARG_X": "1"}
    assert line["drift"] == [{"setting": "slots", "before": 1, "after": 4, "since": "b2"}]
    assert list(line["builds"]) == ["b1", "b2", "b3"]
    new = line["builds"]["b2"]
    assert (new["status"], new["starts"], new["blame"]) == ("fail", True, None)
    assert new["settings"]["context"] == 256
    assert new["witnesses"] == {"context": 1, "slots": 3}
    assert new["lacks"] == ["-c 8k is read as 8, and context is 256"]
    assert new["silent"][0] == {"word": "8k", "why": "-c 8k is read as 8, and context is 256"}
    assert (new["not_seen"], new["advice"]) == (["--nope"], ["-c 8192"])
    assert line["builds"]["b3"]["starts"] is None


def test_what_is_left_out_is_told_for_the_build_and_once_for_all() -> None:
    left = Remark(word="--mmproj", why="no such file")
    cannot = Remark(word="--device", why="no device")
    line = CheckedLine(
        name="",
        argv=(),
        env={},
        findings=tuple(
            finding(build, left_out=(left,), cannot_tell=(cannot,)) for build in ("b1", "b2")
        ),
        demanded=frozenset(),
    )
    (told,) = as_json([line])["command_lines"]
    assert told["left_out"] == [{"word": "--mmproj", "why": "no such file"}]
    assert [one["word"] for one in told["builds"]["b1"]["cannot_tell"]] == ["--mmproj", "--device"]


@pytest.mark.parametrize("text", ["a\nb", "a | b", "<script>"])
def test_what_is_said_cannot_break_a_table(text: str) -> None:
    line = CheckedLine(
        name=text, argv=(), env={}, findings=(finding("b1", message=text),), demanded=frozenset()
    )
    lines = list(markdown_lines(line))
    assert len(lines) == 5
    assert "<script>" not in "".join(lines)
    assert lines[-1].replace("\\|", "").count("|") == 4
