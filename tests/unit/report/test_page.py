import json
import re
from html.parser import HTMLParser
from typing import Any

from harness.model import CellResult
from harness.report.page import Run, render_page
from tests.unit.report.bad_results import NASTY, flaky, one_of_each, refused
from tests.unit.results import result


def embedded(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


class Reader(HTMLParser):
    """The elements of a page, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        values = dict(attrs)
        self.addresses += [text for name in ("src", "href", "action") if (text := values.get(name))]
        if name := values.get("id"):
            self.ids.append(name)


def page_of(*results: CellResult, title: str = "a run") -> str:
    return render_page([Run(name="run", results=results)], {}, title=title)


def test_results_come_through_whole() -> None:
    results = one_of_each()
    cells = embedded(page_of(*results))["runs"][0]["cells"]
    assert [cell["id"] for cell in cells] == [one.id for one in results]
    assert [cell["status"] for cell in cells] == [one.status.value for one in results]
    refused_cell = next(cell for cell in cells if cell["status"] == "fail")
    assert refused_cell["failure"]["log_tail"] == ["first line", NASTY]
    assert refused_cell["offending"] == ["--draft-max"]
    assert refused_cell["label"] == "starts --draft-max"
    assert refused_cell["wish"] == "mtp n=5 tiny-mtp"


def test_tries_of_a_flaky_cell_are_rendered_as_cells() -> None:
    (cell,) = embedded(page_of(flaky()))["runs"][0]["cells"]
    assert [one["status"] for one in cell["attempts"]] == ["fail", "pass"]
    assert cell["attempts"][0]["offending"] == ["--draft-max"]


def test_one_file_without_addresses() -> None:
    reader = Reader()
    page = page_of(refused())
    reader.feed(page)
    assert reader.addresses == []
    assert not re.search(r"https?://|@import|url\(", page)
    assert reader.opened.count("script") == 2
    assert "b" not in reader.opened, "what a server says is no markup"
    assert len(reader.ids) == len(set(reader.ids))


def test_titles_are_text() -> None:
    page = page_of(result(), title="<b>mine</b>")
    assert "<h1>&lt;b&gt;mine&lt;/b&gt;</h1>" in page


def test_no_results_make_a_page() -> None:
    assert embedded(render_page([Run(name="none", results=())], {}, title="t"))["runs"] == [
        {"name": "none", "cells": []}
    ]
