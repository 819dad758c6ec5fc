"""The checks of a plan and of an effective state: what passes, what fails, and who is to blame."""

import pytest

from harness.flags.arguments import read_arguments
from harness.model import (
    Check,
    DraftRange,
    Failure,
    FailureKind,
    LaunchPlan,
    LoadRequest,
    Speculation,
)
from harness.settings.speculation.comparison import TWO_WITNESSES, compare
from harness.settings.speculation.contract import Expectation, ExpectedDraft, expect
from harness.verdicts.checks import check_log, check_plan, check_start
from tests.unit.era import CPU, LEGACY, MTP, NEWEST, RENAMED, capabilities, model

MTP_OF_FIVE = Expectation(implementations={"draft-mtp": ExpectedDraft(n_max=5)})


def plan_checks(
    build: str,
    *argv: str,
    extra: tuple[str, ...] = (),
    reason: str | None = None,
    mode: str = "off",
) -> dict[str, Check]:
    request = LoadRequest(model="model", mode=mode, extra_args=extra)
    expectation = expect(request, capabilities(build), CPU, model())
    arguments = read_arguments(argv, capabilities(build))
    plan = LaunchPlan(argv=argv, reason=reason)
    checks = check_plan(plan, arguments, capabilities(build), request, expectation)
    return {check.name: check for check in checks}


def state_checks(
    observed: dict[str, DraftRange],
    expectation: Expectation,
    *argv: str,
    idle: tuple[str, ...] = (),
) -> dict[str, Check]:
    state = Speculation(implementations=observed, idle=idle)
    checks = compare(expectation, state, read_arguments(argv, capabilities(MTP)))
    return {check.name: check for check in reversed(checks)}


def witness_checks(
    name: str, n_max: int | None, witnesses: tuple[str, ...], expected: ExpectedDraft
) -> list[Check]:
    state = Speculation(implementations={name: length(n_max)}, witnessed_by={name: witnesses})
    checks = compare(Expectation(implementations={name: expected}), state, ())
    return [check for check in checks if check.name == TWO_WITNESSES]


def length(n_max: int | None, n_min: int | None = None) -> DraftRange:
    return DraftRange(n_min=n_min, n_max=n_max)


def test_a_good_plan() -> None:
    checks = plan_checks(NEWEST, "-m", "x", "--port", "1", "--spec-draft-n-max", "5")
    assert all(check.ok for check in checks.values())
    assert set(checks) == {"flags-offered", "no-flag-twice", "min-not-above-max"}


@pytest.mark.parametrize(
    ("flag", "words"), [("--nope", "unknown to the build"), ("--draft-max", "removed")]
)
def test_flags_that_are_not_offered(flag: str, words: str) -> None:
    check = plan_checks(NEWEST, "-c", "1", flag, "5")["flags-offered"]
    assert not check.ok
    assert check.argument == flag
    assert words in check.observed


@pytest.mark.parametrize(
    ("build", "first", "second"),
    [
        (LEGACY, "--draft-max", "--draft-n"),
        (MTP, "--model-draft", "--spec-draft-model"),
        (NEWEST, "-c", "-c"),
        (NEWEST, "--nope", "--nope"),
    ],
)
def test_one_option_twice(build: str, first: str, second: str) -> None:
    check = plan_checks(build, first, "5", "--metrics", second, "6")["no-flag-twice"]
    assert not check.ok
    assert check.argument == second
    assert check.observed == f"{first} 5 and {second} 6"


@pytest.mark.parametrize(
    ("build", "argv", "blamed"),
    [
        (LEGACY, ("--draft-n-min", "48", "--draft-max", "2"), "--draft-max"),
        (LEGACY, ("--draft", "2", "--draft-n-min", "48"), "--draft-n-min"),
        (LEGACY, ("--draft-min", "17"), "--draft-min"),
        (RENAMED, ("--spec-draft-n-max", "1", "--spec-draft-n-min", "2"), "--spec-draft-n-min"),
        (MTP, ("--spec-ngram-mod-n-max", "40"), "--spec-ngram-mod-n-max"),
    ],
)
def test_a_minimum_above_its_maximum(build: str, argv: tuple[str, ...], blamed: str) -> None:
    check = plan_checks(build, *argv)["min-not-above-max"]
    assert not check.ok
    assert check.argument == blamed


@pytest.mark.parametrize(
    ("build", "argv"),
    [
        (LEGACY, ("--draft-min", "48", "--draft-max", "64")),
        (MTP, ("--spec-draft-n-max", "5", "--spec-ngram-mod-n-min", "48")),
        (MTP, ("--spec-draft-n-min", "many")),
        (NEWEST, ("--draft-min", "48", "--draft-max", "2")),
    ],
)
def test_a_minimum_that_is_not_above(build: str, argv: tuple[str, ...]) -> None:
    assert plan_checks(build, *argv)["min-not-above-max"].ok


OWN = ("--spec-type", "ngram-mod")


