"""What the pages say that ``check`` and ``upgrade`` print is what they print."""

import pytest

from tests.documented_output import BLOCK, PAGES, printed_by
from tests.page_parts import parts
from tests.settings_page import PAGE, drift

pytestmark = pytest.mark.live

EXAMPLES = [found for page in PAGES for found in BLOCK.findall(page.read_text("utf-8"))]


@pytest.mark.parametrize(("command", "printed"), EXAMPLES)
def test_an_example_prints_what_its_page_shows(command: str, printed: str) -> None:
    assert printed_by(command) == printed, "python -m tests.documented_output writes it anew"


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 7


def test_what_changed_is_what_the_page_lists() -> None:
    assert parts(PAGE.read_text("utf-8"))["drift"] == [*drift()]
