"""The HTML report in a real browser, without a network, as a reader would use it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="selenium drives the browser")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness.emulation.description import recorded_help
from harness.flags.capabilities import parse_help
from harness.model import CellResult, Verdict
from harness.report.page import Run, render_page
from tests.live.chromium import (
    as_a_phone,
    choose,
    click,
    copied,
    focused,
    ground,
    open_chromium,
    open_page,
    prefer,
    press,
    shown,
    text,
    until_reopened,
)
from tests.unit.report.bad_results import NASTY, flaky, refused, untold
from tests.unit.results import lengths, result


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with open_chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    known = {build: parse_help(recorded_help(build)) for build in ("b8929", "b9093", "b9246")}
    runs = [Run(name="monday", results=monday()), Run(name="tuesday", results=tuesday())]
    path.write_text(render_page(runs, known, title="Three subjects"), encoding="utf-8")
    return path


def monday() -> tuple[CellResult, ...]:
    """Three subjects, one of which is refused by the builds after the rename."""
    good = [
        replace(
            result(
                build=build,
                subject=subject,
                environment=environment,
                mode=mode,
                effective={} if mode == "off" else {"draft-mtp": lengths(5)},
            ),
            argv=("-m", "/models/tiny.gguf", "--port", "1"),
        )
        for subject in ("reference", "unsloth==2026.10.9")
        for environment in ("cpu", "cuda-spoof")
        for build in ("b8929", "b9093", "b9246")
        for mode in ("mtp", "off")
    ]
    third = [
        replace(result(build="b8929", subject="app", effective={}), status=Verdict.DEGRADED),
        refused("b9093", subject="app"),
        refused("b9246", subject="app"),
    ]
    return (*good, *third, flaky(), untold())


def tuesday() -> tuple[CellResult, ...]:
    """The same a day later: other ports, one cell mended, one broken."""
    changed = []
    for one in monday():
        later = replace(one, argv=tuple("2" if word == "1" else word for word in one.argv))
        if one.subject == "app" and one.build == "b9246":
            later = replace(later, status=Verdict.PASS, checks=(), failure=None)
            later = replace(later, effective={"speculation": {}})
        changed.append(later)
    return tuple(changed)


@pytest.fixture
def page(browser: webdriver.Chrome, report: Path) -> Iterator[webdriver.Chrome]:
    with open_page(browser, report) as opened:
        yield opened


def test_filter_to_failures_open_one_and_copy_its_command(page: webdriver.Chrome) -> None:
    assert text(page, "summary").startswith("29 of 29 cells: 2 fail, 1 error, 1 flaky")
    assert len(page.find_elements(By.CSS_SELECTOR, "#grids h2")) == 5
    click(page, "failures")
    assert text(page, "summary") == "4 of 29 cells: 2 fail, 1 error, 1 flaky"
    choose(page, "subject", "app")
    assert [cell.text for cell in shown(page)] == ["✗ starts --draft-max"] * 2
    shown(page)[1].click()
    assert text(page, "detail-title") == "fail b9246-cpu-app-mtp-n5"
    marked = page.find_elements(By.CSS_SELECTOR, "#detail .argv mark")
    assert [one.text for one in marked] == ["--draft-max"]
    body = text(page, "detail-body")
    assert "blames --draft-max" in body
    assert NASTY.partition("\x1b")[0] in body, "the log is shown as text"
    assert page.find_elements(By.CSS_SELECTOR, "#detail-body b") == []
    expected = "llama-harness matrix --build b9246 --mode mtp"
    assert text(page, "repro") == expected
    assert copied(page) == expected
    assert page.current_url.endswith("#b9246-cpu-app-mtp-n5")


def test_a_link_to_a_cell_opens_it(page: webdriver.Chrome, report: Path) -> None:
    page.get("about:blank")
    page.get(report.as_uri() + "#b9246-cpu-app-mtp-n5")
    assert text(page, "detail-title") == "fail b9246-cpu-app-mtp-n5"


def test_search_reaches_flags_logs_and_reasons(page: webdriver.Chrome) -> None:
    search = page.find_element(By.ID, "search")
    search.send_keys("first line B9093")
    assert [cell.get_attribute("data-id") for cell in shown(page)] == ["b9093-cpu-app-mtp-n5"]
    search.send_keys(" no-such-word")
    assert text(page, "summary") == "0 of 29 cells"
    click(page, "reset")
    assert text(page, "summary").startswith("29 of 29 cells")


def test_flaky_cells_show_each_try(page: webdriver.Chrome) -> None:
    page.find_element(By.CSS_SELECTOR, "#grids .cell.flaky").click()
    tries = page.find_elements(By.CSS_SELECTOR, "#detail .attempt")
    assert [one.find_element(By.TAG_NAME, "h3").text for one in tries] == [
        "Try 1: fail",
        "Try 2: pass",
    ]


def test_themes(page: webdriver.Chrome, report: Path) -> None:
    theme = page.find_element(By.ID, "theme")
    assert theme.text == "Theme: auto"
    light = ground(page)
    theme.click()
    assert (theme.text, ground(page)) == ("Theme: light", light)
    theme.click()
    dark = ground(page)
    assert theme.text == "Theme: dark"
    assert dark != light
    until_reopened(page, report, lambda page: ground(page) == dark)


def test_compare_two_runs(page: webdriver.Chrome) -> None:
    click(page, "tab-compare")
    choose(page, "left", "monday: app")
    choose(page, "right", "tuesday: app")
    assert text(page, "compare-summary") == "1 of 3 cells differ"
    (row,) = page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr")
    assert row.text.startswith("b9246 · cpu · mtp n=5 tiny-mtp")
    assert "verdict, effective state" in row.text
    row.find_elements(By.CSS_SELECTOR, ".cell")[1].click()
    assert text(page, "detail-title").startswith("pass b9246")
    press(page, "k")
    assert text(page, "detail-title").startswith("fail b9246")
    press(page, Keys.ESCAPE)
    click(page, "only-differences")
    assert len(page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr")) == 3


def test_compare_two_subjects(page: webdriver.Chrome) -> None:
    click(page, "tab-compare")
    choose(page, "left", "monday: reference")
    choose(page, "right", "monday: app")
    assert text(page, "compare-summary") == "3 of 3 cells differ; 11 are only on one side"


def test_timeline_of_a_flags_life(page: webdriver.Chrome) -> None:
    click(page, "tab-timeline")
    row = page.find_element(By.XPATH, "//*[@id='timeline']//tr[th/code[text()='--draft-max']]")
    states = [one.get_attribute("title") for one in row.find_elements(By.CSS_SELECTOR, ".life")]
    assert states == ["offered", "removed", "removed"]


def test_keyboard_alone(page: webdriver.Chrome) -> None:
    press(page, "/")
    assert focused(page).get_attribute("id") == "search"
    press(page, "app", Keys.TAB)
    page.execute_script("document.activeElement.blur()")
    press(page, "f")
    assert text(page, "summary") == "2 of 29 cells: 2 fail"
    first = shown(page)[0]
    page.execute_script("arguments[0].focus()", first)
    press(page, Keys.ARROW_RIGHT)
    assert focused(page).get_attribute("data-id") == "b9246-cpu-app-mtp-n5"
    press(page, Keys.ARROW_RIGHT)
    assert focused(page).get_attribute("data-id") == "b9246-cpu-app-mtp-n5", "the grid ends"
    press(page, Keys.ARROW_LEFT, Keys.ENTER)
    assert text(page, "detail-title") == "fail b9093-cpu-app-mtp-n5"
    press(page, "j")
    assert text(page, "detail-title") == "fail b9246-cpu-app-mtp-n5"
    press(page, Keys.ESCAPE)
    assert not page.find_element(By.ID, "detail").is_displayed()
    assert focused(page).get_attribute("data-id") == "b9246-cpu-app-mtp-n5"


def test_tabs_by_arrow_keys(page: webdriver.Chrome) -> None:
    page.execute_script("document.getElementById('tab-matrix').focus()")
    press(page, Keys.ARROW_RIGHT)
    assert page.find_element(By.ID, "view-compare").is_displayed()
    assert focused(page).get_attribute("aria-selected") == "true"
    press(page, Keys.ARROW_LEFT)
    assert page.find_element(By.ID, "view-matrix").is_displayed()


def test_on_a_phone(page: webdriver.Chrome) -> None:
    overflow = "return document.documentElement.scrollWidth - window.innerWidth"
    with as_a_phone(page):
        page.refresh()
        assert page.execute_script(overflow) <= 0, "only grids scroll sideways"
        assert not page.find_element(By.ID, "subject").is_displayed(), "filters are folded"
        page.find_element(By.CSS_SELECTOR, "#more > summary").click()
        assert page.find_element(By.ID, "subject").is_displayed()
        click(page, "failures")
        shown(page)[0].click()
        width = "return document.getElementById('detail').getBoundingClientRect().width"
        assert page.execute_script(width) <= 390
        assert page.find_element(By.ID, "copy").is_displayed()
        click(page, "close")
        click(page, "tab-compare")
        assert page.execute_script(overflow) <= 0
    page.refresh()
    assert page.find_element(By.ID, "subject").is_displayed(), "a wide screen shows them all"


def test_the_overview_counts_bad_cells_and_leads_to_them(page: webdriver.Chrome) -> None:
    fields = page.find_elements(By.CSS_SELECTOR, "#overview button")
    (field,) = [
        one
        for one in fields
        if (one.get_attribute("data-subject"), one.get_attribute("data-build")) == ("app", "b9093")
    ]
    assert field.text == "✗ 1 of 1"
    field.click()
    assert text(page, "summary") == "1 of 29 cells: 1 fail"
    heads = page.find_elements(By.CSS_SELECTOR, "#grids section:not([hidden]) thead th")
    assert [one.text for one in heads if one.is_displayed()] == ["request", "b9093"]
    field.click()
    assert text(page, "summary").startswith("29 of 29 cells")


def test_failures_only_can_be_taken_back(page: webdriver.Chrome) -> None:
    failures = page.find_element(By.ID, "failures")
    assert failures.get_attribute("aria-pressed") == "false"
    failures.click()
    assert failures.get_attribute("aria-pressed") == "true"
    failures.click()
    assert text(page, "summary").startswith("29 of 29 cells")


def test_verdicts_are_told_by_more_than_colour(page: webdriver.Chrome) -> None:
    for status, mark in (("fail", "✗"), ("error", "!"), ("flaky", "±"), ("degraded", "↓")):
        cell = page.find_element(By.CSS_SELECTOR, f"#grids .cell.{status}")
        assert cell.text.startswith(mark)
        assert status in (cell.get_attribute("aria-label") or "")


def test_command_lines_count_between_runs_of_a_subject(page: webdriver.Chrome) -> None:
    click(page, "tab-compare")
    choose(page, "left", "monday: reference")
    choose(page, "right", "tuesday: reference")
    assert page.find_element(By.ID, "command-lines").is_selected()
    choose(page, "right", "monday: unsloth==2026.10.9")
    assert not page.find_element(By.ID, "command-lines").is_selected()
    assert text(page, "compare-summary").startswith("0 of 12 cells differ")


def test_a_comparison_shows_the_words_that_differ(page: webdriver.Chrome) -> None:
    click(page, "tab-compare")
    choose(page, "left", "monday: reference")
    choose(page, "right", "monday: app")
    rows = page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr")
    (row,) = [one for one in rows if one.text.startswith("b9246 · cpu · mtp n=5")]
    words = [one.text for one in row.find_elements(By.TAG_NAME, "code")]
    assert words[0] == "- --port PORT"
    assert words[1].startswith("+ --draft-max 5 </script>")


def test_a_dark_system_gets_a_dark_page(page: webdriver.Chrome) -> None:
    light = ground(page)
    prefer(page, "dark")
    try:
        assert ground(page) != light
    finally:
        prefer(page, "light")


MANY = 5040


def test_five_thousand_cells_are_filtered_in_place(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    cells = tuple(
        result(
            build=f"b{build}",
            subject=f"app {subject}",
            mode="mtp",
            draft_n_max=length,
            effective={"draft-mtp": lengths(length)},
            failed=("draft-n-max",) if (build, length) == (9007, 3) else (),
        )
        for subject in range(3)
        for build in range(9000, 9012)
        for length in range(140)
    )
    assert len(cells) == MANY
    path = tmp_path / "large.html"
    path.write_text(render_page([Run(name="large", results=cells)], {}, title="t"), "utf-8")
    with open_page(browser, path) as page:
        assert text(page, "summary") == f"{MANY} of {MANY} cells: 3 fail, {MANY - 3} pass"
        first = shown(page)[0]
        search = page.find_element(By.ID, "search")
        search.send_keys("app 2-mtp-n13")
        assert text(page, "summary") == "132 of 5040 cells: 132 pass"
        click(page, "reset")
        assert shown(page)[0] == first, "a filter makes no element anew"
        press(page, "f")
        assert text(page, "summary") == f"3 of {MANY} cells: 3 fail"
        shown(page)[1].click()
        assert text(page, "place") == "2 of 3"
