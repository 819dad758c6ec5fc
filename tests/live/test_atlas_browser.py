"""The atlas as a page in a real browser, without a network, as a reader would use it."""

import json
import random
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("selenium", reason="selenium drives the browser")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from harness.flags.standing import Status, outlook
from harness.report.atlas_page import read_atlas, render_atlas_page
from tests.live.chromium import (
    as_a_phone,
    choose,
    click,
    focused,
    ground,
    open_chromium,
    open_page,
    prefer,
    press,
    text,
    until_reopened,
)

SEEN: Final = (6170, 8929, 9093, 9246, 9464, 11434)
"""Builds that every case was seen on; the first is that of llama-cpp-python 0.3.16."""

ATLAS: Final = read_atlas()
LAST: Final = ATLAS["last"]
GONE: Final = ATLAS["options"]["--mmap"]["history"][-1]
AFTER, BY = GONE["after"], GONE["b"]
"""The archives between which the mmap switches went: the atlas may narrow it one day."""


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with open_chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("atlas") / "atlas.html"
    path.write_text(render_atlas_page(ATLAS, title="Options"), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: webdriver.Chrome, file: Path) -> Iterator[webdriver.Chrome]:
    with open_page(browser, file) as opened:
        yield opened


def names(page: webdriver.Chrome) -> list[str]:
    """The options that a search leaves, in their order."""
    shown = page.find_elements(By.CSS_SELECTOR, "#lives tbody tr:not([hidden]) .name")
    return [one.get_attribute("data-id") or "" for one in shown]


def search(page: webdriver.Chrome, words: str) -> list[str]:
    enter(page, "search", words)
    return names(page)


def enter(page: webdriver.Chrome, element: str, words: str) -> None:
    """Have a field hold these words and no others."""
    there = page.find_element(By.ID, element)
    there.clear()
    there.send_keys(words)


def option(page: webdriver.Chrome, name: str) -> WebElement:
    return page.find_element(By.CSS_SELECTOR, f'#lives .name[data-id="{name}"]')


def life(page: webdriver.Chrome, name: str) -> str:
    """What the bar of an option says to those who do not see it."""
    row = option(page, name).find_element(By.XPATH, "./ancestor::tr")
    return row.find_element(By.CSS_SELECTOR, "[role=img]").get_attribute("aria-label") or ""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Builds on which an argument is judged alike.

    Attributes:
        state: ``accepted``, ``refused``, ``unknown``, …
        blame: The words at fault.
        advice: What to write instead, in words.
        text: All that the page says of it.
    """

    first: int
    last: int
    state: str
    blame: str
    advice: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the page makes of a command line: of the whole, and of each argument."""

    whole: tuple[Span, ...]
    rows: Mapping[str, tuple[Span, ...]]

    def at(self, build: int) -> Span:
        return at(self.whole, build)

    def advice(self, build: int) -> str:
        found = (at(spans, build) for spans in self.rows.values())
        return "; ".join(span.advice for span in found if span.advice)


def at(spans: tuple[Span, ...], build: int) -> Span:
    (found,) = [span for span in spans if span.first <= build <= span.last]
    return found


def paste(page: webdriver.Chrome, line: str) -> Standing:
    """Put a text into the box at once, as a paste does, and read what is shown."""
    if not page.find_element(By.ID, "line").is_displayed():
        click(page, "tab-line")
    page.execute_script(
        "const box = document.getElementById('line'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('input'));",
        line,
    )
    shown: list[tuple[str, list[dict[str, Any]]]] = page.execute_script(
        "return [...document.querySelectorAll('#standing tbody tr')].map((tr) => ["
        "tr.querySelector('th').textContent, [...tr.querySelectorAll('li')].map((li) => ({"
        "...li.dataset, text: li.textContent}))])"
    )
    rows = {
        name: tuple(
            Span(
                first=int(one["first"]),
                last=int(one["last"]),
                state=one["state"],
                blame=one.get("blame", ""),
                advice=one["advice"],
                text=one["text"],
            )
            for one in spans
        )
        for name, spans in shown
    }
    return Standing(whole=rows.pop("the whole line"), rows=rows)


