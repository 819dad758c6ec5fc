from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model import CellResult
from harness.report.order import in_reading_order
from tests.unit.results import result

ALL = tuple(
    result(build=build, subject=subject, environment=environment, mode=mode, draft_n_max=length)
    for subject in ("reference", "application")
    for environment in ("cpu", "cuda-spoof")
    for build in ("py0.3.16", "b8929", "b10435")
    for mode in ("auto", "mtp", "off", "ngram_typo")
    for length in (None, 1, 16)
)


@settings(max_examples=25, deadline=None)
@given(st.permutations(ALL))
def test_the_order_is_that_of_a_run_whoever_finished_first(shuffled: list[CellResult]) -> None:
    first = next(one for one in shuffled if one.subject in {"reference", "application"})
    sorted_ = in_reading_order(shuffled, ["py0.3.16", "b8929", "b10435"])
    expected = sorted(ALL, key=lambda one: one.subject != first.subject)
    assert list(sorted_) == expected


def test_builds_without_a_catalogue_go_by_number() -> None:
    ids = ["b10435", "b9246", "local", "b8929"]
    ordered = in_reading_order([result(build=build) for build in ids])
    assert [one.build for one in ordered] == ["b8929", "b9246", "b10435", "local"]
