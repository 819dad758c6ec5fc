"""Two subjects on the same cell."""

import io
from dataclasses import replace

from harness.model import CellResult, DraftRange, Failure, FailureKind, LoadRequest, Verdict
from harness.report.differential import differences, print_differences


def _result(subject: str, argv: tuple[str, ...], n_max: int, status: Verdict) -> CellResult:
    return CellResult(
        build="b9246",
        flavour=None,
        emulated=False,
        subject=subject,
        environment="cpu",
        request=LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5),
        argv=argv,
        resolved_mode=None,
        status=status,
        checks=(),
        effective={"speculation": {"draft-mtp": DraftRange(n_min=0, n_max=n_max)}},
        witnessed_by={},
        witnesses=(),
        startup_ms=1.0,
        wall_ms=1.0,
        failure=None,
        repro="",
    )


GOOD = _result("a", ("--port", "1", "--spec-draft-n-max", "5"), 5, Verdict.PASS)
BAD = _result("b", ("--port", "2", "--spec-draft-n-max", "64"), 64, Verdict.FAIL)


def test_a_pair_that_does_different_things_is_a_difference() -> None:
    (found,) = differences([GOOD, BAD])
    assert found.only_left == ("--spec-draft-n-max 5",)
    assert found.only_right == ("--spec-draft-n-max 64",)
    assert found.meets_contract == "a"


def test_the_port_alone_is_no_difference() -> None:
    other = replace(GOOD, subject="b", argv=("--port", "2", "--spec-draft-n-max", "5"))
    assert list(differences([GOOD, other])) == []


def test_another_plan_with_the_same_effect_is_no_difference() -> None:
    other = replace(GOOD, subject="b", argv=("--spec-default",))
    assert list(differences([GOOD, other])) == []


def test_different_cells_are_not_compared() -> None:
    other = replace(BAD, build="b8929")
    assert list(differences([GOOD, other])) == []


def test_the_table_names_both_plans_and_who_is_right() -> None:
    stream = io.StringIO()
    print_differences([GOOD, BAD], stream)
    text = stream.getvalue()
    assert "--spec-draft-n-max 5" in text
    assert "--spec-draft-n-max 64" in text
    assert "mtp 64" in text


def test_nothing_is_printed_where_nothing_differs() -> None:
    stream = io.StringIO()
    print_differences([GOOD], stream)
    assert stream.getvalue() == ""


def test_what_differs_in_every_cell_is_told_once() -> None:
    home = "/tmp/llama-harness-{}/environment-{}/.app/slots"
    results = []
    for number, build in enumerate(("b8929", "b9246", "b9464")):
        kept = ("--slot-save-path", home.format(number, number))
        results += [
            replace(GOOD, build=build),
            replace(BAD, build=build, argv=(*BAD.argv[2:3], str(61 + number), *kept)),
        ]
    stream = io.StringIO()
    print_differences(results, stream)
    told = " ".join(stream.getvalue().split())
    assert told.endswith(
        "in all of these cells a says, and b does not: --spec-draft-n-max 5 "
        "in all of these cells b says, and a does not: --slot-save-path ~/.app/slots"
    )
    assert told.count("--slot-save-path") == 1
    assert "--spec-draft-n-max {61,62,63}" in stream.getvalue()


def test_a_server_that_did_not_start_is_told_by_its_failure() -> None:
    failure = Failure(kind=FailureKind.MODEL_LOAD, message="the model does not load")
    stream = io.StringIO()
    print_differences([GOOD, replace(BAD, effective=None, failure=failure)], stream)
    assert "(model-load)" in stream.getvalue()


def _pair(length: int | None, build: str = "b9246", model: str = "tiny-mtp") -> list[CellResult]:
    request = LoadRequest(model=model, mode="mtp", draft_n_max=length)
    n_max = 3 if length is None else length
    drafts = {"speculation": {"draft-mtp": DraftRange(n_min=0, n_max=n_max)}}
    argv = ("--alias", model, "--spec-draft-n-max", str(n_max))
    told = {"build": build, "request": request}
    return [
        replace(GOOD, argv=argv, effective=drafts, **told),  # type: ignore[arg-type]
        replace(BAD, **told),  # type: ignore[arg-type]
    ]


def test_cells_that_differ_only_in_the_draft_length_are_one_row() -> None:
    pairs = [one for length in (None, 1, 5, 16) for one in _pair(length)]
    stream = io.StringIO()
    print_differences(pairs, stream)
    told = " ".join(stream.getvalue().replace("|", " ").split())
    assert "b9246, cpu: mtp n=default,1,5,16 tiny-mtp" in told
    assert "--spec-draft-n-max {3,1,5,16}" in told
    assert "mtp {3,1,5,16}" in told
    assert stream.getvalue().count("✗") == 1


def test_builds_and_models_that_show_the_same_share_the_row() -> None:
    pairs = [
        one
        for build in ("b8929", "b9093", "b9246")
        for model in ("tiny-mtp", "tiny-llama")
        for one in _pair(5, build, model)
    ]
    stream = io.StringIO()
    print_differences(pairs, stream)
    told = " ".join(stream.getvalue().replace("|", " ").split())
    assert "b8929 … b9246 (3 builds), cpu: mtp n=5" in told
    assert stream.getvalue().count("✗") == 1
    assert "--alias MODEL" in told


def test_what_is_effective_otherwise_is_a_row_of_its_own() -> None:
    failure = Failure(kind=FailureKind.MODEL_LOAD, message="the model does not load")
    left, right = _pair(1)
    stream = io.StringIO()
    print_differences([*_pair(5), left, replace(right, effective=None, failure=failure)], stream)
    assert stream.getvalue().count("✗") == 2


def test_many_subjects_are_compared_with_the_first_alone() -> None:
    results = [replace(BAD, subject=f"s{n}", effective={"seed": n}) for n in range(400)]
    found = list(differences(results))
    assert len(found) == 399
    assert {one.left.subject for one in found} == {"s0"}
    stream = io.StringIO()
    print_differences(results, stream)
    assert "Where subjects differ from s0" in stream.getvalue()
    few = list(differences(results[:4]))
    assert len(few) == 6
