"""Command lines as people have them: what real builds did with each is what the atlas says.

``fixtures/corpus/given.jsonl`` holds what was seen, and ``tests/live/test_command_line_corpus.py``
launches it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.builds import load_catalogue
from harness.flags.standing import Status, outlook, standing
from harness.report.outlook import outlook_line

CORPUS = Path(__file__).parents[3] / "fixtures" / "corpus" / "given.jsonl"

NEEDS_A_LAUNCH = frozenset(
    {
        # A preset's keys, what arguments mean together, what a value means, what a model has.
        *("router-underscore-key", "router-effort-key", "router-mmap-boolean"),
        *("cache-v-quantised-alone", "cache-v-quantised-fa-off", "template-kwargs-bare"),
        *("template-budget-number", "template-unknown-name", "net-host-list"),
        *("draft-mtp-without-head", "missing-grammar-given", "file-mcp-json", "file-preset-ini"),
        # Handed to a shell.
        "file-dockerfile-missing-comma",
    }
)
"""Cases of which some build refuses what the atlas has it take."""
NO_WORDS = frozenset(
    {
        # Prose, or of two builds in one sentence.
        *("era-flash-attn-value-on-old", "env-temperature", "env-empty-number"),
        "file-shell-prefixes",
        # The refusal needs a launch, or there is none: the line is taken and means something else.
        *("env-flash-attn-on", "context-suffix", "context-no-unified-without-np"),
        *("sampling-commas", "sampling-decimal-comma", "template-kwargs-deprecated"),
        *("net-port-too-big", "draft-model-alone", "draft-min-above-max", "deprecated-defrag"),
        *("router-removed-key-in-model", "repeated-override-tensor"),
    }
    | NEEDS_A_LAUNCH
)
"""Cases whose advice the atlas does not give."""


def lines_of(case: Mapping[str, Any]) -> tuple[list[str], dict[str, str]] | None:
    given, read = case["input"], case.get("extracted")
    if "argv" in given:
        return given["argv"], given.get("env") or {}
    return (read["argv"], read.get("env") or {}) if isinstance(read, dict) else None


def cases() -> Iterator[Any]:
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        found = lines_of(case)
        if found is not None:
            yield pytest.param(case, *found, id=case["id"])


CASES = [*cases()]
NUMBERS = {build.id: build.upstream_number for build in load_catalogue().builds}


def test_most_of_the_corpus_is_looked_at() -> None:
    assert len(CASES) > 90


@pytest.mark.parametrize(("case", "argv", "env"), CASES)
def test_the_atlas_refuses_what_builds_refuse_and_nothing_else(
    case: Mapping[str, Any], argv: list[str], env: dict[str, str]
) -> None:
    overlooked = set()
    for build, seen in case["expect"].items():
        number = NUMBERS[build]
        assert number is not None
        found = standing(argv, env, number)
        if "cannot_tell" in seen:
            continue
        if seen["starts"]:
            assert found.status is Status.OK, build
        elif found.status is Status.REFUSED:
            words = {word for fault in found.faults for word in (fault.word, fault.value)}
            assert not words.isdisjoint({seen["blame"], *seen.get("blame_or", ())}), build
        else:
            overlooked.add(build)
    assert bool(overlooked) is (case["id"] in NEEDS_A_LAUNCH), overlooked


@pytest.mark.parametrize(("case", "argv", "env"), CASES)
def test_the_line_names_what_to_write(
    case: Mapping[str, Any], argv: list[str], env: dict[str, str]
) -> None:
    advice = case.get("advice")
    if advice is not None:
        said = advice in outlook_line(outlook(argv, env))
        assert said is (case["id"] not in NO_WORDS)
