"""What is said on the way of a run that takes long."""

from dataclasses import replace

import pytest

from harness.matrix.progress import RunProgress
from harness.model import Cell, LoadRequest, Verdict
from tests.unit.results import result


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def cells(number: int, subject: str = "reference") -> list[Cell]:
    request = LoadRequest(model="tiny-mtp", mode="mtp")
    return [Cell(build="b1", subject=subject, environment="cpu", request=request)] * number


def test_a_short_run_says_nothing(clock: Clock) -> None:
    progress = RunProgress(cells(9), clock)
    said = []
    for _ in range(9):
        clock.now += 1
        progress.saw(replace(result(), wall_ms=1000))
        said.append(progress.due())
    assert not any(said)


def test_a_long_run_says_how_far_it_is_and_what_is_left(clock: Clock) -> None:
    progress = RunProgress(cells(60), clock)
    said = []
    for number in range(60):
        clock.now += 1
        status = Verdict.FAIL if number == 3 else Verdict.PASS
        progress.saw(replace(result(status=status), wall_ms=1000))
        said.append(progress.due())
    assert list(filter(None, said)) == [
        f"{done} of 60 cells, 1 bad; about {60 - done} s left" for done in (10, 20, 30, 40, 50)
    ]


def test_cells_side_by_side_halve_what_is_left(clock: Clock) -> None:
    progress = RunProgress(cells(60), clock)
    clock.now += 2
    for _ in range(5):
        progress.saw(replace(result(), wall_ms=2000))
        progress.saw(replace(result(), wall_ms=2000))
        clock.now += 2
    assert progress.due() == "10 of 60 cells; about 60 s left".replace("60 s", "1 min 00 s")


def test_a_slow_subject_yet_to_come_is_not_taken_for_a_fast_one(clock: Clock) -> None:
    progress = RunProgress([*cells(20), *cells(20, "slow")], clock)
    for _ in range(10):
        clock.now += 0.5
        progress.saw(replace(result(), wall_ms=500))
    for _ in range(2):
        clock.now += 5
        progress.saw(replace(result(subject="slow"), wall_ms=5000))
    # 10 fast ones of half a second, 18 slow ones of 5 s.
    assert progress.due() == "12 of 40 cells; about 1 min 35 s left"


def test_after_a_minute_it_is_said_less_often(clock: Clock) -> None:
    progress = RunProgress(cells(300), clock)
    said = []
    for _ in range(200):
        clock.now += 1
        progress.saw(replace(result(), wall_ms=1000))
        said.append(bool(progress.due()))
    assert [second for second, one in enumerate(said, start=1) if one][:9] == [
        *(10, 20, 30, 40, 50, 60),
        *(90, 120, 150),
    ]