def test_every_option_is_there_when_the_page_is_open(
    page: webdriver.Chrome, record_property: Callable[[str, object], None]
) -> None:
    timing = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
    record_property("open_ms", page.execute_script(timing))
    count = len(ATLAS["options"])
    assert names(page) == list(ATLAS["options"])
    assert text(page, "summary") == f"{count} of {count} options"


def test_a_bar_tells_a_life_by_more_than_colour(page: webdriver.Chrome) -> None:
    assert life(page, "--draft-max") == (
        "live b4159 to b8954; removed, a stub is left from b8955 on"
    )
    assert life(page, "--mmap") == (
        f"live up to b10104; deprecated b10105 to b{AFTER}; not known after b{AFTER}, by b{BY}; "
        f"removed from b{BY} on"
    )
    assert life(page, "--lookup-cache-static").startswith("live up to b3715; removed b3716 to b78")
    row = option(page, "--draft-max").find_element(By.XPATH, "./ancestor::tr")
    signs = [one.text for one in row.find_elements(By.CSS_SELECTOR, ".span")]
    assert signs == ["", "✗"]


def test_search_by_flag_variable_and_value(page: webdriver.Chrome) -> None:
    assert search(page, "-ngl") == ["--gpu-layers", "--spec-draft-ngl"]
    assert search(page, "--no_mmap") == ["--mmap"], "long flags take underscores"
    assert search(page, "LLAMA_ARG_DRAFT_MAX") == ["--draft-max"]
    assert search(page, "llama_arg_no_kv_offload") == ["--kv-offload"], "one it was once read by"
    assert search(page, "draft-mtp") == ["--spec-type"]
    assert option(page, "--spec-type").text.endswith("has draft-mtp")
    assert search(page, "type SPEC ngram-mod") == ["--spec-type"], "a word may be anywhere"
    assert search(page, "no-such-option") == []
    assert text(page, "summary") == f"0 of {len(ATLAS['options'])} options"


def test_states_and_order(page: webdriver.Chrome) -> None:
    for state in ("live", "deprecated", "gone"):
        click(page, f"state-{state}")
    assert names(page) == [
        *("--draft-max", "--draft-min"),
        *("--spec-ngram-min-hits", "--spec-ngram-size-m", "--spec-ngram-size-n"),
    ]
    click(page, "state-live")
    choose(page, "sort", "last change")
    events = ATLAS["options"]
    last = [max((one["b"] for one in events[name]["events"]), default=0) for name in names(page)]
    assert last == sorted(last, reverse=True)
    assert last[0] > 11434


def test_a_click_shows_the_history(page: webdriver.Chrome) -> None:
    option(page, "--draft-max").click()
    assert text(page, "detail-title") == "--draft-max removed, a stub is left"
    assert page.current_url.endswith("#--draft-max")
    events = page.find_elements(By.CSS_SELECTOR, "#events li")
    assert [one.get_attribute("data-build") for one in events] == ["4159", "4311", "8955"]
    assert events[2].text == (
        "b8955 · 2026-04-28 · #22397 removed: it stops the start with a message; "
        "write --spec-draft-n-max, --spec-ngram-mod-n-max"
    )
    link = events[2].find_element(By.TAG_NAME, "a").get_attribute("href")
    assert link == "https://github.com/ggml-org/llama.cpp/pull/22397"
    events[2].find_element(By.CSS_SELECTOR, ".link").click()
    assert text(page, "detail-title") == "--spec-draft-n-max live"
    said = [one.text for one in page.find_elements(By.CSS_SELECTOR, "#events li")]
    assert any(one.endswith("default 3, before 16") for one in said)


def test_a_window_stays_a_window_in_a_history(page: webdriver.Chrome) -> None:
    option(page, "--mmap").click()
    last = page.find_elements(By.CSS_SELECTOR, "#events li")[-1]
    assert last.text == (
        f"after b{AFTER}, by b{BY} · by 2026-09-09 · #28334 · seen at b10875 removed; "
        "write --load-mode"
    )


