"""What is said of all cells together, in words and in one bit."""

from pathlib import Path

from harness.builds import load_catalogue
from harness.matrix.judgement import Judgement, judge_run
from harness.model import CellResult
from harness.verdicts.ledger import load_ledger
from tests.unit.results import lengths, result

FIVE = {"draft-mtp": lengths(5)}
ENTRY = """\
[[divergence]]
name = "gone"
subject = "reference"
checks = ["starts"]
modes = ["mtp"]
since = 9246
until = 9464
reason = "once it did not start"
link = "https://example.org/1"
"""


def judged(tmp_path: Path, *results: CellResult, ledger: str = "") -> Judgement:
    file = tmp_path / "ledger.toml"
    file.write_text(ledger, encoding="utf-8")
    catalogue = load_catalogue()
    return judge_run(results, catalogue, load_ledger(catalogue, file))


def test_one_cell_has_nothing_to_be_said_of(tmp_path: Path) -> None:
    alone = judged(tmp_path, result(effective=FIVE))

    assert alone.holds
    assert list(alone.lines()) == []


def test_what_holds_is_one_line(tmp_path: Path) -> None:
    pair = judged(tmp_path, result(effective=FIVE), result(build="b9464", effective=FIVE))

    assert pair.holds
    assert list(pair.lines()) == ["1 relation between cells: all hold"]


def test_a_broken_relation_is_named_explained_and_shown(tmp_path: Path) -> None:
    pair = judged(
        tmp_path, result(effective=FIVE), result(build="b9464", effective={"draft-mtp": lengths(3)})
    )

    assert not pair.holds
    assert pair.complaint == "every cell is good on its own, but 1 relation broken"
    counted, meaning, cells = pair.lines()
    assert counted == "1 relation between cells: 1 does not hold"
    assert meaning == "  equal-capabilities: builds of equal capabilities do the same; but not"
    assert cells.endswith("b9464-cpu-reference-mtp-n5: draft-mtp 0…5 against 0…3")


def test_a_stale_entry_is_named_with_the_cells_that_are_good(tmp_path: Path) -> None:
    stale = judged(tmp_path, result(), result(draft_n_max=1), ledger=ENTRY)

    assert not stale.holds
    assert stale.complaint == "every cell is good on its own, but 1 ledger entry stale"
    counted, line = stale.lines()
    assert counted == "stale in the ledger: 1 entry"
    assert line.startswith("  gone: should fail at starts, but is good: b9246-cpu-reference-mtp-")


def test_both_are_told(tmp_path: Path) -> None:
    both = judged(
        tmp_path,
        result(effective=FIVE),
        result(build="b9464", effective={"draft-mtp": lengths(3)}),
        ledger=ENTRY + ENTRY.replace("gone", "gone too"),
    )

    assert both.complaint.endswith("but 1 relation broken and 2 ledger entries stale")
