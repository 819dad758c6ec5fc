"""The diffs of the most common service files, which were reviewed by hand."""

from pathlib import Path

import pytest

from tests.upgraded_services import DIFFS, FILES, SERVICES, step, upgraded

WRITE = "python -m tests.upgraded_services writes them anew; review what differs"


@pytest.mark.parametrize("name", FILES)
def test_a_service_file_all_the_way(name: str, tmp_path: Path) -> None:
    assert upgraded(name, tmp_path) == (DIFFS / f"{name}.diff").read_text("utf-8"), WRITE


def test_every_file_has_a_diff() -> None:
    assert {path.name for path in DIFFS.iterdir()} == {f"{name}.diff" for name in FILES}
    assert len(FILES) == 10


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_upgraded_stays_so(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes((SERVICES / name).read_bytes())
    for _, after in step(path, "b8929", "b11434").values():
        path.write_text(after, encoding="utf-8", newline="")
    assert step(path, "b11434", "b11434") == {}


@pytest.mark.parametrize("name", FILES)
def test_line_ends_stay_as_they_were(name: str, tmp_path: Path) -> None:
    """Git on Windows checks text files out with CRLF."""
    path = tmp_path / name
    original = (SERVICES / name).read_bytes()
    assert b"\r" not in original
    path.write_bytes(original)
    plain = [after for _, after in step(path, "b8929", "b11434").values()]
    path.write_bytes(original.replace(b"\n", b"\r\n"))
    found = [after for _, after in step(path, "b8929", "b11434").values()]
    assert found == [text.replace("\n", "\r\n") for text in plain]
