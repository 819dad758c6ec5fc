"""An argument list as builds of each era read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.flags.arguments import Argument, read_arguments
from tests.unit.era import ANCIENT, ERAS, LEGACY, NEWEST, capabilities


def read(build: str, *argv: str) -> list[tuple[str, ...]]:
    return [argument.words for argument in read_arguments(argv, capabilities(build))]


@pytest.mark.parametrize("build", ERAS)
def test_flags_with_their_values(build: str) -> None:
    assert read(build, "-m", "x.gguf", "--metrics", "-c", "512") == [
        ("-m", "x.gguf"),
        ("--metrics",),
        ("-c", "512"),
    ]


def test_negative_numbers_and_words_like_flags_are_values() -> None:
    assert read(NEWEST, "--temp", "-1.5", "--alias", "--metrics", "--seed", "-1") == [
        ("--temp", "-1.5"),
        ("--alias", "--metrics"),
        ("--seed", "-1"),
    ]


def test_an_option_of_two_values() -> None:
    (replace, port) = read_arguments(
        ("--spec-replace", "a", "b", "--port", "1"), capabilities(LEGACY)
    )
    assert replace.values == ("a", "b")
    assert port.words == ("--port", "1")


def test_a_switch_of_one_era_takes_a_value_in_another() -> None:
    assert read(NEWEST, "-fa", "on", "--metrics") == [("-fa", "on"), ("--metrics",)]
    assert read(ANCIENT, "-fa", "--metrics") == [("-fa",), ("--metrics",)]


def test_unknown_flags_take_what_follows_them() -> None:
    unknown, known = read_arguments(
        ("--no-such-flag", "1", "-2", "--port", "3"), capabilities(NEWEST)
    )
    assert unknown == Argument(flag="--no-such-flag", values=("1", "-2"), option=None)
    assert known.words == ("--port", "3")


def test_removed_flags_keep_their_stub() -> None:
    (stub,) = read_arguments(("--draft-max", "5"), capabilities(NEWEST))
    assert stub.option is not None
    assert stub.option.removed
    assert stub.values == ("5",)


def test_a_value_that_is_missing() -> None:
    assert read(NEWEST, "--metrics", "-c") == [("--metrics",), ("-c",)]


def test_stray_words() -> None:
    assert read(NEWEST, "stray", "-c", "1", "more") == [("stray",), ("-c", "1"), ("more",)]


words = st.sampled_from(
    ["-m", "-c", "--metrics", "--spec-replace", "--draft-max", "--nope", "-1", "5", "x y", ""]
)


@pytest.mark.parametrize("build", [ANCIENT, LEGACY, NEWEST])
@given(argv=st.lists(words))
def test_no_word_is_lost_or_moved(build: str, argv: list[str]) -> None:
    assert [word for argument in read(build, *argv) for word in argument] == argv
