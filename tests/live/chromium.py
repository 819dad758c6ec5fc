"""A real browser for what the harness shows in one, with its console and its network watched."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium drives the browser")

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1300,900",
)


@contextmanager
def open_chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window; skips the test where there is none."""
    driver = shutil.which("chromedriver")
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if driver is None or program is None:
        pytest.skip("no chromium (or chrome) with its chromedriver on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        prefer(browser, "light")
        yield browser
    finally:
        browser.quit()


@contextmanager
def open_page(browser: webdriver.Chrome, path: Path) -> Iterator[webdriver.Chrome]:
    """A page as a reader finds it who never saw it; fails if it logs or asks a network."""
    until_reopened(browser, path, _remembers_nothing)
    browser.get("about:blank")
    logged(browser, "performance")
    logged(browser, "browser")
    browser.get(path.as_uri())
    yield browser
    errors = [entry for entry in logged(browser, "browser") if entry["level"] != "DEBUG"]
    assert errors == [], "the console stays empty"
    requests = [
        entry["message"]
        for entry in logged(browser, "performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert all('"url":"file:///' in one for one in requests), "nothing is asked of a network"


def until_reopened(
    browser: webdriver.Chrome, path: Path, seen: Callable[[webdriver.Chrome], bool]
) -> None:
    """Open a page until something is seen on it, for ten seconds at most.

    What a page stores is with the browser a moment later, and the next page may be in another
    process.
    """

    def reopened(_: object) -> bool:
        browser.get("about:blank")
        browser.get(path.as_uri())
        return seen(browser)

    WebDriverWait(browser, 10).until(reopened)


def _remembers_nothing(browser: webdriver.Chrome) -> bool:
    stored = browser.execute_script("return Object.values(localStorage)")
    browser.execute_script("localStorage.clear()")
    return set(stored) <= {"auto"}  # which a page stores as it opens


@contextmanager
def as_a_phone(browser: webdriver.Chrome) -> Iterator[None]:
    """A screen of 390 by 844 points."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def prefer(browser: webdriver.Chrome, scheme: str) -> None:
    """Have the system prefer ``light`` or ``dark``."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def logged(browser: webdriver.Chrome, kind: str) -> list[Any]:
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def shown(page: webdriver.Chrome) -> list[WebElement]:
    """The cells of the matrix that the filters leave."""
    return page.find_elements(By.CSS_SELECTOR, "#grids .cell:not(.dim)")


def text(page: webdriver.Chrome, element: str) -> str:
    return page.find_element(By.ID, element).text


def click(page: webdriver.Chrome, element: str) -> None:
    page.find_element(By.ID, element).click()


def choose(page: webdriver.Chrome, element: str, option: str) -> None:
    Select(page.find_element(By.ID, element)).select_by_visible_text(option)


def press(page: webdriver.Chrome, *keys: str) -> None:
    ActionChains(page).send_keys(*keys).perform()


def focused(page: webdriver.Chrome) -> WebElement:
    return page.switch_to.active_element


def ground(page: webdriver.Chrome) -> str:
    """The page's background."""
    return page.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")


def copied(page: webdriver.Chrome) -> str:
    """What the button beside the command puts on the clipboard."""
    page.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite"], "origin": "file://"}
    )
    click(page, "copy")
    WebDriverWait(page, 10).until(lambda _: text(page, "copy") == "Copied")
    return str(
        page.execute_async_script(
            "navigator.clipboard.readText().then(arguments[0], () => arguments[0](null))"
        )
    )
