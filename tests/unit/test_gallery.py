"""The gallery of applications: its files, what is kept of it, and the page on it."""

import re
import shutil
from pathlib import Path

import pytest

from harness.builds import load_catalogue
from tests.apps import __main__ as command
from tests.apps import trying
from tests.apps.gallery import ENVIRONMENTS, FOLDER, MOST_LINES, App, gallery
from tests.apps.kept import PASS, Kept, broken, load, over
from tests.apps.page import PAGE, made, parts

APPS = gallery()
FULL = [build.id for build in load_catalogue().profile("full")]


def test_there_are_enough_of_each_kind() -> None:
    assert len(APPS) >= 12
    assert sum(bool(app.file.npm) for app in APPS) >= 2
    assert any("compose" in app.file.subject for app in APPS)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_each_is_short_pinned_and_led_to_a_verdict_by_two_commands_at_most(app: App) -> None:
    text = (FOLDER / f"{app.name}.toml").read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", one) for one in app.file.pip)
    assert all(re.fullmatch(r"(@[\w-]+/)?[\w.-]+@[\d.]+", one) for one in app.file.npm)
    assert 1 <= len([*app.commands()]) <= 2


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_results_of_every_cell_are_kept_for_the_pinned_version(app: App) -> None:
    kept = load()[app.name]
    assert kept.version == app.package[1]
    assert set(kept.cells) == set(ENVIRONMENTS)
    assert [list(cells) for cells in kept.cells.values()] == [FULL] * len(ENVIRONMENTS)


def test_nothing_else_is_kept() -> None:
    assert set(load()) == {app.name for app in APPS}


def test_the_page_shows_what_the_files_and_the_results_say() -> None:
    assert parts(PAGE.read_text("utf-8")) == made(), "run nox -s apps -- --write"


BUGS = {
    "arc-llama": {"b8929": "--spec-type", "py0.3.16": "--spec-draft-n-max"},
    "clanker-gguf": {"b10435": "--fit-margin"},
    "genai-electron": {"b11434": "--no-mmap"},
    "gpustack": {"b11434": "--no-mmap"},
    "hearthwork": {"b9464": "--load-mode"},
    "llama-buddy": {"b8929": "two does not load"},
    "llama-tui": {"b9464": "never drafts"},
    "llserve": {"b9246": "draft-mtp", "b11434": "draft-mtp"},
    "make-localllm-easier": {"b9464": "--load-mode"},
    "pyllama-server": {"b9246": "invalid device: cpu"},
    "pyllama-server-api": {"b9246": "--flash-attn"},
    "ramalama": {"b9464": "never drafts"},
}
"""What each was seen doing, by build: `tests/live/test_apps.py` sees it again."""
ON_CPU = {"pyllama-server"}
"""The others are seen with a card as well."""


ROWS = ("version", "command line", "build", "says", "fix")
"""What a maintainer needs to know of it."""


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_that_was_found_is_among_the_results(name: str) -> None:
    cells = load()[name].cells["cpu" if name in ON_CPU else "cuda-spoof"]
    for build, words in BUGS[name].items():
        assert cells[build].startswith("fail: ")
        assert words in cells[build]


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_whatever_fails_is_described_for_its_maintainer(app: App) -> None:
    page = PAGE.read_text("utf-8")
    _, _, section = page.partition(f"\n## {app.name}\n")
    section = section.partition("\n## ")[0].partition("<!-- end -->")[2]
    assert section.strip()
    if app.name in BUGS:
        assert all(f"| {row} |" in section for row in ROWS)


def kept(version: str, **cells: str) -> Kept:
    return Kept(version=version, cells={"cpu": dict(cells)})


def test_what_passed_and_passes_no_more_is_broken() -> None:
    before = kept("1", b1=PASS, b2="fail: x")
    assert [*broken("app", before, before)] == []
    assert [*broken("app", before, kept("2", b1="fail: y", b2="fail: z"))] == [
        "app 2 on b1 in cpu: fail: y"
    ]
    assert [*broken("app", before, kept("2", b1=PASS, b2=PASS))] == []


def test_a_new_build_is_held_against_the_newest_before_it() -> None:
    before = kept("1", b1="fail: x", b2=PASS)
    assert [*broken("app", before, kept("1", b3="fail: y"))] == ["app 1 on b3 in cpu: fail: y"]
    assert [*broken("app", kept("1", b2="fail: x"), kept("1", b3="fail: y"))] == []


def test_a_cell_that_is_left_out_keeps_what_was_found_of_its_version() -> None:
    before, now = kept("1", b1=PASS, b2="fail: x"), kept("1", b2=PASS)
    assert over(before, now) == kept("1", b1=PASS, b2=PASS)
    assert over(before, kept("2", b2=PASS)) == kept("2", b2=PASS)
    assert over(None, now) == now


def test_without_npm_an_application_is_skipped_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "KEPT", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert command.main(["genai-electron"]) == 0
    assert capsys.readouterr().out == "genai-electron is skipped: there is no npm here\n"
    assert command.main(["--latest", "genai-electron"]) == 3


@pytest.mark.parametrize("reached", [False, True])
def test_a_package_that_is_missing_is_no_missing_network(
    reached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise trying.CannotTryError("pip: no such version")

    monkeypatch.setattr(trying, "_fetch", cannot)
    monkeypatch.setattr(trying, "_is_reached", lambda _: reached)
    expected = trying.CannotTryError if reached else trying.NotHereError
    with pytest.raises(trying.CannotTryError) as raised:
        trying.install(APPS[0], tmp_path / "app")
    assert type(raised.value) is expected
    assert not (tmp_path / "app" / "installed.json").exists()


def test_what_is_installed_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (without,) = [app for app in APPS if not app.file.pip and not app.file.npm]
    fetched: list[App] = []
    monkeypatch.setattr(trying, "_fetch", lambda app, *_: fetched.append(app))
    for _ in range(2):
        trying.install(without, tmp_path / "app")
    assert fetched == [without]