def test_a_link_to_any_spelling_opens_its_option(page: webdriver.Chrome, file: Path) -> None:
    page.get("about:blank")
    page.get(file.as_uri() + "#-fa")
    assert text(page, "detail-title") == "--flash-attn live"
    facts = text(page, "facts")
    assert "one of on, off, auto" in facts
    assert "variable LLAMA_ARG_FLASH_ATTN" in facts


def present(build: int) -> set[str]:
    """The options of a build, read without the page."""
    return {
        name
        for name, option in ATLAS["options"].items()
        if (entries := [one for one in option["history"] if one["b"] <= build])
        and entries[-1].get("state") != "absent"
    }


@pytest.mark.parametrize(("left", "right"), [(8929, 11434), (6170, 9464), (LAST, 3683)])
def test_two_builds_side_by_side(page: webdriver.Chrome, left: int, right: int) -> None:
    click(page, "tab-compare")
    enter(page, "left", f"b{left}")
    enter(page, "right", str(right))
    kinds: dict[str, set[str]] = {}
    for row in page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr"):
        name, kind = row.get_attribute("data-id"), row.get_attribute("data-kind")
        kinds.setdefault(kind or "", set()).add(name or "")
    assert kinds["added"] == present(right) - present(left)
    assert kinds["removed"] == present(left) - present(right)
    assert kinds["different"] <= present(left) & present(right)
    count = ", ".join(f"{len(kinds[one])} {one}" for one in ("added", "removed", "different"))
    assert text(page, "compare-summary").endswith(f" options: {count}")


def test_a_comparison_shows_what_differs_and_why(page: webdriver.Chrome) -> None:
    click(page, "tab-compare")
    enter(page, "left", "b8929")
    enter(page, "right", "b11434")
    enter(page, "compare-search", "spec-draft-p-min")
    (row,) = page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr")
    _, before, after, why = [one.text for one in row.find_elements(By.XPATH, "./*")]
    assert before.splitlines()[1:] == ["default 0.75", "variable LLAMA_ARG_DRAFT_P_MIN"]
    assert after.splitlines() == [
        *("spelled --spec-draft-p-min", "default 0", "variable LLAMA_ARG_SPEC_DRAFT_P_MIN"),
    ]
    assert "b9235 · 2026-05-19 · #23269 default 0, before 0.75" in why
    assert "b9464" in text(page, "changed-notes")
    click(page, "swap")
    (row,) = page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr")
    assert "default 0\n" in row.find_elements(By.TAG_NAME, "td")[0].text
    row.find_element(By.CSS_SELECTOR, ".name").click()
    assert text(page, "detail-title") == "--spec-draft-p-min live"


