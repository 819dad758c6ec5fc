"""The HTML report of real runs with three subjects, read in a real browser from end to end.

``LLAMA_HARNESS_REPORT_RESULTS`` names two results files, with the path separator between, to read
the report of other runs instead, for example of the full profile.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="selenium drives the browser")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import cli
from harness.errors import EXIT_FAIL
from harness.model import CellResult, Verdict
from harness.report.jsonl import read_results
from tests.live.chromium import (
    as_a_phone,
    choose,
    click,
    copied,
    ground,
    open_chromium,
    open_page,
    press,
    shown,
    text,
)
from tests.live.matrix_runs import command, run_matrix, variables

pytestmark = pytest.mark.live

GIVEN = "LLAMA_HARNESS_REPORT_RESULTS"
SELECTION = (
    *("--build", "b8929", "--build", "b9246", "--env", "cpu", "--model", "tiny-mtp"),
    *("--mode", "none", "--mode", "mtp", "--draft-max", "default", "--draft-max", "5"),
)
FIRST = ("reference", "reference@E", "reference@D")
SECOND = ("reference", "reference@D")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Results of two runs."""
    if given := os.environ.get(GIVEN):
        first, second = map(Path, given.split(os.pathsep))
        return first, second
    paths = []
    for name, subjects in (("first", FIRST), ("second", SECOND)):
        words = [word for subject in subjects for word in ("--subject", subject)]
        run = run_matrix(tmp_path_factory.mktemp(name), [*SELECTION, *words, "-n", "0"])
        paths.append(run.jsonl.rename(run.jsonl.with_name(f"{name}.jsonl")))
    return paths[0], paths[1]


@pytest.fixture(scope="module")
def results(files: tuple[Path, Path]) -> tuple[CellResult, ...]:
    return tuple(read_results(files[:1]))


@pytest.fixture(scope="module")
def page(files: tuple[Path, Path]) -> Iterator[webdriver.Chrome]:
    report = files[0].with_name("report.html")
    assert cli.main(["report", "html", *map(str, files), "-o", str(report)]) == 0
    with open_chromium() as browser, open_page(browser, report) as opened:
        yield opened


def bad(results: tuple[CellResult, ...]) -> list[CellResult]:
    return [one for one in results if one.status in {Verdict.FAIL, Verdict.ERROR, Verdict.FLAKY}]


def test_three_subjects_are_shown_whole(
    page: webdriver.Chrome, results: tuple[CellResult, ...]
) -> None:
    subjects = {one.subject for one in results}
    assert len(subjects) >= 3
    assert text(page, "summary").startswith(f"{len(results)} of {len(results)} cells: ")
    assert len(shown(page)) == len(results)
    heads = [one.text for one in page.find_elements(By.CSS_SELECTOR, "#grids h2")]
    assert {head.partition(" · ")[0] for head in heads} == subjects


def test_a_failure_is_found_opened_copied_and_run(
    page: webdriver.Chrome, results: tuple[CellResult, ...], tmp_path: Path
) -> None:
    click(page, "failures")
    assert {one.get_attribute("data-id") for one in shown(page)} == {one.id for one in bad(results)}
    failed = next(one for one in results if one.status is Verdict.FAIL)
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center'})",
        cell := page.find_element(By.CSS_SELECTOR, f'#grids [data-id="{failed.id}"]'),
    )
    cell.click()
    assert text(page, "detail-title") == f"fail {failed.id}"
    blamed = {check.argument for check in failed.checks if not check.ok and check.argument}
    marked = page.find_elements(By.CSS_SELECTOR, "#detail .argv mark")
    assert {one.text for one in marked} >= blamed & set(failed.argv)
    line = copied(page)
    assert line == failed.repro
    words = shlex.split(line)[2:]
    again = subprocess.run(
        command(*words, "-n", "0", "-o", f"cache_dir={tmp_path}"),
        capture_output=True,
        env=variables(),
        timeout=300,
        check=False,
    )
    assert again.returncode == EXIT_FAIL, again.stdout
    press(page, Keys.ESCAPE)
    click(page, "reset")


def test_both_themes(page: webdriver.Chrome) -> None:
    seen = set()
    for _ in range(3):
        click(page, "theme")
        seen.add(ground(page))
    assert len(seen) == 2


def test_two_runs_are_compared(
    page: webdriver.Chrome, files: tuple[Path, Path], results: tuple[CellResult, ...]
) -> None:
    failing = bad(results)[0].subject
    click(page, "tab-compare")
    first, second = (path.stem for path in files)
    choose(page, "left", f"{first}: reference")
    choose(page, "right", f"{second}: reference")
    assert text(page, "compare-summary").startswith("0 of ")
    choose(page, "right", f"{first}: {failing}")
    assert not text(page, "compare-summary").startswith("0 of ")
    row = page.find_element(By.CSS_SELECTOR, "#comparison tbody tr")
    row.find_elements(By.CSS_SELECTOR, ".cell")[1].click()
    assert failing in text(page, "detail-title")
    press(page, Keys.ESCAPE)
    click(page, "tab-matrix")


def test_flags_of_the_run_have_a_timeline(page: webdriver.Chrome) -> None:
    click(page, "tab-timeline")
    row = page.find_element(By.XPATH, "//*[@id='timeline']//tr[th/code[text()='--draft-max']]")
    states = [one.get_attribute("title") for one in row.find_elements(By.CSS_SELECTOR, ".life")]
    assert states[0] == "offered"
    assert "removed" in states
    click(page, "tab-matrix")


def test_it_fits_a_phone(page: webdriver.Chrome) -> None:
    with as_a_phone(page):
        page.refresh()
        overflow = "return document.documentElement.scrollWidth - window.innerWidth"
        assert page.execute_script(overflow) <= 0
    page.refresh()
