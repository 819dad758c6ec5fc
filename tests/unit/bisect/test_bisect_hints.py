"""Which two builds the atlas has tested first."""

from dataclasses import replace

import pytest

from harness.bisect.hints import Hint, around, hint_for
from harness.bisect.journal import Point, Step
from harness.bisect.search import Answer
from harness.bisect.trial import Outcome, Signature, Trial
from tests.unit.results import result

PACKAGED = (8929, 8946, 8992, 9009, 9036, 9093, 9130, 9189, 9222, 9246, 9300, 9453, 9464, 10105)
LATER = (10435, 10472, 10852, 10867, 10878, 10930, 11434)


def points(*numbers: int, upwards: bool = True) -> tuple[Point, ...]:
    ordered = tuple(Point(id=f"b{number}", number=number) for number in numbers)
    return ordered if upwards else ordered[::-1]


def between(low: int, high: int, *, upwards: bool = True) -> tuple[Point, ...]:
    numbers = (number for number in (*PACKAGED, *LATER) if low <= number <= high)
    return points(*numbers, upwards=upwards)


def bad_end(line: str, check: str = "starts", argument: str | None = None, **env: str) -> Step:
    """The bad end's step, where a command line fails by a check."""
    outcome = Outcome(
        answer=Answer.BAD,
        reason="it fails",
        signature=Signature(check=check, argument=argument),
        result=replace(result(), argv=tuple(line.split()), env=env),
    )
    trial = Trial(build="bad", subject="argv")
    return Step(trial=trial, outcome=outcome, answer=Answer.BAD)


def command_step(*command: str) -> Step:
    outcome = Outcome(answer=Answer.BAD, reason="status 1", argv=command)
    return Step(trial=Trial(build="bad", subject="reference"), outcome=outcome, answer=Answer.BAD)


@pytest.mark.parametrize(
    ("step", "ends", "upwards", "first"),
    [
        # The three changes of docs/bisecting.md.
        (bad_end("-c 1 --draft-max 8", argument="--draft-max"), (8929, 9093), True,
         ("b8946", "b8992")),
        (bad_end("-md draft.gguf", check="draft-n-max"), (9093, 9246), False,
         ("b9246", "b9222")),
        (bad_end("-md draft.gguf --spec-draft-n-max 3", check="implementations", argument="-md"),
         (9246, 9464), True, ("b9453", "b9464")),
        # A window of the atlas.
        (bad_end("--no-mmap", argument="--no-mmap"), (9464, 11434), True, ("b10867", "b10878")),
        # Backwards: the new spelling on an old build.
        (bad_end("--load-mode none", argument="--load-mode"), (8929, 10878), False,
         ("b10105", "b9464")),
        # A value, and a variable.
        (bad_end("--spec-type draft-mtp", argument="--spec-type"), (9093, 9246), False,
         ("b9189", "b9130")),
        (bad_end("-c 1", argument="LLAMA_ARG_DRAFT_MAX", LLAMA_ARG_DRAFT_MAX="8"),
         (8929, 9093), True, ("b8946", "b8992")),
        # A command that names a flag.
        (command_step("sh", "-c", "$LLAMA_SERVER --no-mmap --version"), (9464, 11434), True,
         ("b10867", "b10878")),
        (command_step("sh", "-c", "$LLAMA_SERVER --load-mode none"), (8929, 10878), False,
         ("b10105", "b9464")),
    ],
)  # fmt: skip
def test_the_builds_around_what_the_atlas_explains(
    step: Step, ends: tuple[int, int], upwards: bool, first: tuple[str, ...]
) -> None:
    builds = between(*ends, upwards=upwards)
    hint = hint_for(step, builds)
    assert hint is not None
    assert around(hint, builds) == first


@pytest.mark.parametrize(
    ("step", "builds"),
    [
        # The atlas has it taken at the bad end: it does not explain the failure.
        (bad_end("--no-mmap", argument="--no-mmap"), between(8929, 9464)),
        (bad_end("-c 1", argument="--never-there"), between(8929, 9464)),
        # Nothing is to blame, and nothing changed silently.
        (bad_end("-c 1", check="says-why"), between(8929, 8946)),
        (bad_end("-c 1"), between(8929, 9464)),
        (command_step("./works.sh"), between(8929, 9464)),
        (command_step("sh", "-c", "$LLAMA_SERVER --no-mmap"), between(8929, 9464)),
        # No numbers, or none that the atlas knows.
        (bad_end("--no-mmap", argument="--no-mmap"), (Point(id="a"), Point(id="b"))),
        (bad_end("--no-mmap", argument="--no-mmap"), points(12000, 12001)),
    ],
)
def test_no_hint_where_the_atlas_explains_nothing(step: Step, builds: tuple[Point, ...]) -> None:
    assert hint_for(step, builds) is None


def test_a_word_that_is_refused_on_all_builds_gives_no_hint() -> None:
    assert hint_for(bad_end("--ngl 3", argument="--ngl"), between(8929, 9464)) is None


def test_a_side_without_a_build_gives_one_build() -> None:
    hint = Hint(low=8954, high=8955, why="")
    assert around(hint, points(8992, 9009)) == ("b8992",)
    assert around(hint, (Point(id="py0.3.16"), *points(8946, 8992))) == ("b8946", "b8992")
