import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from harness.bisect.bisector import Bisector
from harness.bisect.journal import Notebook, Point, Question, Step
from harness.bisect.tester import recorded
from harness.bisect.trial import Trial
from harness.errors import BisectionError
from tests.unit.bisect.world import COMMAND, SIGNATURE, SILENT, World, over_builds, points


@settings(deadline=None)
@given(st.integers(2, 200), st.data(), st.booleans())
def test_finds_the_first_bad_build_and_tests_each_build_once(
    count: int, data: st.DataObject, lookahead: bool
) -> None:
    turn = data.draw(st.integers(1, count - 1))
    question, world = over_builds([0.0] * turn + [1.0] * (count - turn))
    finding = world.bisect(Notebook(question), lookahead=lookahead)
    (leg,) = finding.legs
    assert (leg.boundary.before, leg.boundary.after) == (turn - 1, turn)
    assert leg.boundary.skipped == ()
    assert leg.boundaries == (leg.boundary,)
    assert len(world.runs) == len(set(world.runs)) <= (count - 1).bit_length() + 2
    assert world.anchors <= {None, SIGNATURE}
    assert finding.signature == SIGNATURE


@settings(deadline=None)
@given(st.integers(2, 60), st.data())
def test_builds_that_cannot_be_had_are_skipped_and_named(count: int, data: st.DataObject) -> None:
    turn = data.draw(st.integers(1, count - 1))
    missing = data.draw(st.sets(st.integers(1, count - 2), max_size=10)) if count > 2 else set()
    question, world = over_builds([0.0] * turn + [1.0] * (count - turn))
    world.missing = frozenset(question.builds[at].id for at in missing)
    finding = world.bisect(Notebook(question))
    (leg,) = finding.legs
    assert leg.boundary.before < turn <= leg.boundary.after
    between = range(leg.boundary.before + 1, leg.boundary.after)
    assert set(between) <= missing
    assert leg.boundary.skipped == tuple(between)


def test_the_two_possible_next_builds_are_begun_and_the_other_one_is_ended() -> None:
    question, world = over_builds([0.0] * 20 + [1.0] * 13)
    world.bisect(Notebook(question))
    tested = {trial.build for trial in world.runs}
    assert tested <= set(world.started)
    assert set(world.ended) == set(world.started), "nothing is left under way"
    # The bad end, the good end, the middle, then both middles around it.
    assert world.started[:3] == ["b9096", "b9000", "b9048"]
    assert set(world.started[3:5]) == {"b9024", "b9072"}
    assert len(world.started) == len(set(world.started))


def test_without_look_ahead_only_what_is_tested_is_acquired() -> None:
    question, world = over_builds([0.0] * 20 + [1.0] * 13)
    world.bisect(Notebook(question), lookahead=False)
    assert world.started == [trial.build for trial in world.runs]


def test_stored_builds_are_acquired_by_nobody() -> None:
    question, world = over_builds([0.0] * 6 + [1.0] * 4)
    world.store = {point.id for point in question.builds}
    world.bisect(Notebook(question))
    assert world.started == []


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([0.0, 0.0, 0.0], r"the bad end, b9006 under reference, is good"),
        ([1.0, 0.0, 1.0], r"the good end, b9000 under reference, is bad"),
    ],
)
def test_an_end_that_is_not_as_claimed_stops(rates: list[float], message: str) -> None:
    question, world = over_builds(rates)
    with pytest.raises(BisectionError, match=message):
        world.bisect(Notebook(question))


def test_an_end_that_cannot_be_had_stops() -> None:
    question, world = over_builds([0.0, 1.0], missing=frozenset({"b9000"}))
    with pytest.raises(BisectionError, match="b9000: no source works here; choose another end"):
        world.bisect(Notebook(question))


def test_a_flaky_failure_is_repeated_until_it_is_sure() -> None:
    wrong = 0
    for seed in range(20):
        question, world = over_builds([0.0] * 11 + [0.4] * 9, seed=seed)
        finding = world.bisect(Notebook(replace(question, confidence=0.99)))
        wrong += finding.legs[0].boundary.before != 10
    # Five points at 99 % each: at most one search in twenty goes wrong; here none does.
    assert wrong <= 1


def test_a_single_run_of_a_flaky_failure_would_go_wrong() -> None:
    wrong = 0
    for seed in range(20):
        question, world = over_builds([0.0] * 11 + [1.0, *[0.4] * 7, 1.0], seed=seed)
        wrong += world.bisect(Notebook(question)).legs[0].boundary.before != 10
    assert wrong > 5


def test_ends_that_fail_alike_are_refused() -> None:
    question, world = over_builds([0.5, 0.5, 0.5])
    with pytest.raises(BisectionError, match=r"the good end, b9000 under reference, (fails in|is)"):
        world.bisect(Notebook(replace(question, confidence=0.95)))


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0]), max_size=30))
def test_all_boundaries_of_a_history_that_is_not_monotone(inner: list[float]) -> None:
    rates = [0.0, *inner, 1.0]
    question, world = over_builds(rates)
    finding = world.bisect(Notebook(replace(question, stride=1)))
    found = [(each.before, each.after) for each in finding.legs[0].boundaries]
    expected = [(at, at + 1) for at in range(len(rates) - 1) if rates[at] != rates[at + 1]]
    assert found == expected


