import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bisect.search import (
    Answer,
    Boundary,
    boundaries,
    next_point,
    possible_next,
    steps_left,
    window,
)

G, B, U, F = Answer.GOOD, Answer.BAD, Answer.UNTESTABLE, Answer.FLAKY
History = Sequence[Answer]


def monotone(max_size: int = 60) -> st.SearchStrategy[History]:
    @st.composite
    def draw_history(draw: st.DrawFn) -> History:
        inner = draw(st.integers(0, max_size))
        turn = draw(st.integers(0, inner))
        skips = draw(st.sets(st.integers(0, max(inner - 1, 0))))
        flaky = draw(st.booleans())
        middle = [G if at < turn else B for at in range(inner)]
        return [
            G,
            *(((F if flaky else U) if at in skips else answer) for at, answer in enumerate(middle)),
            B,
        ]

    return draw_history()


any_history = st.lists(st.sampled_from(Answer), max_size=60).map(lambda inner: [G, *inner, B])
stored_sets = st.frozensets(st.integers(0, 61))


def explore(
    history: History,
    stored: frozenset[int] = frozenset(),
    stride: int | None = None,
    hints: Sequence[int] = (),
) -> tuple[dict[int, Answer], list[int]]:
    answers: dict[int, Answer] = {}
    tested: list[int] = []
    while True:
        left = steps_left(len(history), answers, stride=stride)
        at = next_point(len(history), answers, stored=stored, stride=stride, hints=hints)
        if at is None:
            assert left == 0
            return answers, tested
        assert left > 0
        assert at not in answers
        answers[at] = history[at]
        tested.append(at)


def oracle_boundaries(history: History) -> list[tuple[int, int]]:
    decided = [at for at, answer in enumerate(history) if answer.decides]
    return [
        (before, after)
        for before, after in pairwise(decided)
        if history[before] is not history[after]
    ]


def pairs(found: Sequence[Boundary]) -> list[tuple[int, int]]:
    return [(boundary.before, boundary.after) for boundary in found]


@settings(deadline=None)
@given(monotone(), stored_sets)
def test_finds_the_one_change_of_a_monotone_history(
    history: History, stored: frozenset[int]
) -> None:
    answers, _ = explore(history, stored)
    assert pairs(boundaries(answers)) == oracle_boundaries(history)
    found = window(answers)
    assert found is not None
    assert found.skipped == tuple(range(found.before + 1, found.after))
    assert len(boundaries(answers)) <= 1


@settings(deadline=None)
@given(any_history, stored_sets)
def test_every_window_of_any_history_is_a_real_change(
    history: History, stored: frozenset[int]
) -> None:
    answers, _ = explore(history, stored)
    found = window(answers)
    assert found is not None
    assert history[found.before] is G
    assert history[found.after] is B
    assert not any(history[at].decides for at in range(found.before + 1, found.after))
    assert (found.before, found.after) in oracle_boundaries(history)


@settings(deadline=None)
@given(any_history, stored_sets)
def test_steps_are_bounded_whatever_is_stored_or_untestable(
    history: History, stored: frozenset[int]
) -> None:
    _, tested = explore(history, stored)
    decided = sum(history[at].decides for at in tested)
    most = (len(history) - 2).bit_length()
    assert len(tested) == len(set(tested))
    # A run of three untestable points may cost uneven splits; each still takes away a quarter.
    few = len(tested) - decided < 3
    assert decided <= 2 + (most if few else math.ceil(most / math.log2(4 / 3)))


@settings(deadline=None)
@given(st.integers(2, 3000), st.data())
def test_at_most_log2_plus_the_two_ends_when_all_is_testable(
    count: int, data: st.DataObject
) -> None:
    turn = data.draw(st.integers(1, count - 1))
    stored = data.draw(st.frozensets(st.integers(0, count - 1), max_size=20))
    _, tested = explore([G] * turn + [B] * (count - turn), stored)
    assert len(tested) <= (count - 1).bit_length() + 2
    assert tested[:2] == [count - 1, 0]


@settings(deadline=None)
@given(any_history)
def test_a_stride_of_one_finds_all_boundaries(history: History) -> None:
    answers, tested = explore(history, stride=1)
    assert pairs(boundaries(answers)) == oracle_boundaries(history)
    assert sorted(tested) == list(range(len(history)))
    assert (len(boundaries(answers)) <= 1) == (len(oracle_boundaries(history)) == 1)


@settings(deadline=None)
@given(any_history, st.integers(1, 12), stored_sets)
def test_only_runs_shorter_than_the_stride_can_hide(
    history: History, stride: int, stored: frozenset[int]
) -> None:
    answers, _ = explore(history, stored, stride)
    decided = [at for at, answer in enumerate(history) if answer.decides]
    for _, members in groupby(decided, key=lambda at: history[at]):
        run = list(members)
        if len(run) >= stride:
            assert any(at in answers for at in run)
    assert set(pairs(boundaries(answers))) <= set(oracle_boundaries(history))


@settings(deadline=None)
@given(any_history, stored_sets)
def test_steps_left_never_grows_while_points_decide(
    history: History, stored: frozenset[int]
) -> None:
    answers: dict[int, Answer] = {}
    before = steps_left(len(history), answers)
    while (at := next_point(len(history), answers, stored=stored)) is not None:
        answers[at] = history[at]
        after = steps_left(len(history), answers)
        assert after <= before
        if history[at].decides and len(answers) - sum(a.decides for a in answers.values()) < 3:
            assert after < before
        before = after


