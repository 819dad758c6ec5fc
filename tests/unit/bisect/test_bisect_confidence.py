import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bisect.confidence import END_RUNS, MOST_RUNS, Rates, Tally
from harness.bisect.search import Answer


def run_until_decided(rates: Rates, rate: float, dice: random.Random) -> Answer:
    tally = Tally()
    while tally.runs < MOST_RUNS:
        tally = tally.plus(Answer.BAD if dice.random() < rate else Answer.GOOD)
        answer = rates.judge(tally)
        if answer:
            return answer
    return Answer.FLAKY


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize(("good", "bad"), [(0.05, 0.95), (0.05, 0.4), (0.3, 0.7)])
def test_answers_are_wrong_no_more_often_than_stated(
    good: float, bad: float, confidence: float
) -> None:
    dice = random.Random(7)
    rates = Rates(good=good, bad=bad, confidence=confidence)
    for rate, wrong in ((good, Answer.BAD), (bad, Answer.GOOD)):
        answers = [run_until_decided(rates, rate, dice) for _ in range(1000)]
        assert answers.count(wrong) <= 1000 * (1 - confidence) * 1.3
        assert answers.count(Answer.FLAKY) <= 20


@pytest.mark.parametrize("rate", [1.0, 0.7, 0.4])
def test_rates_measured_at_the_ends_keep_the_stated_confidence(rate: float) -> None:
    dice = random.Random(11)
    wrong = 0
    for _ in range(500):
        bad = Tally()
        while bad.failures < END_RUNS:
            bad = bad.plus(Answer.BAD if dice.random() < rate else Answer.GOOD)
        rates = Rates.of_ends(good=Tally(passes=bad.runs), bad=bad, confidence=0.95)
        wrong += run_until_decided(rates, rate, dice) is Answer.GOOD
        wrong += run_until_decided(rates, 0.0, dice) is Answer.BAD
    assert wrong <= 1000 * 0.05


def test_ends_that_always_agree_make_four_runs_enough_at_95_percent() -> None:
    good, bad = Tally(passes=END_RUNS), Tally(failures=END_RUNS)
    rates = Rates.of_ends(good=good, bad=bad, confidence=0.95)
    assert rates.judge(Tally(failures=4)) is Answer.BAD
    assert rates.judge(Tally(passes=4)) is Answer.GOOD
    assert rates.judge(Tally(failures=3)) is None
    assert rates.judge(Tally(failures=4, passes=1)) is None


def test_ends_that_cannot_be_told_apart_decide_nothing() -> None:
    same = Tally(failures=4, passes=6)
    rates = Rates.of_ends(good=same, bad=same, confidence=0.9)
    assert rates.judge(Tally(failures=MOST_RUNS)) is None


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.6, 0.999))
def test_more_failures_never_speak_for_good(failures: int, passes: int, confidence: float) -> None:
    rates = Rates(good=0.1, bad=0.6, confidence=confidence)
    before = rates.judge(Tally(failures=failures, passes=passes))
    after = rates.judge(Tally(failures=failures + 1, passes=passes))
    assert not (before is Answer.BAD and after is not Answer.BAD)
    assert not (after is Answer.GOOD and before is not Answer.GOOD)


def test_runs_that_decide_nothing_are_not_counted() -> None:
    assert Tally(failures=1).plus(Answer.UNTESTABLE) == Tally(failures=1)