def two_axes(
    bad_from_build: int, bad_from_subject: int, *, together: bool
) -> tuple[Question, World]:
    builds = points(9)
    subjects = tuple(Point(id=f"unsloth=={version}") for version in range(7))
    rates = {}
    for at, build in enumerate(builds):
        for version, subject in enumerate(subjects):
            sides = (at >= bad_from_build, version >= bad_from_subject)
            fails = all(sides) if together else any(sides)
            rates[Trial(build=build.id, subject=subject.id)] = float(fails)
    question = Question(
        axes=("build", "subject"), builds=builds, subjects=subjects, predicate=COMMAND
    )
    return question, World(rates=rates)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 7), st.booleans())
def test_both_axes_tell_which_one_the_failure_is_due_to(
    build: int, subject: int, together: bool
) -> None:
    question, world = two_axes(build, subject, together=together)
    if world.rates[question.bad] == 0.0:
        return
    finding = world.bisect(Notebook(question))
    found = {result.leg.axis: result.boundary.after for result in finding.legs}
    if together:
        assert finding.blame == "both together"
        assert found == {"build": build, "subject": subject}
    else:
        expected = {"build": build} if build < 9 else {}
        expected |= {"subject": subject} if subject < 7 else {}
        assert found == expected
        assert finding.blame == ("either" if len(expected) == 2 else next(iter(expected)))
    assert len(world.runs) == len(set(world.runs))


def test_replay_tells_the_same_without_testing() -> None:
    question, world = over_builds([0.0] * 30 + [1.0] * 20)
    notebook = Notebook(question)
    finding = world.bisect(notebook)
    again = Bisector(Notebook(question), recorded(notebook.steps), SILENT).run()
    assert again == finding


def test_replay_of_an_unfinished_journal_says_where_it_ends() -> None:
    question, world = over_builds([0.0] * 30 + [1.0] * 20)
    notebook = Notebook(question)
    world.bisect(notebook)
    steps = dict(list(notebook.steps.items())[:4])
    with pytest.raises(BisectionError, match=r"the journal ends before b.* `bisect resume`"):
        Bisector(Notebook(question), recorded(steps), SILENT).run()


@pytest.mark.parametrize(("missing_side", "axes"), [("build", ["subject"]), ("subject", ["build"])])
def test_a_corner_that_cannot_be_tested_leaves_the_blame_open(
    missing_side: str, axes: list[str]
) -> None:
    question, world = two_axes(3, 3, together=True)
    good, bad = question.good, question.bad
    mixed = (
        Trial(build=good.build, subject=bad.subject)
        if missing_side == "build"
        else Trial(build=bad.build, subject=good.subject)
    )
    world.untestable = frozenset({mixed})
    finding = world.bisect(Notebook(question))
    assert finding.blame == "undecided"
    assert [result.leg.axis for result in finding.legs] == axes


def test_two_corners_that_cannot_be_tested_leave_no_answer() -> None:
    question, world = two_axes(3, 3, together=True)
    world.untestable = frozenset(
        {
            Trial(build=question.good.build, subject=question.bad.subject),
            Trial(build=question.bad.build, subject=question.good.subject),
        }
    )
    with pytest.raises(BisectionError, match="build and subject cannot be told apart"):
        world.bisect(Notebook(question))


@settings(deadline=None)
@given(st.integers(2, 120), st.data())
def test_planted_hints_are_asked_once_kept_and_change_no_answer(
    count: int, data: st.DataObject
) -> None:
    turn = data.draw(st.integers(1, count - 1))
    question, world = over_builds([0.0] * turn + [1.0] * (count - turn))
    ids = st.sampled_from([*(point.id for point in question.builds), "b1"])
    planted = tuple(data.draw(st.lists(ids, max_size=2)))
    asked: list[Trial] = []

    def hint(step: Step) -> tuple[str, ...]:
        asked.append(step.trial)
        return planted

    notebook = Notebook(question)
    finding = world.bisect(notebook, hint=hint)
    (leg,) = finding.legs
    assert (leg.boundary.before, leg.boundary.after) == (turn - 1, turn)
    assert asked == [question.bad]
    assert notebook.hints == planted
    assert len(world.runs) <= (count - 1).bit_length() + 2 + 2
    # What was hinted stands in the journal: replay goes the same way without being told.
    again = Bisector(Notebook(question), recorded(notebook.steps), SILENT).run()
    assert again == finding


def test_a_right_hint_is_all_that_is_tested_and_acquired() -> None:
    question, world = over_builds([0.0] * 150 + [1.0] * 100)
    around = tuple(question.builds[at].id for at in (149, 150))
    world.bisect(Notebook(question), hint=lambda _: around)
    assert {trial.build for trial in world.runs} == {"b9000", "b9747", *around}
    assert world.started[:3] == ["b9747", "b9000", around[0]]
