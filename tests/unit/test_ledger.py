"""The ledger: what it covers, how strict it is, and what it says of a wrong file."""

from pathlib import Path

import pytest

from harness.builds import load_catalogue
from harness.errors import EXIT_USAGE, LedgerError
from harness.model import CellResult, Verdict
from harness.verdicts.ledger import Ledger, load_ledger, pinned_file
from tests.unit.results import result

ENTRY = """\
[[divergence]]
name = "aliases"
subject = "studio==2026.*"
checks = ["implementations"]
modes = ["off"]
since = 9000
until = 9400
reason = "none is unknown to it and falls through to auto"
link = "https://example.org/1"
"""


def ledger(tmp_path: Path, text: str = ENTRY) -> Ledger:
    file = tmp_path / "ledger.toml"
    file.write_text(text, encoding="utf-8")
    return load_ledger(load_catalogue(), file)


def studio(
    *, build: str = "b9246", mode: str = "none", failed: tuple[str, ...] = ("implementations",)
) -> CellResult:
    return result(subject="studio==2026.5", build=build, mode=mode, failed=failed)


def test_a_covered_failure_is_known(tmp_path: Path) -> None:
    judged = ledger(tmp_path).judge(studio())

    assert judged.status is Verdict.KNOWN
    assert judged.ledger == "aliases"


@pytest.mark.parametrize(
    "other",
    [
        studio(build="b9464"),
        studio(build="b8929"),
        studio(mode="mtp"),
        studio(failed=("starts",)),
        studio(failed=("implementations", "starts")),
        result(subject="reference", mode="none", failed=("implementations",)),
    ],
    ids=["after", "before", "mode", "check", "one check more", "subject"],
)
def test_any_other_failure_is_a_failure(other: CellResult, tmp_path: Path) -> None:
    assert ledger(tmp_path).judge(other) is other


def test_an_error_is_never_known(tmp_path: Path) -> None:
    error = result(subject="studio==2026.5", mode="none", status=Verdict.ERROR)

    assert ledger(tmp_path).judge(error) is error


def test_emulated_builds_are_covered_only_where_the_entry_says_so(tmp_path: Path) -> None:
    cell = result(
        build="emulated-never-healthy",
        subject="studio==2026.5",
        mode="none",
        failed=("implementations",),
        emulated=True,
    )

    assert ledger(tmp_path).judge(cell).status is Verdict.FAIL
    assert ledger(tmp_path, f"{ENTRY}emulated = true\n").judge(cell).status is Verdict.KNOWN


def test_an_entry_that_no_longer_fails_is_stale(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    passing = result(subject="studio==2026.5", mode="none")

    assert book.stale([book.judge(studio())]) == ()
    (line,) = book.stale([book.judge(studio()), passing])
    assert line.startswith("aliases: should fail at implementations, but is good: ")
    assert passing.id in line


def test_cells_that_nobody_could_judge_make_nothing_stale(tmp_path: Path) -> None:
    cells = [
        result(subject="studio==2026.5", mode="none", status=status)
        for status in (Verdict.ERROR, Verdict.FLAKY, Verdict.FAIL)
    ]

    assert ledger(tmp_path).stale(cells) == ()


def test_an_entry_can_be_of_one_spelling_only(tmp_path: Path) -> None:
    book = ledger(tmp_path, f'{ENTRY}spellings = ["none"]\n')

    assert book.judge(studio(mode="none")).status is Verdict.KNOWN
    assert book.judge(studio(mode="disable")).status is Verdict.FAIL
    assert book.stale([result(subject="studio==2026.5", mode="off")]) == ()


def test_unset_is_the_spelling_of_no_mode(tmp_path: Path) -> None:
    entry = ENTRY.replace('["off"]', '["auto"]') + 'spellings = ["unset"]\n'
    cell = result(subject="studio==2026.5", mode=None, failed=("implementations",))

    assert ledger(tmp_path, entry).judge(cell).status is Verdict.KNOWN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[divergence", "not valid TOML"),
        (ENTRY.replace("since = 9000\n", ""), "since"),
        (ENTRY.replace("9000", "'9000'"), ":6: field divergence"),
        (f"{ENTRY}colour = 'red'\n", "colour"),
        (ENTRY.replace("implementations", "implementation"), "no check is named implementation"),
        (ENTRY.replace("9000", "9300"), "no build of the catalogue is from 9300 to 9400"),
        (ENTRY + ENTRY, ":11: entry aliases: another entry has the same name"),
        (ENTRY.replace("none is unknown to it and falls through to auto", "so"), "length >= 10"),
        (ENTRY.replace("https://example.org/1", "somewhere"), "link"),
        (f'{ENTRY}model = "tiny-*-7b"\n', "no model is tiny-*-7b; there are tiny-llama"),
        (f'{ENTRY}environment = "gpu"\n', "no environment is named 'gpu'"),
        (ENTRY.replace("studio==2026.*", "refrence"), "'refrence' is of no known kind"),
        (f'{ENTRY}spellings = ["mtp"]\n', "its spellings mean mtp, its modes are others"),
    ],
)
def test_a_wrong_file_is_one_clear_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger(tmp_path, text)

    assert says in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value).removesuffix("\n")
    assert caught.value.exit_code == EXIT_USAGE


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"nowhere\.toml"):
        load_ledger(load_catalogue(), tmp_path / "nowhere.toml")


def test_the_harnesses_own_ledger_is_sound() -> None:
    assert pinned_file().is_file()
    load_ledger(load_catalogue())
