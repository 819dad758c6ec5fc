"""Where a launch shows that the atlas is wrong, it is told as an error of the harness."""

from dataclasses import replace
from typing import Any

import pytest

from harness.model import CellResult, Failure, FailureKind, Remark, Replacement, Verdict
from harness.verdicts.standing import disagreement
from tests.unit.results import result


def started(*argv: str, **more: Any) -> CellResult:
    return replace(result(effective={}), argv=argv, **more)


def refused(
    argument: str, *argv: str, kind: FailureKind = FailureKind.UNKNOWN_ARGUMENT
) -> CellResult:
    failure = Failure(kind=kind, argument=argument, message="refused")
    return replace(result(status=Verdict.FAIL, failure=failure), argv=argv)


@pytest.mark.parametrize(
    ("seen", "number", "said"),
    [
        (
            started("-c", "512", "--draft-max", "8"),
            9246,
            "the atlas says that b9246 refuses --draft-max, and it starts with that",
        ),
        (
            started("-ctk", "turbo3"),
            9246,
            "the atlas says that b9246 refuses -ctk turbo3, and it starts with that",
        ),
        (
            started("-c", "512", env={"LLAMA_ARG_DRAFT_MAX": "8"}),
            9246,
            "the atlas says that b9246 refuses LLAMA_ARG_DRAFT_MAX, and it starts with that",
        ),
        (
            refused("--jinja", "--jinja", "-c", "512"),
            9246,
            "b9246 refuses --jinja, and the atlas says that it takes it",
        ),
        (
            refused("--draft-max", "--draft-max", "8", kind=FailureKind.REMOVED_ARGUMENT),
            8929,
            "b9246 refuses --draft-max, and the atlas says that it takes it",
        ),
    ],
)
def test_a_launch_that_shows_the_atlas_to_be_wrong(
    seen: CellResult, number: int, said: str
) -> None:
    found = disagreement(seen, number)
    assert found is not None
    assert found.message == said
    assert str(found) == f"an error of the harness: {said}; please report it"


@pytest.mark.parametrize(
    ("seen", "number"),
    [
        # They agree.
        (started("-c", "512", "--jinja"), 9246),
        (refused("--draft-max", "--draft-max", "8"), 9246),
        (refused("--draft_max", "--draft_max", "8"), 9246),
        # The build says something else, or refuses a value.
        (refused("--spec-type", "--spec-type", "x", kind=FailureKind.BAD_VALUE), 9246),
        (refused("--jinja", "--jinja", kind=FailureKind.MODEL_LOAD), 9246),
        # The word is not of the command line.
        (refused("top_p", "--models-preset", "a.ini"), 9246),
        # The atlas does not tell: inside a window, what has to be compiled in, no number.
        (started("--no-mmap"), 10870),
        (refused("--no-mmap", "--no-mmap"), 10870),
        (refused("--rpc", "--rpc", "x:1"), 9246),
        (started("--draft-max", "8"), None),
        (started("--draft-max", "8"), 99999),
        # The server was started without the word, or with another in its place.
        (
            started("--draft-max", "8", left_out=(Remark(word="--draft-max", why="no"),)),
            9246,
        ),
        (
            started(
                "-ctk",
                "turbo3",
                replaced=(Replacement(given="-ctk turbo3", used="-ctk f16", why="no"),),
            ),
            9246,
        ),
    ],
)
def test_where_they_agree_or_one_is_silent(seen: CellResult, number: int | None) -> None:
    assert disagreement(seen, number) is None
