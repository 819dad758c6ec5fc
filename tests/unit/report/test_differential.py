"""Two subjects on the same cell."""

import io
from dataclasses import replace

from harness.model import CellResult, DraftRange, LoadRequest, Verdict
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
        effective={"draft-mtp": DraftRange(n_min=0, n_max=n_max)},
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
