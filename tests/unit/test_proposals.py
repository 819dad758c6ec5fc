"""Proposed entries: completed and read back they make every failure known, and nothing stale."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.builds import load_catalogue
from harness.errors import LedgerError
from harness.model import CellResult, Verdict
from harness.verdicts.ledger import Ledger, load_ledger
from harness.verdicts.proposals import as_toml, propose_entries
from tests.unit.results import result

Place = tuple[str, str, str, str | None, int | None, str]
BUILDS = ("py0.3.16", "b8929", "emulated-legacy-mtp", "b9093", "b9246", "b9464")
OUTCOMES: tuple[tuple[Verdict, tuple[str, ...]], ...] = (
    (Verdict.PASS, ()),
    (Verdict.DEGRADED, ()),
    (Verdict.ERROR, ()),
    (Verdict.FAIL, ("starts",)),
    (Verdict.FAIL, ("draft-n-max", "implementations")),
)


def empty(tmp_path: Path) -> Ledger:
    file = tmp_path / "ledger.toml"
    file.write_text("", encoding="utf-8")
    return load_ledger(load_catalogue(), file)


def text_of(ledger: Ledger, cells: list[CellResult]) -> str:
    return "\n".join(as_toml(entry) for entry in propose_entries(cells, ledger))


def completed(text: str, tmp_path: Path) -> Ledger:
    file = tmp_path / "completed.toml"
    text = text.replace('reason = ""', 'reason = "because of that"')
    file.write_text(text.replace('link = ""', 'link = "https://example.org"'), encoding="utf-8")
    return load_ledger(load_catalogue(), file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    outcomes=st.dictionaries(
        st.tuples(
            st.sampled_from(BUILDS),
            st.sampled_from(("reference", "unsloth==2026.5.5", "argv:an odd, [1].txt")),
            st.sampled_from(("cpu", "cuda-spoof", "cuda-spoof:no-smi")),
            st.sampled_from((None, "auto", "off", "none", "disable", "mtp", "draft-mtp")),
            st.sampled_from((None, 1, 5)),
            st.sampled_from(("tiny-mtp", "tiny-llama", "tiny-mtp-1b")),
        ),
        st.sampled_from(OUTCOMES),
        max_size=40,
    )
)
def test_what_is_proposed_covers_every_failure_and_nothing_good(
    outcomes: dict[
        tuple[str, str, str, str | None, int | None, str], tuple[Verdict, tuple[str, ...]]
    ],
    tmp_path: Path,
) -> None:
    cells = [
        result(
            build=build,
            subject=subject,
            environment=environment,
            mode=mode,
            draft_n_max=length,
            model=model,
            status=status,
            failed=failed,
            emulated=build.startswith("emulated"),
        )
        for (build, subject, environment, mode, length, model), (status, failed) in outcomes.items()
    ]
    before = empty(tmp_path)

    book = completed(text_of(before, cells), tmp_path)

    for cell in cells:
        expected = Verdict.KNOWN if cell.status is Verdict.FAIL else cell.status
        assert book.judge(cell).status is expected
    assert book.stale([book.judge(cell) for cell in cells]) == ()


def test_failures_that_belong_together_are_one_entry(tmp_path: Path) -> None:
    cells = [
        result(
            build=build, environment=environment, mode=mode, draft_n_max=n, model=model,
            failed=("starts",),
        )
        for build in ("b8929", "b9246")
        for environment in ("cpu", "cuda-spoof")
        for mode in ("mtp", "auto")
        for n in (1, 5)
        for model in ("tiny-mtp", "tiny-llama")
    ]  # fmt: skip

    (entry,) = propose_entries([*cells, result(build="b10435")], empty(tmp_path))

    assert (entry.since, entry.until, entry.modes) == (8929, 9246, ("mtp", "auto"))
    assert (entry.model, entry.environment) == ("*", "*")
    assert (entry.draft_n_max, entry.spellings) == ((), ())


def test_an_entry_claims_nothing_of_what_did_not_run(tmp_path: Path) -> None:
    (entry,) = propose_entries([result(failed=("starts",))], empty(tmp_path))

    assert (entry.model, entry.environment, entry.draft_n_max) == ("tiny-mtp", "cpu", (5,))
    assert (entry.modes, entry.since, entry.until) == (("mtp",), 9246, 9246)


def test_a_good_spelling_of_the_same_mode_is_left_out(tmp_path: Path) -> None:
    cells = [result(mode="none", failed=("implementations",)), result(mode="off")]

    (entry,) = propose_entries(cells, empty(tmp_path))

    assert entry.modes == ("off",)
    assert entry.spellings == ("none",)


def test_a_good_build_in_between_parts_an_entry(tmp_path: Path) -> None:
    cells = [
        result(build="b8929", failed=("starts",)),
        result(build="b9246"),
        result(build="b9464", failed=("starts",)),
    ]

    one, other = propose_entries(cells, empty(tmp_path))

    assert (one.until, other.since) == (8929, 9464)
    assert one.name != other.name


def test_a_name_that_is_taken_is_not_proposed_again(tmp_path: Path) -> None:
    failing = result(failed=("starts",))
    first = completed(text_of(empty(tmp_path), [failing]), tmp_path)

    (entry,) = propose_entries([failing], first)

    assert entry.name == f"{first.entries[0].name}-2"


def test_a_proposal_is_not_read_before_it_has_a_reason_and_a_link(tmp_path: Path) -> None:
    file = tmp_path / "as-printed.toml"
    file.write_text(text_of(empty(tmp_path), [result(failed=("starts",))]), encoding="utf-8")

    with pytest.raises(LedgerError, match="reason"):
        load_ledger(load_catalogue(), file)


def test_where_nothing_fails_nothing_is_proposed(tmp_path: Path) -> None:
    assert propose_entries([result(), result(status=Verdict.ERROR)], empty(tmp_path)) == ()
