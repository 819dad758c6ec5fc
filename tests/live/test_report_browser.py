"""The HTML report in a real browser, without a network, as a reader would use it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium drives the browser")

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from harness.capabilities import parse_help
from harness.model import CellResult, Verdict
from harness.report.command import recorded_help_directory
from harness.report.page import Run, render_page
from tests.unit.report.bad_results import NASTY, flaky, refused, untold
from tests.unit.results import lengths, result

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    driver = shutil.which("chromedriver")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if driver is None or program is None:
        pytest.skip("no chromium (or chrome) with its chromedriver on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1300,900",
        "--force-prefers-color-scheme=light",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    known = {
        build: parse_help((recorded_help_directory() / f"{build}.txt").read_text(encoding="utf-8"))
        for build in ("b8929", "b9093", "b9246")
    }
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
            later = replace(later, status=Verdict.PASS, checks=(), failure=None, effective={})
        changed.append(later)
    return tuple(changed)


@pytest.fixture
def page(browser: webdriver.Chrome, report: Path) -> Iterator[webdriver.Chrome]:
    browser.get(report.as_uri())
    browser.execute_script("localStorage.clear()")
    browser.get("about:blank")
    logged(browser, "performance")
    logged(browser, "browser")
    browser.get(report.as_uri())
    yield browser
    errors = [entry for entry in logged(browser, "browser") if entry["level"] != "DEBUG"]
    assert errors == [], "the console stays empty"
    requests = [
        entry["message"]
        for entry in logged(browser, "performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert all('"url":"file:///' in one for one in requests), "nothing is asked of a network"


def logged(browser: webdriver.Chrome, kind: str) -> list[Any]:
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def shown(page: webdriver.Chrome) -> list[WebElement]:
    return page.find_elements(By.CSS_SELECTOR, "#grids .cell:not(.dim)")


def text(page: webdriver.Chrome, element: str) -> str:
    return page.find_element(By.ID, element).text


def press(page: webdriver.Chrome, *keys: str) -> None:
    ActionChains(page).send_keys(*keys).perform()


def focused(page: webdriver.Chrome) -> WebElement:
    return page.switch_to.active_element


def test_filter_to_failures_open_one_and_copy_its_command(page: webdriver.Chrome) -> None:
    assert text(page, "summary").startswith("29 of 29 cells: 2 fail, 1 error, 1 flaky")
    assert len(page.find_elements(By.CSS_SELECTOR, "#grids h2")) == 5
    page.find_element(By.ID, "failures").click()
    assert text(page, "summary") == "4 of 29 cells: 2 fail, 1 error, 1 flaky"
    Select(page.find_element(By.ID, "subject")).select_by_visible_text("app")
    assert [cell.text for cell in shown(page)] == ["✗ starts --draft-max"] * 2
    shown(page)[1].click()
    assert text(page, "detail-title") == "fail b9246-cpu-app-mtp-n5"
    marked = page.find_elements(By.CSS_SELECTOR, "#detail .argv mark")
    assert [one.text for one in marked] == ["--draft-max"]
    body = text(page, "detail-body")
    assert "blames --draft-max" in body
    assert NASTY.partition("\x1b")[0] in body, "the log is shown as text"
    assert page.find_elements(By.CSS_SELECTOR, "#detail-body b") == []
    page.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite"], "origin": "file://"}
    )
    page.find_element(By.ID, "copy").click()
    WebDriverWait(page, 10).until(lambda _: text(page, "copy") == "Copied")
    copied = page.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], () => arguments[0](null))"
    )
    expected = "llama-harness matrix --build b9246 --mode mtp"
    assert text(page, "repro") == expected
    assert copied == expected
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
    page.find_element(By.ID, "reset").click()
    assert text(page, "summary").startswith("29 of 29 cells")


def test_flaky_cells_show_each_try(page: webdriver.Chrome) -> None:
    page.find_element(By.CSS_SELECTOR, "#grids .cell.flaky").click()
    tries = page.find_elements(By.CSS_SELECTOR, "#detail .attempt")
    assert [one.find_element(By.TAG_NAME, "h3").text for one in tries] == [
        "Try 1: fail",
        "Try 2: pass",
    ]


def test_themes(page: webdriver.Chrome, report: Path) -> None:
    def ground() -> str:
        return page.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")

    theme = page.find_element(By.ID, "theme")
    assert theme.text == "Theme: auto"
    light = ground()
    theme.click()
    assert (theme.text, ground()) == ("Theme: light", light)
    theme.click()
    dark = ground()
    assert theme.text == "Theme: dark"
    assert dark != light
    page.get(report.as_uri())
    assert ground() == dark, "remembered"


def test_compare_two_runs(page: webdriver.Chrome) -> None:
    page.find_element(By.ID, "tab-compare").click()
    Select(page.find_element(By.ID, "left")).select_by_visible_text("monday: app")
    Select(page.find_element(By.ID, "right")).select_by_visible_text("tuesday: app")
    assert text(page, "compare-summary") == "1 of 3 cells differ"
    (row,) = page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr")
    assert row.text.startswith("b9246 · cpu · mtp n=5 tiny-mtp")
    assert "verdict, effective state" in row.text
    row.find_elements(By.CSS_SELECTOR, ".cell")[1].click()
    assert text(page, "detail-title").startswith("pass b9246")
    press(page, "k")
    assert text(page, "detail-title").startswith("fail b9246")
    press(page, Keys.ESCAPE)
    page.find_element(By.ID, "only-differences").click()
    assert len(page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr")) == 3


def test_compare_two_subjects(page: webdriver.Chrome) -> None:
    page.find_element(By.ID, "tab-compare").click()
    Select(page.find_element(By.ID, "left")).select_by_visible_text("monday: reference")
    Select(page.find_element(By.ID, "right")).select_by_visible_text("monday: app")
    assert text(page, "compare-summary") == "3 of 3 cells differ; 11 are only on one side"


def test_timeline_of_a_flags_life(page: webdriver.Chrome) -> None:
    page.find_element(By.ID, "tab-timeline").click()
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
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        overflow = "return document.documentElement.scrollWidth - window.innerWidth"
        assert page.execute_script(overflow) <= 0, "only grids scroll sideways"
        shown(page)[0].click()
        width = "return document.getElementById('detail').getBoundingClientRect().width"
        assert page.execute_script(width) <= 390
        assert page.find_element(By.ID, "close").is_displayed()
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
