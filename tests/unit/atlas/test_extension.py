"""The atlas taken further by what builds say of themselves."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from harness.builds.offers import Offer, Offers
from harness.errors import EXIT_CANNOT_TELL, BuildUnavailableError
from harness.flags.atlas import (
    FIELDS,
    Atlas,
    AtlasFile,
    Life,
    State,
    load_atlas,
    read_atlas,
)
from harness.flags.capabilities import Capabilities, Option
from tests.atlas import __main__ as command
from tests.atlas.extension import extended, file_text, narrowed, spelling_rows
from tests.atlas.survey import Survey, summary
from tests.unit.era import capabilities

FILE = load_atlas().data
HELP_TELLS = set(FIELDS) - {"type", "condition"}
"""A text shows neither whether a value is read as a number, nor what was compiled in."""


def cut(file: AtlasFile, last: int) -> AtlasFile:
    """The atlas as it was at a build."""
    options = {}
    for name, life in file.options.items():
        history = tuple(one for one in life.history if one.b <= last)
        events = tuple(one for one in life.events if one.b <= last)
        if history:
            options[name] = Life(history=history, events=events)
    archives = {build: date for build, date in file.late_snapshots.items() if build <= last}
    exact_to = min(file.exact_to, last)
    shorter = msgspec.structs.replace(
        file, last=last, exact_to=exact_to, late_snapshots=archives, options=options
    )
    return msgspec.structs.replace(shorter, spellings=spelling_rows(shorter))


@pytest.fixture(scope="module")
def grown() -> AtlasFile:
    """Cut at b9464 and taken on by two help texts alone."""
    file = cut(FILE, 9464)
    file = extended(file, 10435, "2026-08-14", capabilities("b10435"))
    return extended(file, 11434, "2026-10-06", capabilities("b11434"))


@pytest.mark.parametrize("build", [10435, 11434])
def test_help_texts_alone_give_what_the_sources_gave(grown: AtlasFile, build: int) -> None:
    mine, whole = Atlas(grown).table(build), Atlas(FILE).table(build)
    assert set(mine) == set(whole)
    for name, facts in whole.items():
        for field in HELP_TELLS:
            told, real = getattr(mine[name], field), getattr(facts, field)
            # A deprecated switch prints no default any more.
            silent = field == "default" and None in (told, real)
            assert told == real or silent, (name, field)


def test_what_happened_in_between_has_its_window_and_its_name(grown: AtlasFile) -> None:
    found = {(one.option, one.event.kind): one.event for one in Atlas(grown).changes(9464, 11434)}
    added, gone = found["--load-mode", "added"], found["--mmap", "gone"]
    assert (added.after, added.b) == (9464, 10435)
    assert (gone.after, gone.b, gone.use) == (10435, 11434, ("--load-mode",))
    deprecated = found["--mlock", "deprecated"]
    assert (deprecated.b, deprecated.use) == (10435, ("--load-mode",))
    assert found["--ui", "spelling-added"].names == ("--webui",)
    assert found["--webui", "merged"].into == "--ui"
    assert found["--spec-type", "values"].added == ("draft-dflash", "draft-dspark")


def test_the_file_that_grew_is_of_the_schema_and_of_one_piece(grown: AtlasFile) -> None:
    text = file_text(grown)
    again = read_atlas(text.encode()).data
    assert again == grown
    assert file_text(again) == text
    assert spelling_rows(grown) == grown.spellings
    assert grown.late_snapshots == {10435: "2026-08-14", 11434: "2026-10-06"}


def test_a_build_inside_a_window_makes_it_narrower() -> None:
    wide = extended(cut(FILE, 9464), 11434, "2026-10-06", capabilities("b11434"))
    assert Atlas(wide).option("--no-mmap", 10435).certain is False
    narrow = narrowed(wide, 10435, "2026-08-14", capabilities("b10435"))
    # It was deprecated in between: one change becomes two.
    told = [(one.kind, one.after, one.b) for one in narrow.options["--mmap"].events[-2:]]
    assert told == [("deprecated", 9464, 10435), ("gone", 10435, 11434)]
    there = Atlas(narrow).option("--no-mmap", 10435).early
    assert there is not None
    assert (there.state, there.use) == (State.DEPRECATED, ("--load-mode",))
    added = narrow.options["--log-prompts-dir"].events[0]
    assert (added.kind, added.after, added.b) == ("added", 9464, 10435)
    assert narrow.options["--log-jsonl"].events[0].after == 10435
    assert Atlas(narrow).option("--no-mmap", 10435).certain
    assert list(narrow.late_snapshots) == [10435, 11434]
    assert spelling_rows(narrow) == narrow.spellings


def test_an_option_under_another_name_with_the_same_variable_is_renamed() -> None:
    real = capabilities("b11434")
    options = tuple(
        replace(one, spellings=("--lazier-mode",)) if "--lazy-mode" in one.spellings else one
        for one in real.options
    )
    file = extended(cut(FILE, 11434), 11500, "2026-10-08", Capabilities(options))
    assert file.options["--lazy-mode"].events[-1].renamed_to == "--lazier-mode"
    assert file.options["--lazier-mode"].events[0].renamed_from == "--lazy-mode"


def test_an_option_that_comes_back_keeps_its_name() -> None:
    real = capabilities("b11434")
    back = Option(spellings=("--mlock",), env="LLAMA_ARG_MLOCK")
    file = extended(cut(FILE, 11434), 11500, "2026-10-08", Capabilities((*real.options, back)))
    assert file.options["--mlock"].events[-1].kind == "returned"
    assert Atlas(file).option("--mlock", 11500).early is not None


def test_a_build_goes_where_it_belongs() -> None:
    with pytest.raises(ValueError, match="b9246 is not after b11549"):
        extended(FILE, 9246, "", capabilities("b9246"))
    with pytest.raises(ValueError, match="b9246 is not between"):
        narrowed(FILE, 9246, "", capabilities("b9246"))


class Index:
    """Builds that are offered, each as some recorded build; asked ones are noted."""

    def __init__(self, as_recorded: dict[int, str], missing: tuple[int, ...] = ()) -> None:
        self._recorded = as_recorded
        self._missing = missing
        self.asked: list[int] = []

    def __call__(self, build: int) -> Capabilities:
        self.asked.append(build)
        if build in self._missing:
            raise BuildUnavailableError(f"b{build}: no source works here")
        return capabilities(self._recorded[build])

    def survey(self, file: AtlasFile, most: int = 20) -> Survey:
        offered = dict.fromkeys(self._recorded, "2026-10-20")
        return Survey(file=file, offered=offered, ask=self, most=most)


OLD, NEW = "b10435", "b11434"
START = cut(FILE, 10435)


def test_nothing_new_asks_nobody() -> None:
    index = Index({10435: OLD, 9246: "b9246"})
    survey = index.survey(START)
    assert survey.run() == START
    assert index.asked == []
    assert summary(START, START, []) == ("nothing new: the atlas goes to b10435",)


def test_a_new_build_without_a_change_is_the_only_one_asked() -> None:
    index = Index(dict.fromkeys(range(10436, 10500), OLD))
    after = index.survey(START).run()
    assert index.asked == [10499]
    assert (after.last, after.options) == (10499, START.options)
    assert summary(START, after, []) == ("atlas: b10435 to b10499",)


def test_a_change_is_searched_for_until_neighbours_are_left() -> None:
    offered = {build: OLD if build < 10471 else NEW for build in range(10436, 10500)}
    index = Index(offered)
    after = index.survey(START).run()
    assert len(index.asked) <= 8
    gone = after.options["--mmap"].events[-1]
    assert (gone.kind, gone.after, gone.b) == ("gone", 10470, 10471)
    assert Atlas(after).option("--no-mmap", 10470).early is not None
    assert Atlas(after).option("--no-mmap", 10471).early is None
    lines = summary(START, after, [])
    assert len(lines) == 10
    assert lines[0] == "atlas: b10435 to b10499"
    assert all("after b10470, by b10471: " in line for line in lines[1:-1])
    assert lines[-1].startswith("and ")


def test_windows_of_before_are_made_narrower() -> None:
    wide = extended(START, 10500, "2026-10-01", capabilities(NEW))
    index = Index({build: OLD if build < 10450 else NEW for build in range(10440, 10460)})
    after = index.survey(wide).run()
    gone = after.options["--mmap"].events[-1]
    assert (gone.after, gone.b) == (10449, 10450)
    lines = summary(wide, after, [])
    assert any(line.startswith("narrower: ") for line in lines)
    assert after.last == wide.last


def test_no_more_builds_are_asked_than_allowed() -> None:
    offered = {build: OLD if build < 10471 else NEW for build in range(10436, 10500)}
    index = Index(offered)
    after = index.survey(START, most=3).run()
    assert len(index.asked) == 3
    gone = after.options["--mmap"].events[-1]
    assert gone.after is not None
    assert gone.after < 10471 <= gone.b


def test_a_build_that_cannot_be_had_is_told_and_passed_over() -> None:
    index = Index(dict.fromkeys((10490, 10499), OLD), missing=(10499,))
    survey = index.survey(START)
    after = survey.run()
    assert after.last == 10490
    assert survey.problems == ["b10499: b10499: no source works here"]
    assert summary(START, after, survey.problems)[-1] == survey.problems[0]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An index with one newer build, and an atlas that ends before it, in a file."""
    file = tmp_path / "atlas.json"
    file.write_text(file_text(START), encoding="utf-8")
    offers = Offers(
        builds={10500: Offer(origins=(), date="2026-10-20")}, problems=("other: not reached",)
    )
    monkeypatch.setattr(command, "package_offers", lambda: offers)
    monkeypatch.setattr(command, "asker", lambda _: Index({10500: NEW}))
    monkeypatch.setattr(command, "pinned_file", lambda: file)
    monkeypatch.setattr(command, "load_atlas", lambda: Atlas(START))
    return file


def test_the_session_prints_ten_lines_and_writes_only_when_told(
    offered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = offered.with_name("body.md")
    assert command.main(["--body", str(body)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0] == "atlas: b10435 to b10500"
    assert body.read_text("utf-8").splitlines() == lines
    assert offered.read_text("utf-8") == file_text(START)
    assert command.main(["--write"]) == 0
    written = read_atlas(offered.read_bytes())
    assert written.last == 10500
    assert written.option("--no-mmap", 10500).early is None


def test_the_session_says_what_could_not_be_listed(
    offered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        command, "package_offers", lambda: Offers(builds={}, problems=("x: not reached",))
    )
    assert command.main([]) == EXIT_CANNOT_TELL
    assert capsys.readouterr().out.splitlines() == [
        "nothing new: the atlas goes to b10435",
        "x: not reached",
    ]
