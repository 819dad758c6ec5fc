"""Keys of the API that come and go, and how they are told together."""

from harness.upgrade.interface import compare_interfaces, told


def test_keys_that_come_go_and_change() -> None:
    old = {("/props", "a"): "number", ("/props", "b"): "text", ("/props", "c"): "list"}
    new = {("/props", "a"): "text", ("/props", "c"): "list", ("/props x", "d"): "boolean"}
    changes = compare_interfaces(old, new)
    assert [(one.place, one.key, one.what) for one in changes] == [
        ("/props", "a", "number → text"),
        ("/props", "b", "gone"),
        ("/props x", "d", "new (boolean)"),
    ]


def test_a_path_that_one_does_not_answer_is_not_compared() -> None:
    old = {("/props", "a"): "number", ("/slots[]", "id"): "number"}
    assert compare_interfaces(old, {("/props", "a"): "number"}) == ()
    assert compare_interfaces(old, {}) == ()


def test_keys_that_begin_alike_and_stand_in_the_same_places_are_one_line() -> None:
    keys = ("speculative.n_max", "speculative.n_min", "speculative.p_min")
    old = {(place, key): "number" for place in ("/props p", "/completion g") for key in keys}
    kept = {("/props", "x"): "text", ("/completion", "x"): "text"}
    assert [*told(compare_interfaces({**old, **kept}, kept))] == [
        "speculative.{n_max, n_min, p_min} gone in /props p and /completion g"
    ]


def test_two_keys_are_told_by_their_names() -> None:
    kept = {("/props", "x"): "text"}
    new = {**kept, ("/props", "a.b"): "number", ("/props", "a.c"): "number"}
    assert [*told(compare_interfaces(kept, new))] == ["a.b, a.c new (number) in /props"]