def test_a_build_inside_a_window_is_not_guessed_at(page: webdriver.Chrome) -> None:
    click(page, "tab-compare")
    enter(page, "left", f"b{AFTER}")
    enter(page, "right", f"b{AFTER + 1}")
    rows = page.find_elements(By.CSS_SELECTOR, "#comparison tbody tr")
    assert {row.get_attribute("data-kind") for row in rows} == {"unsure"}
    assert {"--mmap", "--mlock"} <= {row.get_attribute("data-id") for row in rows}
    enter(page, "right", "b99")
    assert text(page, "compare-summary") == f"Builds from b3683 to b{LAST} are known."
    right = page.find_element(By.ID, "right")
    assert right.get_attribute("aria-invalid") == "true"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command line, and what real builds were seen doing with it.

    Attributes:
        refused: The word at fault, on each build of ``SEEN`` that refuses it; the others take it.
        advice: What to write instead there; a build may be in it that only deprecates.
    """

    line: str
    refused: Mapping[int, str]
    advice: Mapping[int, str] = field(default_factory=dict)


def on(*builds: int, word: str) -> Mapping[int, str]:
    """The same on several builds."""
    return dict.fromkeys(builds, word)


BASE: Final = "-m /models/a.gguf -c 1024"
CASES: Final = {
    "no-mmap": Case(
        line=f"{BASE} --no-mmap",
        refused=on(11434, word="--no-mmap"),
        advice={11434: "write --load-mode none"},
    ),
    "load-mode on old builds": Case(
        line=f"{BASE} --load-mode none",
        refused=on(*SEEN[:-1], word="--load-mode"),
        advice=on(*SEEN[:-1], word="write --no-mmap"),
    ),
    "draft-max": Case(
        line=f"{BASE} -np 1 -md /models/draft.gguf --draft-max 6",
        refused=on(*SEEN[2:], word="--draft-max"),
        advice=on(*SEEN[2:], word="write --spec-draft-n-max 6"),
    ),
    "spec-draft-n-max on old builds": Case(
        line=f"{BASE} -np 1 -md /models/draft.gguf --spec-draft-n-max 6",
        refused=on(*SEEN[:2], word="--spec-draft-n-max"),
        advice=on(*SEEN[:2], word="write --draft-max 6"),
    ),
    "bare flash-attn": Case(
        line=f"{BASE} -fa --jinja",
        refused=on(*SEEN[1:], word="-fa"),
        advice=on(*SEEN[1:], word="write -fa on"),
    ),
    "flash-attn with a value on old builds": Case(
        line=f"{BASE} --flash-attn on --no-mmap",
        refused={6170: "on", 11434: "--no-mmap"},
        advice={6170: "write --flash-attn", 11434: "write --load-mode none"},
    ),
    "checkpoint-every": Case(
        line=f"{BASE} --checkpoint-every-n-tokens 4096",
        refused=on(6170, 9464, 11434, word="--checkpoint-every-n-tokens"),
        advice=on(9464, 11434, word="write --checkpoint-min-step 4096"),
    ),
    "ngram sizes": Case(
        line=f"{BASE} --spec-type ngram-mod --spec-ngram-size-n 8 --draft-min 4 --draft-max 16",
        refused={6170: "--spec-type", **on(*SEEN[2:], word="--spec-ngram-size-n")},
        advice=on(
            *SEEN[2:],
            word="write --spec-ngram-mod-n-match 8; write --spec-ngram-mod-n-min 4; "
            "write --spec-ngram-mod-n-max 16",
        ),
    ),
    "tool that is gone": Case(
        line="-m /models/a.gguf --tools read_file,get_datetime",
        refused={6170: "--tools", 11434: "get_datetime"},
    ),
    "type of speculation": Case(
        line=f"{BASE} -md /models/draft.gguf --spec-type draft-simple --spec-draft-n-max 5",
        refused={6170: "--spec-type", 8929: "draft-simple", 9093: "draft-simple"},
        advice={9093 + 20: "write --spec-type draft"},
    ),
    "two values that became one": Case(
        line="-m /models/a.gguf --lora-scaled /missing/adapter.gguf 0.5",
        refused=on(*SEEN[1:], word="--lora-scaled"),
        advice=on(*SEEN[1:], word="write --lora-scaled /missing/adapter.gguf:0.5"),
    ),
    "split mode": Case(
        line="-m /models/a.gguf --split-mode tensor", refused=on(6170, word="tensor")
    ),
    "no number": Case(line=f"{BASE} -ngl auto", refused=on(6170, word="-ngl")),
    "no value": Case(line=f"{BASE} --port", refused=on(*SEEN, word="--port")),
    "empty value": Case(line="-m /models/a.gguf -c ''", refused=on(*SEEN, word="-c")),
    "equals": Case(
        line="-m /models/a.gguf --ctx-size=1024",
        refused=on(*SEEN, word="--ctx-size=1024"),
        advice=on(*SEEN, word="write --ctx-size 1024"),
    ),
    "missing space": Case(
        line="-m /models/a.gguf --ctx-size 2048--n-gpu-layers 99",
        refused=on(*SEEN, word="99"),
        advice=on(*SEEN, word="write --ctx-size 2048 --n-gpu-layers 99"),
    ),
    "two dashes": Case(
        line=f"{BASE} --ngl 99",
        refused=on(*SEEN, word="--ngl"),
        advice=on(*SEEN, word="write -ngl 99"),
    ),
    "stray word": Case(
        line="-m /models/a.gguf 0.0.0.0 -c 512",
        refused=on(*SEEN, word="0.0.0.0"),
        advice=on(*SEEN, word="write -m /models/a.gguf --host 0.0.0.0"),
    ),
    "variable that is gone": Case(
        line=f"LLAMA_ARG_DRAFT_MAX=8 llama-server {BASE}",
        refused=on(*SEEN[2:], word="LLAMA_ARG_DRAFT_MAX"),
        advice=on(*SEEN[2:], word="write LLAMA_ARG_SPEC_DRAFT_N_MAX=8"),
    ),
    "empty variable": Case(
        line=f"LLAMA_ARG_N_CPU_MOE='' llama-server {BASE}",
        refused=on(*SEEN, word="LLAMA_ARG_N_CPU_MOE"),
        advice=on(*SEEN, word="leave it unset"),
    ),
    "numbers below nought": Case(line=f"{BASE} -t -1 -tb 2 --poll 0", refused={}),
    "given twice": Case(line=f"{BASE} --temp 0.1 -c 512 --temp 0.9", refused={}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_pasted_command_line_stands_as_real_builds_have_it(
    page: webdriver.Chrome, case: Case
) -> None:
    standing = paste(page, case.line)
    for build in SEEN:
        span = standing.at(build)
        if build in case.refused:
            assert span.state == "refused", build
            assert case.refused[build] in span.blame.split(), build
        else:
            assert (span.state, span.blame) == ("accepted", "")
    for build, advice in case.advice.items():
        assert standing.advice(build) == advice, build


def states(flag: str, build: int) -> set[str]:
    """What an argument may be at a build, read from the data without the page."""

    def there(number: int) -> str:
        rows = ATLAS["spellings"][flag]
        found = (row[4] for row in rows if row[0] <= number <= (row[1] or number))
        return str(next(found, "absent"))

    archives = [ATLAS["exact_to"], *sorted(map(int, ATLAS["late_snapshots"]))]
    around = {build}
    if build > ATLAS["exact_to"]:
        around = {max(b for b in archives if b <= build), min(b for b in archives if b >= build)}
    found = {there(number) for number in around}
    if len(found) > 1:
        return {"unknown"}
    return {
        "live": {"accepted", "doubtful", "unknown"},
        "deprecated": {"deprecated"},
        "stub": {"refused"},
        "absent": {"refused"},
    }[found.pop()]


def test_each_flag_is_judged_as_the_data_has_it(page: webdriver.Chrome) -> None:
    dice = random.Random(19)
    for flag in dice.sample(sorted(ATLAS["spellings"]), 80):
        history = ATLAS["options"][ATLAS["spellings"][flag][-1][2]]["history"]
        arity = {one["arity"] for one in history if "arity" in one}
        if len(arity) > 1 or any("values" in one for one in history):
            continue  # what it takes differs from build to build
        value = ["1"] * sum(arity)
        (spans,) = paste(page, shlex.join(["llama-server", flag, *value])).rows.values()
        assert [one.first for one in spans] == [3683, *(one.last + 1 for one in spans[:-1])]
        assert spans[-1].last == ATLAS["last"]
        for build in [*dice.sample(range(3683, 10471), 8), *dice.sample(range(10471, 11550), 8)]:
            assert at(spans, build).state in states(flag, build), (flag, build)


CORPUS: Final = Path(__file__).parents[2] / "fixtures" / "corpus" / "given.jsonl"
SAME: Final = {
    Status.OK: {"accepted", "deprecated"},
    Status.REFUSED: {"refused"},
    Status.OPEN: {"doubtful", "unknown"},
}


def corpus_lines() -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """The command lines of the corpus, with their variables, and words for on and off."""
    for flag, value in product(("-fa", "--lazy-mode", "--fit"), ("true", "1", "enabled", "-1")):
        yield f"{flag} {value}", [flag, value], {}
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        given, read = case["input"], case.get("extracted")
        found = given if "argv" in given else read if isinstance(read, dict) else None
        if found and found["argv"]:
            yield case["id"], found["argv"], found.get("env") or {}


def test_the_box_agrees_with_check_on_the_corpus(page: webdriver.Chrome) -> None:
    count = 0
    for name, argv, env in corpus_lines():
        variables = [f"{key}={shlex.quote(value)}" for key, value in env.items()]
        standing = paste(page, " ".join([*variables, "llama-server", shlex.join(argv)]))
        found = outlook(argv, env)
        starts = {one.first for one in found.ranges} | {one.first for one in standing.whole}
        for build in sorted(starts):
            told = found.at(build)
            assert told is not None
            assert standing.at(build).state in SAME[told.standing.status], (name, build)
        count += 1
    assert count > 90


def test_ranges_are_exact_to_the_build(page: webdriver.Chrome) -> None:
    standing = paste(page, "llama-server -m a.gguf --draft-max 16")
    assert [(one.first, one.last, one.state) for one in standing.whole] == [
        *((3683, 4158, "refused"), (4159, 8954, "accepted"), (8955, LAST, "refused")),
    ]
    last = standing.rows["--draft-max 16"][-1]
    assert last.text == (
        "from b8955 on ✗ refused removed, a stub is left; write --spec-draft-n-max 16 "
        " · 2026-04-28 · #22397"
    )
    assert text(page, "line-summary") == (
        "By the atlas every argument is accepted: b4159 to b8954."
    )


def test_uncertain_windows_stay_windows(page: webdriver.Chrome) -> None:
    standing = paste(page, "llama-server --no-mmap")
    assert [(one.first, one.last, one.state) for one in standing.rows["--no-mmap"]] == [
        (3683, 10104, "accepted"),
        (10105, AFTER, "deprecated"),
        (AFTER + 1, BY - 1, "unknown"),
        (BY, LAST, "refused"),
    ]
    window = standing.at(AFTER + 1)
    assert (window.first, window.last, window.state) == (AFTER + 1, BY - 1, "unknown")
    assert window.text.startswith(f"after b{AFTER}, by b{BY} ? not known")
    assert "#28334 · seen at b10875" in at(standing.rows["--no-mmap"], AFTER + 1).text
    assert text(page, "line-summary").endswith(f"It cannot be told: after b{AFTER}, by b{BY}.")
    standing = paste(page, "llama-server --tensor-read-lazy auto")
    come, gone = ATLAS["options"]["--tensor-read-lazy"]["history"]
    assert [(one.first, one.last, one.state) for one in standing.whole] == [
        (3683, come["after"], "refused"),
        (come["after"] + 1, come["b"] - 1, "unknown"),
        (come["b"], gone["after"], "accepted"),
        (gone["after"] + 1, gone["b"] - 1, "unknown"),
        (gone["b"], LAST, "refused"),
    ]
    assert standing.advice(LAST) == "write --lazy-mode auto"
    both = paste(page, "llama-server --no-such-flag --no-mmap")
    assert [one.state for one in both.whole] == ["refused", "refused"], "refused by one throughout"


def test_what_the_atlas_cannot_tell_is_said(page: webdriver.Chrome) -> None:
    standing = paste(page, "llama-server --rpc 127.0.0.1:50052")
    assert (standing.at(9464).state, standing.at(9464).blame) == ("doubtful", "--rpc")
    (rpc,) = standing.rows.values()
    assert "needs rpc compiled in" in at(rpc, 9464).text


def test_a_value_that_is_not_listed_is_refused(page: webdriver.Chrome) -> None:
    standing = paste(page, "llama-server -ctk turbo3 -fa enabled -ngl 3 --port $PORT")
    assert (standing.at(9464).state, standing.at(9464).blame) == ("refused", "turbo3")
    cache = standing.rows["-ctk turbo3"]
    assert "does not take turbo3; it takes f32, f16, " in at(cache, 9464).text


def test_variables_that_are_not_read(page: webdriver.Chrome) -> None:
    standing = paste(page, "LLAMA_ARG_NO_MMAP=1 LLAMA_ARG_API_KEY=k HOME=/ llama-server -c 512")
    assert list(standing.rows) == ["-c 512", "LLAMA_ARG_NO_MMAP=1", "LLAMA_ARG_API_KEY=k"]
    mmap, key = standing.rows["LLAMA_ARG_NO_MMAP=1"], standing.rows["LLAMA_ARG_API_KEY=k"]
    assert at(mmap, 9464).state == "accepted"
    assert (at(mmap, AFTER + 1).state, at(mmap, 11434).state) == ("unknown", "ignored")
    assert at(mmap, 11434).advice == "write LLAMA_ARG_LOAD_MODE=none"
    assert [(one.state, one.advice) for one in key] == [("ignored", "write LLAMA_API_KEY=k")]
    assert standing.at(11434).state == "accepted"
    assert "A variable is not read by every build." in text(page, "line-summary")


@pytest.mark.parametrize(
    "pasted",
    [
        "/opt/llama.cpp/build/bin/llama-server -m 'my model.gguf' --alias llama-server -c 512",
        "llama-server \\\n  -m 'my model.gguf' \\\n  --alias llama-server \\\n  -c 512 # small\n",
        'llama-server.exe ^\r\n -m "my model.gguf" ^\r\n --alias llama-server ^\r\n -c 512',
        '["llama-server", "-m", "my model.gguf", "--alias", "llama-server", "-c", "512"]',
        "-m my\\ model.gguf --alias llama-server -c 512",
        "$ ./my-server -m 'my model.gguf' --alias llama-server -c 512",
        "docker run x/llama.cpp:server -m 'my model.gguf' --alias llama-server -c 512",
    ],
)
def test_a_line_may_come_from_anywhere(page: webdriver.Chrome, pasted: str) -> None:
    rows = list(paste(page, pasted).rows)
    assert rows == ["-m 'my model.gguf'", "--alias llama-server", "-c 512"]


def test_a_pasted_line_is_text(page: webdriver.Chrome) -> None:
    words = ["--alias", "<b>x</b>", "--chat-template-kwargs", '{"a": "b c"}', "--grammar", ""]
    standing = paste(page, shlex.join(["llama-server", *words]))
    assert page.find_elements(By.CSS_SELECTOR, "#standing b") == []
    assert next(iter(standing.rows)) == "--alias '<b>x</b>'"
    assert standing.at(9464).state == "accepted"
    for strange in ("constructor", "'", '"', "\\", "[", '["a"', "--", "-", "[1]", "#"):
        paste_anything(page, strange)
    assert text(page, "line-summary") == ""


def paste_anything(page: webdriver.Chrome, line: str) -> None:
    """The page's console is looked at when it is closed."""
    page.execute_script(
        "const box = document.getElementById('line'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('input'));",
        line,
    )


