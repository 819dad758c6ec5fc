import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bisect.confidence import END_RUNS, MOST_RUNS, Rates, Tally
from harness.bisect.search import Answer


def run_until_decided(rates: Rates, rate: float, confidence: float, dice: random.Random) -> Answer:
    tally = Tally()
    while tally.runs < MOST_RUNS:
        tally = tally.plus(Answer.BAD if dice.random() < rate else Answer.GOOD)
        answer = rates.judge(tally, confidence)
        if answer:
            return answer
    return Answer.FLAKY


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize(("good", "bad"), [(0.05, 0.95), (0.05, 0.4), (0.3, 0.7)])
def test_answers_are_wrong_no_more_often_than_stated(
    good: float, bad: float, confidence: float
) -> None:
    dice = random.Random(7)
    rates = Rates(good=good, bad=bad)
    for rate, wrong in ((good, Answer.BAD), (bad, Answer.GOOD)):
        answers = [run_until_decided(rates, rate, confidence, dice) for _ in range(1000)]
        assert answers.count(wrong) <= 1000 * (1 - confidence) * 1.3
        assert answers.count(Answer.FLAKY) <= 20


def test_ends_that_always_agree_make_one_run_enough_at_95_percent() -> None:
    rates = Rates.of_ends(good=Tally(passes=END_RUNS), bad=Tally(failures=END_RUNS))
    assert rates.judge(Tally(failures=1), 0.95) is Answer.BAD
    assert rates.judge(Tally(passes=1), 0.95) is Answer.GOOD
    assert rates.judge(Tally(failures=1, passes=1), 0.95) is None


def test_ends_that_cannot_be_told_apart_decide_nothing() -> None:
    rates = Rates.of_ends(good=Tally(failures=4, passes=6), bad=Tally(failures=4, passes=6))
    assert rates.judge(Tally(failures=MOST_RUNS), 0.9) is None


@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.6, 0.999))
def test_more_failures_never_speak_for_good(failures: int, passes: int, confidence: float) -> None:
    rates = Rates(good=0.1, bad=0.6)
    before = rates.judge(Tally(failures=failures, passes=passes), confidence)
    after = rates.judge(Tally(failures=failures + 1, passes=passes), confidence)
    assert not (before is Answer.BAD and after is not Answer.BAD)
    assert not (after is Answer.GOOD and before is not Answer.GOOD)


def test_runs_that_decide_nothing_are_not_counted() -> None:
    assert Tally(failures=1).plus(Answer.UNTESTABLE) == Tally(failures=1)
