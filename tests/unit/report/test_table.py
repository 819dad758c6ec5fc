"""The table: plain and in colour, wide and narrow, in whatever encoding."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.model import CellResult, Check, Failure, FailureKind, Verdict
from harness.report.table import ROWS, print_tables
from harness.terminal import PLAIN_WIDTH
from tests.unit.results import lengths, result

ON = {"draft-mtp": lengths(5)}


def plain(results: Sequence[CellResult], encoding: str = "utf-8") -> str:
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding=encoding, newline="\n")
    print_tables(results, stream)
    stream.flush()
    return data.getvalue().decode(encoding)


def row(text: str, build: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"|{build}"))
    return [field.strip() for field in line.strip("|").split("|")]


def degraded(reason: str, **changes: str) -> CellResult:
    return replace(result(status=Verdict.DEGRADED, effective={}, **changes), reason=reason)  # type: ignore[arg-type]


def test_builds_down_and_modes_across_one_block_per_environment() -> None:
    text = plain(
        [
            result(effective=ON),
            result(effective={"ngram-mod": lengths(64, 48)}, mode="ngram"),
            result(build="b8929", effective={}, mode="off"),
            result(effective={"draft-mtp": lengths(2)}, environment="cuda-spoof"),
        ]
    )
    cpu, spoof = text.split("cuda-spoof (", 1)
    assert "cpu (no GPU)" in cpu
    assert row(cpu, "b9246") == ["b9246", "tiny-mtp", "mtp 0…5", "ngram 48…64", ""]
    assert row(cpu, "b8929") == ["b8929", "tiny-mtp", "", "", "off"]
    assert row(spoof, "b9246")[2] == "mtp 0…2"
    assert "4 cells: 4 pass" in text
    assert "\x1b[" not in text


def test_cells_that_differ_in_length_alone_share_a_line() -> None:
    results = [
        result(draft_n_max=n, effective={"draft-mtp": lengths(n or 3)}) for n in (None, 1, 5, 16)
    ]
    assert row(plain(results), "b9246")[2] == "mtp 0…{3,1,5,16}"


def test_why_a_cell_is_bad_stands_in_its_field() -> None:
    check = Check(name="flags-offered", expected="", observed="", ok=False, argument="--nope")
    bad = replace(result(status=Verdict.FAIL), checks=(check,))
    gone = result(
        status=Verdict.ERROR,
        draft_n_max=1,
        failure=Failure(kind=FailureKind.BUILD, message="no source"),
    )
    text = plain([bad, gone])
    assert "✗ n=5: flags-offered: --nope" in text
    assert "✗ n=1: build" in text
    assert "2 cells: 1 error, 1 fail" in text


def test_reasons_are_numbered_once() -> None:
    text = plain(
        [
            degraded("no MTP here"),
            degraded("no MTP here", build="b8929"),
            degraded("no ngram", mode="ngram"),
        ]
    )
    assert row(text, "b9246")[2:] == ["off [1]", "off [2]"]
    assert row(text, "b8929")[2] == "off [1]"
    assert "[1] no MTP here\n[2] no ngram\n" in text


def test_subjects_have_a_column_where_there_are_several() -> None:
    text = plain([result(effective=ON), result(effective=ON, subject="reference@D")])
    assert row(text, "b9246")[:3] == ["b9246", "reference", "tiny-mtp"]
    assert "reference@D" in text


def test_a_long_table_says_its_headings_again_and_loses_no_row() -> None:
    builds = [f"b{9000 + number}" for number in range(ROWS + 1)]
    text = plain([result(build=build, effective=ON) for build in builds])
    assert [row(text, build)[2] for build in builds] == ["mtp 0…5"] * len(builds)
    assert len([line for line in text.splitlines() if line.startswith("|build")]) == 2
    assert text.count("cpu (no GPU), continued") == 1


def test_emulated_builds_are_marked() -> None:
    assert row(plain([result(effective=ON, emulated=True)]), "b9246")[0] == "b9246 (emulated)"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_narrow_encodings_lose_no_line(encoding: str) -> None:
    bad = replace(
        result(status=Verdict.FAIL, failed=("starts",)), request=result(mode="ngram").request
    )
    text = plain([result(effective=ON), bad, degraded("naïve ✗ reason", mode="off")], encoding)
    assert row(text, "b9246")[2] == "mtp 0..5"
    assert "x n=5: starts" in text
    assert "3 cells: " in text


def test_plain_lines_keep_to_the_width_and_remarks_are_never_broken() -> None:
    reason = "a very long reason " * 20
    results = [degraded(reason), *(result(mode=f"mode-{i}", effective=ON) for i in range(30))]
    text = plain(results)
    table = [line for line in text.splitlines() if line.startswith(("|", "+"))]
    assert max(map(len, table)) <= PLAIN_WIDTH
    assert f"[1] {reason}".strip() in text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [30, 200])
def test_a_terminal_has_colour_and_its_own_width(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    print_tables([result(effective=ON), result(status=Verdict.FAIL, mode="off")], stream)
    text = stream.getvalue()
    assert "\x1b[32m" in text
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "".join(bare.split()).count("b9246") == 1
    assert all(
        len(line) <= columns for line in bare.splitlines() if "…{" not in line and "{…}" not in line
    )


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    print_tables([result(effective=ON)], stream)
    assert "\x1b[32m" not in stream.getvalue()
    assert "mtp 0…5" in stream.getvalue()
