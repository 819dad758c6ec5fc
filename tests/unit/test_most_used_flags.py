"""The most used flags are those that the sources beside them use most, and each is some build's."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.flags.capabilities import Capabilities, parse_help

FIXTURES = Path(__file__).parents[2] / "fixtures"
TABLE = tomllib.loads((FIXTURES / "flags" / "most_used.toml").read_text("utf-8"))
BUILDS = ("b11434", "b9464", "b9246", "b8929", "py0.3.16")
HELPS = {
    name: parse_help((FIXTURES / "help" / f"{name}.txt").read_text("utf-8")) for name in BUILDS
}


def sources_of(spellings: set[str]) -> int:
    return sum(not spellings.isdisjoint(source["flags"]) for source in TABLE["source"])


def test_forty_flags_in_the_order_of_their_sources() -> None:
    counts = [flag["sources"] for flag in TABLE["flag"]]
    assert len(counts) == len({flag["flag"] for flag in TABLE["flag"]}) == 40
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("flag", TABLE["flag"], ids=lambda flag: str(flag["flag"]))
def test_a_flag_is_counted_and_its_examples_are_offered(flag: dict[str, Any]) -> None:
    assert sources_of(set(flag["spellings"])) == flag["sources"]
    assert flag["flag"] in flag["spellings"]
    assert any(capabilities.offers(flag["flag"]) for capabilities in HELPS.values())
    for build, line in flag.get("examples", {}).items():
        assert all(HELPS[build].offers(word) for word in line.split() if word.startswith("-"))


def test_no_other_flag_has_more_sources() -> None:
    least = TABLE["flag"][-1]["sources"]
    chosen = {word for flag in TABLE["flag"] for word in flag["spellings"]}
    others = {word for source in TABLE["source"] for word in source["flags"]} - chosen
    for word in others:
        assert sources_of(spellings(word)) <= least, word


def spellings(word: str) -> set[str]:
    options = (capabilities.option(word) for capabilities in HELPS.values())
    return {word}.union(*(option.spellings for option in options if option))


def test_the_builds_are_read() -> None:
    assert all(isinstance(one, Capabilities) and one.options for one in HELPS.values())
