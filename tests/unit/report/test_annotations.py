from harness.model import Verdict
from harness.report.annotations import MOST_IDS, annotations
from tests.unit.report.bad_results import flaky, one_of_each, refused, untold
from tests.unit.results import result


def test_only_bad_cells_are_annotated() -> None:
    lines = list(annotations(one_of_each()))
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::warning", "::warning"]


def test_a_line_is_one_line_and_ends_its_title_once() -> None:
    (line,) = annotations([refused()])
    head, data = line.removeprefix("::error title=").split("::", 1)
    assert "\n" not in line
    assert ":" not in head
    assert "," not in head
    assert "%0A" in data
    assert "%250A" in data, "a literal %0A of the server's stays one"
    assert data.endswith("llama-harness matrix --build b9246 --mode mtp")


def test_failures_alike_share_a_line() -> None:
    alike = [refused(f"b{number}") for number in range(MOST_IDS + 5)]
    first, other = annotations([*alike, refused("b1", subject="other")])
    assert "reference%2C starts --draft-max%2C 25 cells" in first
    assert alike[0].id in first
    assert "and 5 more" in first
    assert "and 5 more" not in other


def test_flaky_and_untold_cells() -> None:
    first, second = annotations([flaky(), untold()])
    assert "came out as fail, then pass" in first
    assert second.startswith("::warning title=error%3A")


def test_good_runs_say_nothing() -> None:
    assert list(annotations([result(), result(status=Verdict.KNOWN)])) == []