@pytest.mark.parametrize(
    ("argv", "blamed"),
    [
        (("-c", "1", *OWN), None),
        (("-c", "1", *OWN, "--spec-draft-n-max", "5"), "--spec-draft-n-max"),
        (("--model-draft", "x", *OWN), "--model-draft"),
        (("-cd", "64", *OWN), "-cd"),
        (("-c", "1"), None),
    ],
)
def test_nothing_is_added_to_the_users_own_speculation(
    argv: tuple[str, ...], blamed: str | None
) -> None:
    check = plan_checks(RENAMED, *argv, extra=OWN)["only-users-speculation"]
    assert check.argument == blamed
    assert check.ok == (blamed is None and OWN[0] in argv)


@pytest.mark.parametrize(("reason", "ok"), [("no MTP here", True), ("", False), (None, False)])
def test_a_plan_that_gives_less_says_why(reason: str | None, ok: bool) -> None:
    check = plan_checks(LEGACY, "-c", "1", mode="mtp", reason=reason)["says-why"]
    assert check.ok is ok


def test_start() -> None:
    assert check_start(None).ok
    failure = Failure(kind=FailureKind.BAD_VALUE, message="refused", argument="-c")
    check = check_start(failure)
    assert (check.ok, check.observed, check.argument) == (False, "refused", "-c")


@pytest.mark.parametrize(
    ("line", "ok"),
    [
        ("all is well", True),
        ("DEPRECATED: argument '-c' specified multiple times", False),
        ("warn: LLAMA_ARG_X environment variable is set, but will be overwritten", False),
    ],
)
def test_warnings(line: str, ok: bool) -> None:
    check = check_log(["build: 1", f"  {line}"])
    assert check.ok is ok
    assert check.observed == ("none" if ok else line)


def test_the_right_state() -> None:
    checks = state_checks({"draft-mtp": length(5, 0)}, MTP_OF_FIVE)
    assert all(check.ok for check in checks.values())


def test_a_wrong_length_blames_its_last_flag() -> None:
    argv = ("--spec-draft-n-max", "5", "--spec-draft-n-max", "4")
    check = state_checks({"draft-mtp": length(4, 0)}, MTP_OF_FIVE, *argv)["draft-n-max"]
    assert not check.ok
    assert (check.expected, check.observed) == ("draft-mtp n_max 5", "draft-mtp n_max 4")
    assert check.argument == "--spec-draft-n-max"


@pytest.mark.parametrize(
    ("observed", "told"), [({}, "nothing on"), ({"ngram-mod": length(64)}, "ngram-mod")]
)
def test_the_wrong_implementations(observed: dict[str, DraftRange], told: str) -> None:
    check = state_checks(observed, MTP_OF_FIVE, "--spec-type", "ngram-mod")["implementations"]
    assert not check.ok
    assert (check.expected, check.observed) == ("draft-mtp", told)
    assert check.argument == "--spec-type"


def test_an_idle_implementation_is_told() -> None:
    check = state_checks({}, MTP_OF_FIVE, idle=("draft-mtp",))["implementations"]
    assert check.observed == "nothing on; set up but never drafting: draft-mtp"


def test_an_effective_minimum_above_its_maximum() -> None:
    check = state_checks({"draft-mtp": length(5, 6)}, MTP_OF_FIVE)["draft-n-min"]
    assert not check.ok


def test_the_users_own_types_are_what_must_be_on() -> None:
    request = LoadRequest(model="m", mode="mtp", extra_args=("--spec-type", "none,ngram-mod"))
    own = expect(request, capabilities(MTP), CPU, model())
    assert state_checks({"ngram-mod": length(9)}, own)["implementations"].ok
    assert not state_checks({}, own)["implementations"].ok
    both = {"ngram-mod": length(9), "draft-mtp": length(5)}
    assert not state_checks(both, own)["implementations"].ok


def test_what_a_command_line_asks_for_need_not_be_all_that_is_on() -> None:
    asked = Expectation(implementations={"ngram-mod": ExpectedDraft(n_max=64)}, exactly=False)
    both = {"ngram-mod": length(64), "draft-mtp": length(5)}
    assert state_checks(both, asked) == {}
    (lack,) = state_checks({"ngram-mod": length(9)}, asked).values()
    assert (lack.name, lack.ok) == ("effect", False)
    assert lack.observed == "ngram-mod drafts 9 tokens at most, not 64"


@pytest.mark.parametrize(
    ("witnesses", "n_max", "ok"),
    [(("a", "b"), 5, True), (("a",), 5, False), ((), 5, False), (("a", "b"), None, False)],
)
def test_two_witnesses_and_a_told_length(
    witnesses: tuple[str, ...], n_max: int | None, ok: bool
) -> None:
    (check,) = witness_checks("draft-mtp", n_max, witnesses, ExpectedDraft(n_max=5))
    assert check.ok is ok


@pytest.mark.parametrize(
    ("witnesses", "n_max", "ok"), [(("a",), None, True), ((), None, False), (("a",), 16, False)]
)
def test_one_witness_for_what_never_drafts_and_has_no_length(
    witnesses: tuple[str, ...], n_max: int | None, ok: bool
) -> None:
    (check,) = witness_checks("ngram-simple", n_max, witnesses, ExpectedDraft())
    assert check.ok is ok


def test_a_length_that_nobody_tells_is_not_the_subjects_failure() -> None:
    checks = state_checks({"draft-mtp": length(None)}, MTP_OF_FIVE)
    assert all(check.ok for check in checks.values())