def test_what_changes_in_silence_stands_below(page: webdriver.Chrome) -> None:
    paste(page, f"llama-server {BASE} -md /models/draft.gguf")
    notes = text(page, "line-notes")
    assert "b9464" in notes
    assert "is loaded and never drafts" in notes
    assert "--port" not in notes


def test_the_shown_builds_can_be_narrowed(page: webdriver.Chrome) -> None:
    unknown = ".//ancestor::tr//*[contains(@class, 'unknown')]"
    wide = option(page, "--mmap").find_element(By.XPATH, unknown).size["width"]
    enter(page, "from", "b10800")
    enter(page, "to", "b10900")
    window = option(page, "--mmap").find_element(By.XPATH, unknown)
    track = window.find_element(By.XPATH, "..")
    assert wide < 10
    assert window.size["width"] == pytest.approx(track.size["width"] * 10 / 101, abs=2)
    assert "b10850" in page.find_element(By.CSS_SELECTOR, "#lives .axis").text
    enter(page, "to", "b10700")
    assert page.find_element(By.ID, "to").get_attribute("aria-invalid") == "true"


def test_keyboard_alone(page: webdriver.Chrome) -> None:
    press(page, "/")
    assert focused(page).get_attribute("id") == "search"
    press(page, "mmap", Keys.ENTER)
    assert text(page, "detail-title").startswith("--load-mode")
    assert text(page, "place") == "1 of 2"
    press(page, "j")
    assert text(page, "detail-title").startswith("--mmap")
    press(page, "k", Keys.ESCAPE)
    assert not page.find_element(By.ID, "detail").is_displayed()
    assert focused(page).get_attribute("data-id") == "--load-mode"
    press(page, Keys.ARROW_DOWN)
    assert focused(page).get_attribute("data-id") == "--mmap"
    press(page, Keys.ARROW_DOWN)
    assert focused(page).get_attribute("data-id") == "--mmap", "the list ends"
    press(page, Keys.ENTER)
    assert text(page, "detail-title").startswith("--mmap")
    press(page, Keys.ESCAPE, Keys.ARROW_UP, Keys.ARROW_UP)
    assert focused(page).get_attribute("id") == "search"
    press(page, Keys.ARROW_DOWN)
    assert focused(page).get_attribute("data-id") == "--load-mode"
    press(page, "p")
    assert focused(page).get_attribute("id") == "line"
    press(page, "llama-server -fa --draft-max 3 cp/")
    assert "-fa" in text(page, "standing"), "keys are letters where one types"
    press(page, Keys.ESCAPE, "c")
    assert focused(page).get_attribute("id") == "left"


