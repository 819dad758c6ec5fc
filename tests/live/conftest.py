"""One workbench for all live tests of a process; builds come from the user's own store."""

from collections.abc import Iterator

import pytest

from harness.cells.workbench import Workbench, open_workbench


@pytest.fixture(scope="session")
def workbench() -> Iterator[Workbench]:
    with open_workbench() as opened:
        yield opened