@settings(deadline=None)
@given(any_history, stored_sets)
def test_the_possible_next_points_hold_the_real_next_one(
    history: History, stored: frozenset[int]
) -> None:
    answers: dict[int, Answer] = {}
    for at in _walk(history, answers, stored):
        ahead = possible_next(len(history), answers, at, stored=stored)
        after = {**answers, at: history[at]}
        following = next_point(len(history), after, stored=stored)
        assert len(ahead) <= 2
        assert at not in ahead
        if history[at].decides and following is not None:
            assert following in ahead


def _walk(history: History, answers: dict[int, Answer], stored: frozenset[int]) -> Iterator[int]:
    while (at := next_point(len(history), answers, stored=stored)) is not None:
        yield at
        answers[at] = history[at]


def test_an_untestable_middle_is_followed_by_its_neighbour() -> None:
    answers: Mapping[int, Answer] = {0: G, 100: B}
    middle = next_point(101, answers)
    assert middle == 50
    assert next_point(101, {**answers, middle: U}) in {49, 51}


def test_a_run_of_untestable_points_is_left_in_logarithmic_steps() -> None:
    # 64 builds around the middle do not compile, the change is far to the left of them.
    history = [G] * 20 + [B] * 80 + [U] * 64 + [B] * 92
    _, tested = explore(history)
    assert sum(history[at] is U for at in tested) <= 8


def test_a_stored_build_is_taken_only_while_it_costs_no_step() -> None:
    ends: Mapping[int, Answer] = {0: G, 16: B}
    assert next_point(17, ends, stored={9}) == 8
    wide: Mapping[int, Answer] = {0: G, 13: B}
    assert next_point(14, wide, stored={5}) == 5
    assert next_point(14, wide, stored={1}) != 1


def test_answers_known_beforehand_show_a_history_that_is_not_monotone() -> None:
    answers, _ = explore_from([G, B, B, G, G, B, B, B], {1: B, 3: G})
    assert len(boundaries(answers)) > 1
    found = window(answers)
    assert found is not None
    assert (found.before, found.after) == (4, 5)


def explore_from(history: History, known: dict[int, Answer]) -> tuple[dict[int, Answer], list[int]]:
    answers = dict(known)
    tested = []
    while (at := next_point(len(history), answers)) is not None:
        answers[at] = history[at]
        tested.append(at)
    return answers, tested


def test_wrong_ends_leave_no_window() -> None:
    assert window({0: B, 1: B}) is None
    assert next_point(2, {0: B, 1: B}) is None


@pytest.mark.parametrize(("count", "stride"), [(1, None), (0, None), (5, 0)])
def test_nonsense_is_refused(count: int, stride: int | None) -> None:
    with pytest.raises(ValueError, match=r"at least 1|two ends"):
        next_point(count, {}, stride=stride)


planted_hints = st.lists(st.integers(-3, 70), max_size=2)
"""Anything at all: most of them are wrong, and some are no positions."""


@settings(deadline=None)
@given(monotone(), stored_sets, planted_hints)
def test_a_wrong_hint_ends_with_the_right_answer(
    history: History, stored: frozenset[int], hints: list[int]
) -> None:
    answers, _ = explore(history, stored, hints=hints)
    assert pairs(boundaries(answers)) == oracle_boundaries(history)


@settings(deadline=None)
@given(st.integers(2, 300), st.data(), planted_hints)
def test_a_wrong_hint_costs_two_tests_at_most(
    count: int, data: st.DataObject, hints: list[int]
) -> None:
    turn = data.draw(st.integers(1, count - 1))
    history = [G] * turn + [B] * (count - turn)
    _, tested = explore(history, hints=hints)
    bound = 2 + (count - 1).bit_length()
    outside = [at for at in hints if not 0 < at < count - 1]
    assert len(tested) <= bound + len(hints) - len(outside)


@settings(deadline=None)
@given(st.integers(2, 300), st.data())
def test_a_right_hint_leaves_nothing_else_to_test(count: int, data: st.DataObject) -> None:
    turn = data.draw(st.integers(1, count - 1))
    history = [G] * turn + [B] * (count - turn)
    answers, tested = explore(history, hints=(turn - 1, turn))
    assert pairs(boundaries(answers)) == [(turn - 1, turn)]
    assert set(tested) == {0, count - 1, turn - 1, turn}


@settings(deadline=None)
@given(any_history, stored_sets, planted_hints, st.integers(1, 8))
def test_hints_hide_no_change_that_lasts(
    history: History, stored: frozenset[int], hints: list[int], stride: int
) -> None:
    answers, tested = explore(history, stored, stride, hints)
    assert len(tested) == len(set(tested))
    unknown_runs = [
        len(list(group))
        for unknown, group in groupby(range(len(history)), key=lambda at: at not in answers)
        if unknown
    ]
    assert all(run < stride for run in unknown_runs)


def test_the_second_build_of_a_hint_is_not_tested_where_the_first_proves_it_wrong() -> None:
    history = [G] * 10 + [B] * 90
    _, tested = explore(history, hints=(60, 61))
    assert tested[:3] == [99, 0, 60]
    assert 61 not in tested