def test_tabs_by_arrow_keys(page: webdriver.Chrome) -> None:
    page.execute_script("document.getElementById('tab-options').focus()")
    press(page, Keys.ARROW_RIGHT)
    assert page.find_element(By.ID, "view-compare").is_displayed()
    press(page, Keys.ARROW_RIGHT)
    assert page.find_element(By.ID, "view-line").is_displayed()
    press(page, Keys.ARROW_RIGHT)
    assert page.find_element(By.ID, "view-options").is_displayed()


CONTROLS: Final = ("button", "textbox", "searchbox", "combobox", "checkbox", "tab", "link", "image")


def test_everything_that_can_be_used_has_a_name(page: webdriver.Chrome) -> None:
    paste(page, "LLAMA_ARG_DRAFT_MAX=1 llama-server --no-mmap -fa")
    for view in ("tab-options", "tab-compare", "tab-line"):
        click(page, view)
        assert nameless(page) == []
    option_button = page.find_element(By.CSS_SELECTOR, "#standing .name")
    option_button.click()
    assert nameless(page) == []


def nameless(page: webdriver.Chrome) -> list[str]:
    """What a screen reader would meet and could not call by a name."""
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    used = [one for one in nodes if one.get("role", {}).get("value", "").lower() in CONTROLS]
    assert len(used) > 5, "there are some"
    return [json.dumps(one) for one in used if not one.get("name", {}).get("value")]


