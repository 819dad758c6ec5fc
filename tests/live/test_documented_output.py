"""What the pages say that ``check`` prints is what it prints."""

import re
import shlex
from pathlib import Path

import pytest

from harness.cli import main
from tests.settings_page import PAGE, drift, parts

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs" / "check.md")
BLOCK = re.compile(r"```console\n\$ llama-harness (check .*)\n((?:.+\n|\n)+?)```")
EXAMPLES = [found for page in PAGES for found in BLOCK.findall(page.read_text("utf-8"))]


@pytest.mark.parametrize(("command", "printed"), EXAMPLES)
def test_an_example_prints_what_its_page_shows(
    command: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(shlex.split(command))
    assert capsys.readouterr().out == printed


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


def test_what_changed_is_what_the_page_lists() -> None:
    assert parts(PAGE.read_text("utf-8"))["drift"] == [*drift()]
