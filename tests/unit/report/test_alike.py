"""Bad cells with the same signature are told once, and which they are."""

from dataclasses import replace

from harness.model import CellResult, Check, Failure, FailureKind, LoadRequest, Verdict
from harness.report.alike import bad_groups, coverage, describe_bad, signature
from harness.report.outline import request_texts
from tests.unit.results import lengths, result

LENGTHS = (None, 1, 5, 16)
BUILDS = ("b1", "b2", "b3", "b4", "b5")


def _twice(argument: str = "--draft-max", **where: object) -> CellResult:
    check = Check(name="no-flag-twice", expected="once", observed="twice", ok=False)
    one = result(status=Verdict.FAIL, **where)  # type: ignore[arg-type]
    return replace(one, checks=(replace(check, argument=argument),))


def _many(builds: tuple[str, ...] = BUILDS[:3]) -> list[CellResult]:
    return [
        _twice(build=build, environment=environment, draft_n_max=length)
        for build in builds
        for environment in ("cpu", "cuda-spoof")
        for length in LENGTHS
    ]


def test_cells_that_are_bad_alike_are_told_once_with_one_command() -> None:
    good = [result(build=build, mode="off") for build in BUILDS]
    told = list(describe_bad([*_many(), *good]))
    assert told[0] == "fail: reference: no-flag-twice --draft-max: 24 cells"
    assert told[1] == "  b1 … b3 (3 builds), cpu, cuda-spoof: mtp n=default,1,5,16 tiny-mtp"
    assert told[2] == f"  the first of them, {_many()[0].id}:"
    assert sum("run it alone" in line for line in told) == 1
    assert len(told) < 12


def test_another_argument_check_or_subject_is_told_apart() -> None:
    first = _twice()
    others = [
        _twice("--draft-min"),
        _twice(subject="other"),
        replace(first, status=Verdict.ERROR),
        replace(first, checks=(replace(first.checks[0], name="starts"),)),
        replace(first, failure=Failure(kind=FailureKind.TIMEOUT, message="late")),
    ]
    assert len({signature(one) for one in [first, *others]}) == 6
    assert len(list(bad_groups([first, *others]))) == 6


def test_a_port_or_a_build_in_a_message_sets_no_two_failures_apart() -> None:
    one, other = (
        replace(
            result(status=Verdict.ERROR),
            failure=Failure(kind=FailureKind.HARNESS, message=f"b{n}: nobody answers on port {n}"),
        )
        for n in (4711, 815)
    )
    assert signature(one) == signature(other)
    another = Failure(kind=FailureKind.HARNESS, message="b1: the disk is full")
    assert signature(one) != signature(replace(one, failure=another))


def test_failures_go_before_what_the_harness_cannot_tell() -> None:
    error = replace(result(status=Verdict.ERROR), failure=None)
    flaky = replace(error, status=Verdict.FLAKY, attempts=(_twice(), result()))
    statuses = [group[0].status for group in bad_groups([error, flaky, _twice()])]
    assert statuses == [Verdict.FAIL, Verdict.FLAKY, Verdict.ERROR]


def test_a_cell_that_is_alone_is_told_in_full() -> None:
    alone = _twice()
    told = list(describe_bad([alone, result(mode="off")]))
    assert told[0] == f"fail: {alone.id}"
    assert "            " not in told[0]


def test_good_cells_are_no_failures() -> None:
    good = [result(), result(status=Verdict.DEGRADED), result(status=Verdict.KNOWN)]
    assert list(describe_bad(good)) == []


def test_builds_that_are_no_neighbours_are_no_range() -> None:
    cells = [_twice(build=build) for build in ("b1", "b2", "b3", "b5")]
    assert list(coverage(cells, BUILDS)) == ["b1 … b3 (3 builds), b5, cpu: mtp n=5 tiny-mtp"]


def test_emulated_builds_are_marked() -> None:
    cells = [_twice(build="b1", emulated=True), _twice(build="b2")]
    assert list(coverage(cells, BUILDS)) == ["b1 (emulated), b2, cpu: mtp n=5 tiny-mtp"]


def test_no_cell_is_lost_where_builds_differ_in_what_fails() -> None:
    cells = [*_many(("b1", "b2")), _twice(build="b3", draft_n_max=5)]
    assert list(coverage(cells, BUILDS)) == [
        "b1, b2, cpu, cuda-spoof: mtp n=default,1,5,16 tiny-mtp",
        "b3, cpu: mtp n=5 tiny-mtp",
    ]


def test_very_many_places_are_cut_and_counted() -> None:
    cells = [_twice(build=f"b{n}", draft_n_max=n) for n in range(20)]
    told = list(coverage(cells, [f"b{n}" for n in range(20)]))
    assert len(told) == 9
    assert told[-1].startswith("and in 12 more combinations")


def test_requests_share_a_text_where_only_length_model_or_mode_differ() -> None:
    requests = [
        LoadRequest(model=model, mode=mode, draft_n_max=length)
        for mode in ("mtp", "draft")
        for model in ("tiny-mtp", "tiny-llama")
        for length in LENGTHS
    ]
    assert list(request_texts(requests)) == ["mtp|draft n=default,1,5,16 tiny-mtp,tiny-llama"]
    more = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=7)
    assert list(request_texts([*requests, more])) == [
        "mtp n=default,1,5,16,7 tiny-mtp",
        "mtp n=default,1,5,16 tiny-llama",
        "draft n=default,1,5,16 tiny-mtp,tiny-llama",
    ]


def test_evidence_of_the_first_is_whole() -> None:
    first = replace(_twice(), effective={"speculation": {"draft-mtp": lengths(4)}})
    told = "\n".join(describe_bad([first, replace(first, build="b2")]))
    for words in ("no-flag-twice: expected once", "observed twice", "offending: --draft-max"):
        assert words in told
