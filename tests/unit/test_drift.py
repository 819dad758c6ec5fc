"""Drift: what differs between builds without having been asked for."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.settings.state import effective_state
from harness.verdicts.drift import OF_THE_HARNESS, Drift, drift
from harness.verdicts.findings import flat
from tests.unit.settings.recorded import UPSTREAM, recording


def told(*states: Mapping[str, Any], demanded: tuple[str, ...] = ()) -> list[str]:
    named = [(f"b{number}", state) for number, state in enumerate(states, start=1)]
    return [str(one) for one in drift(named, demanded)]


def test_each_change_is_told_once_with_the_build_that_has_it() -> None:
    states = [{"slots": 1}, {"slots": 1}, {"slots": 4}, {"slots": 4}, {"slots": 2}]
    assert told(*states) == ["slots 1 → 4 since b3", "slots 4 → 2 since b5"]
    assert [*drift([("b1", states[0]), ("b2", states[2])])] == [
        Drift(setting="slots", before=1, after=4, since="b2")
    ]


def test_a_build_that_does_not_tell_is_passed_over() -> None:
    assert told({"slots": 1}, {}, {"slots": 4}) == ["slots 1 → 4 since b3"]
    assert told({}, {"slots": 1}, {}) == []


@pytest.mark.parametrize("name", ["slots", *sorted(OF_THE_HARNESS)])
def test_what_was_asked_for_and_what_the_harness_chose_does_not_drift(name: str) -> None:
    assert told({name: 1}, {name: 2}, demanded=("slots",)) == []


def test_single_precision_and_an_empty_list() -> None:
    assert told({"temperature": 0.8}, {"temperature": 0.800000012}) == []
    assert told({"aliases": []}, {"aliases": ["a"]}) == ["aliases none → a since b2"]
    assert told({"ui": True}, {"ui": False}) == ["ui on → off since b2"]


def test_the_drift_of_real_builds_when_nothing_is_asked() -> None:
    states = [
        (build, flat({**effective_state(recording(build, "plain").observation), "speculation": {}}))
        for build in UPSTREAM
    ]
    changes = {str(one) for one in drift(states)}
    assert changes >= {
        "slots 1 → 4 since b8929",
        "kv_unified off → on since b8929",
        "context 4096 → 8192 since b8929",
        "flash_attention off → on since b8929",
        "jinja off → on since b8929",
        "model_id tiny-llama.gguf → PATH since b10435",
    }
    assert not any(one.startswith(("drafts", "temperature", "port")) for one in changes)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), max_size=6))
def test_the_changes_lead_from_the_first_to_the_last(states: list[dict[str, int]]) -> None:
    named = [(str(number), state) for number, state in enumerate(states)]
    for name in "abc":
        values = [state[name] for state in states if name in state]
        changes = [one for one in drift(named) if one.setting == name]
        if not values:
            assert changes == []
            continue
        at = values[0]
        for one in changes:
            assert one.before == at != one.after
            at = one.after
        assert at == values[-1]
