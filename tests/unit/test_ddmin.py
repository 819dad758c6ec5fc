from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from harness.cells.ddmin import minimise


@given(st.lists(st.integers(), max_size=24), st.data())
def test_the_culprits_and_nothing_else_are_left(items: list[int], data: st.DataObject) -> None:
    positions = list(range(len(items)))
    culprits = data.draw(st.sets(st.sampled_from(positions)) if positions else st.just(set()))
    tried: list[tuple[int, ...]] = []

    def fails(kept: Sequence[int]) -> bool:
        tried.append(tuple(kept))
        return culprits <= set(kept)

    assert minimise(positions, fails) == tuple(sorted(culprits))
    assert len(tried) == len(set(tried)), "nothing is tried twice"


@given(st.sets(st.frozensets(st.integers(0, 11), min_size=1), min_size=1, max_size=4))
def test_no_item_can_be_left_out(causes: set[frozenset[int]]) -> None:
    def fails(kept: Sequence[int]) -> bool:
        return any(cause <= set(kept) for cause in causes)

    left = minimise(range(12), fails)
    assert fails(left)
    assert not any(fails([one for one in left if one != item]) for item in left)


def test_what_fails_without_any_item() -> None:
    assert minimise("abc", lambda _: True) == ()


def test_the_order_is_kept() -> None:
    assert minimise("abcdef", lambda kept: {"b", "e"} <= set(kept)) == ("b", "e")


@given(
    st.sets(st.frozensets(st.integers(0, 11), min_size=1), min_size=1, max_size=4),
    st.lists(st.integers(0, 11), unique=True),
)
def test_no_item_can_be_left_out_whatever_was_guessed(
    causes: set[frozenset[int]], guess: list[int]
) -> None:
    def fails(kept: Sequence[int]) -> bool:
        return any(cause <= set(kept) for cause in causes)

    left = minimise(range(12), fails, guess)
    assert fails(left)
    assert not any(fails([one for one in left if one != item]) for item in left)


def test_a_right_guess_is_all_that_is_tried() -> None:
    tried: list[tuple[str, ...]] = []

    def fails(kept: Sequence[str]) -> bool:
        tried.append(tuple(kept))
        return "e" in kept

    assert minimise("abcdef", fails, guess=[4]) == ("e",)
    assert tried == [(), ("e",)]
