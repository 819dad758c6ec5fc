from dataclasses import replace

import pytest

from harness.model import LoadRequest, Mode
from harness.subjects.reference import Guards, LoadedState
from harness.subjects.reference.variants import variant

BASE = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5)
MTP = LoadedState(request=BASE, resolved_mode=Mode.MTP)


A, B, E = (variant(rest).guards for rest in ("@A", "@B", "@E"))


def answers(guards: Guards, request: LoadRequest, loaded: LoadedState) -> tuple[bool, bool]:
    return guards.route_matches(request, loaded), guards.backend_matches(request, loaded)


def both(request: LoadRequest, loaded: LoadedState) -> bool:
    route, backend = answers(Guards(), request, loaded)
    assert route is backend
    return route


def test_the_same_request_matches() -> None:
    assert both(BASE, MTP)
    assert both(replace(BASE, mode=" Draft-MTP "), MTP)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "tiny-llama"},
        {"context_length": 1024},
        {"cache_type": "q8_0"},
        {"chat_template": "chatml"},
        {"extra_args": ("--metrics",)},
        {"extra_args": ("--spec-type", "draft-mtp")},
        {"mode": "ngram"},
        {"mode": "auto"},
        {"mode": None},
        {"draft_n_max": 6},
        {"draft_n_max": None},
    ],
    ids=str,
)
def test_any_difference_reloads(change: dict[str, object]) -> None:
    changed = replace(BASE, **change)  # type: ignore[arg-type]
    assert not both(changed, MTP)
    assert not both(BASE, LoadedState(request=changed, resolved_mode=Mode.MTP))


@pytest.mark.parametrize("resolved", [Mode.MTP, Mode.MTP_NGRAM, Mode.DRAFT])
def test_the_length_counts_where_it_takes_effect(resolved: Mode) -> None:
    auto = LoadRequest(model="tiny-mtp", mode="auto")
    five = replace(auto, draft_n_max=5)
    assert both(auto, LoadedState(request=auto, resolved_mode=resolved))
    assert both(five, LoadedState(request=five, resolved_mode=resolved))
    assert not both(five, LoadedState(request=auto, resolved_mode=resolved))
    assert not both(auto, LoadedState(request=five, resolved_mode=resolved))


@pytest.mark.parametrize("resolved", [Mode.NGRAM, Mode.NGRAM_SIMPLE, Mode.OFF, None])
def test_the_length_is_ignored_elsewhere(resolved: Mode | None) -> None:
    loaded = LoadedState(request=BASE, resolved_mode=resolved)
    assert both(replace(BASE, draft_n_max=None), loaded)
    assert both(replace(BASE, draft_n_max=9), loaded)


def test_nothing_and_auto_are_the_same_mode() -> None:
    loaded = LoadedState(request=replace(BASE, mode=None), resolved_mode=Mode.MTP)
    assert both(replace(BASE, mode="auto"), loaded)
    assert both(replace(BASE, mode="Default"), loaded)


def test_a_mode_that_extra_arguments_own_is_not_compared() -> None:
    own = replace(BASE, extra_args=("--spec-type", "ngram-mod"))
    loaded = LoadedState(request=own, resolved_mode=None)
    assert both(replace(own, mode="off", draft_n_max=1), loaded)


def test_bug_a_keeps_a_stale_length_where_auto_resolved_to_mtp() -> None:
    loaded = LoadedState(request=replace(BASE, mode="auto"), resolved_mode=Mode.MTP)
    request = replace(BASE, mode="auto", draft_n_max=2)
    assert answers(A, request, loaded) == (True, False)
    assert answers(Guards(), request, loaded) == (False, False)
    assert answers(A, replace(BASE, draft_n_max=2), MTP) == (False, False)
    assert answers(A, BASE, MTP) == (True, True)
    assert answers(A, replace(request, model="tiny-llama"), loaded) == (False, False)


def test_bug_b_takes_not_given_for_any_length() -> None:
    cleared = replace(BASE, draft_n_max=None)
    default = LoadedState(request=cleared, resolved_mode=Mode.MTP)
    assert answers(B, cleared, MTP) == (True, True)
    assert answers(B, BASE, default) == (True, True)
    assert answers(Guards(), cleared, MTP) == (False, False)
    assert answers(Guards(), BASE, default) == (False, False)
    assert answers(B, replace(BASE, draft_n_max=6), MTP) == (False, False)


def test_bug_e_finds_mtp_good_enough_for_none() -> None:
    loaded = LoadedState(request=replace(BASE, mode="auto"), resolved_mode=Mode.MTP)
    assert answers(E, replace(BASE, mode="none"), loaded) == (True, True)
    assert answers(Guards(), replace(BASE, mode="none"), loaded) == (False, False)
