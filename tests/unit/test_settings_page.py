"""The pages on settings and on ``check`` say what the code says."""

from pathlib import Path

from harness.model import Verdict
from harness.report.command_line import CheckedLine, as_json
from harness.verdicts.findings import Finding
from tests.page_parts import parts
from tests.settings_page import PAGE, table

CHECK = Path(__file__).parents[2] / "docs" / "check.md"


def test_the_table_is_made_from_the_code() -> None:
    made = parts(PAGE.read_text("utf-8"))["table"]
    assert made == [*table()], "run python -m tests.settings_page"


def test_every_key_of_the_answer_is_explained() -> None:
    finding = Finding(
        build="b1", status=Verdict.PASS, starts=True, message="starts", settings={}, witnesses={}
    )
    line = CheckedLine(name="", argv=(), env={}, findings=(finding,), demanded=frozenset())
    answer = as_json([line])
    (told,) = answer["command_lines"]
    page = CHECK.read_text("utf-8")
    for key in (*answer, *told, *told["builds"]["b1"]):
        assert f"| `{key}` |" in page, key