def test_dark(page: webdriver.Chrome, file: Path) -> None:
    light = ground(page)
    prefer(page, "dark")
    try:
        dark = ground(page)
        assert dark != light
    finally:
        prefer(page, "light")
    click(page, "theme")
    assert ground(page) == light
    click(page, "theme")
    assert ground(page) == dark
    until_reopened(page, file, lambda page: ground(page) == dark)


def test_on_a_phone(page: webdriver.Chrome) -> None:
    overflow = "return document.documentElement.scrollWidth - window.innerWidth"
    with as_a_phone(page):
        page.refresh()
        assert page.execute_script(overflow) <= 0
        row = option(page, "--alias")
        assert row.size["width"] > 300, "a name has the whole width, its bar is below"
        row.click()
        width = "return document.getElementById('detail').getBoundingClientRect().width"
        assert page.execute_script(width) <= 390
        click(page, "close")
        click(page, "tab-compare")
        enter(page, "left", "b8929")
        assert page.execute_script(overflow) <= 0
        cell = page.find_element(By.CSS_SELECTOR, "#comparison td")
        before = "return getComputedStyle(arguments[0], '::before').content"
        assert page.execute_script(before, cell) == '"b8929: "'
        standing = paste(page, f"llama-server {BASE} --no-mmap -fa --jinja --draft-max 6")
        assert standing.at(9093).state == "refused"
        assert page.execute_script(overflow) <= 0
