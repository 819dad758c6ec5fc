import re

import pytest

from harness.model import Verdict
from harness.report.markdown import render_markdown
from tests.unit.report.bad_results import flaky, one_of_each, refused
from tests.unit.results import lengths, result


def tables(text: str) -> list[list[list[str]]]:
    """The tables, each a list of rows of fields; escaped bars are no borders."""
    found: list[list[list[str]]] = [[]]
    for line in text.split("\n"):
        if line.startswith("|"):
            found[-1].append([field.strip() for field in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_one_table_for_each_subject_and_environment() -> None:
    text = render_markdown(
        [
            result(build="b8929", status=Verdict.DEGRADED, effective={}),
            result(build="b9246", effective={"draft-mtp": lengths(5)}),
            result(build="b9246", environment="cuda-spoof", effective={"draft-mtp": lengths(2)}),
        ],
        title="run",
    )
    assert text.startswith("## run\n\n3 cells: 2 pass, 1 degraded\n")
    first, second = tables(text)
    assert first[0] == ["request", "b8929", "b9246"]
    assert first[2] == ["<code>mtp n=5 tiny-mtp</code>", "🟡 off", "✅ mtp 5"]
    assert second[2] == ["<code>mtp n=5 tiny-mtp</code>", "✅ mtp 2"]
    assert "### reference, cuda-spoof (G)" in text


def test_every_verdict_has_a_mark_of_its_own() -> None:
    text = render_markdown(one_of_each(), title="run")
    assert {mark for mark in "✅🟡🟣❌🎲⚠" if mark in text} == set("✅🟡🟣❌🎲⚠")
    assert "(emulated)" in text


def test_nothing_that_a_server_says_breaks_out() -> None:
    text = render_markdown([refused(), result(mode="a|b`c")], title="<run>")
    assert "</script>" not in re.sub(r"(?s)````.*?````", "", text)
    assert all(len(row) == len(table[0]) for table in tables(text) for row in table)
    assert "## &lt;run&gt;" in text
    fences = re.findall(r"(?m)^(`{3,})(?:console|text)?$", text)
    assert [fences[at] for at in range(0, len(fences), 2)] == [
        fences[at] for at in range(1, len(fences), 2)
    ]


def test_failures_carry_their_command_lines() -> None:
    text = render_markdown([refused()], title="run")
    assert "llama-server -m /models/tiny.gguf --draft-max 5" in text
    assert "$ llama-harness matrix --build b9246 --mode mtp" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_flaky_cells_show_every_try() -> None:
    text = render_markdown([flaky()], title="run")
    assert "came out as fail, then pass" in text
    assert "removed-argument" in text


@pytest.mark.parametrize("most", [400, 5_000, 60_000])
def test_size_is_bounded_and_the_rest_counted(most: int) -> None:
    results = [refused(f"b{number}") for number in range(200)]
    text = render_markdown(results, title="run", most_bytes=most)
    assert len(text.encode()) <= most
    hidden = re.search(r"(\d+) more failures are in the results file", text)
    assert hidden is not None
    assert int(hidden[1]) + text.count("<details>") == 200


def test_no_results() -> None:
    assert render_markdown([], title="run") == "## run\n\nno cells\n"
