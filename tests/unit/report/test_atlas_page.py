import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.errors import EXIT_OK, CatalogueError
from harness.report.atlas_page import read_atlas, render_atlas_page

VOID = {"meta", "input", "link", "br"}
MOST_BYTES = 1_500_000


@pytest.fixture(scope="module")
def page() -> str:
    return render_atlas_page(read_atlas(), title="Options")


def embedded(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


class Reader(HTMLParser):
    """Fails where elements do not nest; keeps ids, and the ids that others refer to."""

    REFERENCES = ("for", "list", "aria-controls", "aria-labelledby")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.referred: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        values = dict(attrs)
        if name := values.get("id"):
            self.ids.append(name)
        self.referred |= {text for one in self.REFERENCES if (text := values.get(one))}
        assert not {"src", "href", "action"} & set(names), "nothing is asked of anybody"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag


def test_the_whole_data_is_in_one_small_file(page: str) -> None:
    assert embedded(page) == read_atlas()
    assert len(page.encode()) < MOST_BYTES


def test_elements_nest_and_references_are_to_something(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert page.startswith("<!doctype html>")
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.referred
    assert reader.referred <= set(reader.ids)


def test_the_only_address_is_that_of_pull_requests(page: str) -> None:
    addresses = set(re.findall(r"https?://[^\s\"'`$]*", page))
    assert addresses == {"https://github.com/ggml-org/llama.cpp/pull/"}
    assert not re.search(r"@import|url\(", page)


def test_the_same_data_makes_the_same_page(page: str) -> None:
    assert render_atlas_page(read_atlas(), title="Options") == page


def test_data_is_no_markup() -> None:
    atlas = {**read_atlas(), "made": "</script><b>\u2028"}
    page = render_atlas_page(atlas, title="<i>mine</i>")
    assert embedded(page) == atlas
    assert "<b>" not in page
    assert "<h1>&lt;i&gt;mine&lt;/i&gt;</h1>" in page


def test_an_atlas_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"atlas\.json: cannot be read as JSON"):
        read_atlas(tmp_path)
    (tmp_path / "atlas.json").write_text("{", encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"atlas\.json: cannot be read as JSON"):
        read_atlas(tmp_path)


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "atlas.html"
    assert main(["report", "atlas", "--title", "Options", "-o", str(file)]) == EXIT_OK
    assert capsys.readouterr().out == ""
    written = file.read_text(encoding="utf-8")
    assert "<h1>Options</h1>" in written
    assert main(["report", "atlas", "--title", "Options"]) == EXIT_OK
    assert capsys.readouterr().out == written
