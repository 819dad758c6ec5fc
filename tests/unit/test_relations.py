"""Each relation holds where it must, and is broken by the smallest difference it forbids."""

import pytest

from harness.builds import load_catalogue
from harness.model import CellResult, Flavour, Verdict
from harness.verdicts.relations import (
    ALIAS,
    EQUAL_CAPABILITIES,
    HOST_CHANGES_DEFAULTS_ONLY,
    TWO_RUNS,
    Relation,
    judge_relations,
)
from tests.unit.results import lengths, result

MTP = {"draft-mtp": lengths(5)}


def relations(*results: CellResult) -> tuple[Relation, ...]:
    return judge_relations(results, load_catalogue())


def broken(*results: CellResult) -> list[str]:
    return [one.name for one in relations(*results) if one.verdict is Verdict.FAIL]


def test_builds_of_equal_capabilities_do_the_same() -> None:
    held = relations(result(effective=MTP), result(build="b9464", effective=MTP))

    assert [(one.name, one.difference) for one in held] == [(EQUAL_CAPABILITIES, None)]


def test_a_build_of_equal_capabilities_that_drafts_otherwise_is_told() -> None:
    pair = relations(
        result(effective=MTP), result(build="b9464", effective={"draft-mtp": lengths(3)})
    )

    assert [one.name for one in pair] == [EQUAL_CAPABILITIES]
    assert pair[0].difference == "draft-mtp 0…5 against 0…3"
    assert {pair[0].one, pair[0].other} == {
        "b9246-cpu-reference-mtp-n5",
        "b9464-cpu-reference-mtp-n5",
    }


def test_builds_of_other_capabilities_are_no_pair() -> None:
    assert relations(result(effective=MTP), result(build="b8929", effective={})) == ()


def test_emulated_builds_are_not_held_against_real_ones() -> None:
    assert relations(result(effective=MTP), result(effective={}, emulated=True, build="x")) == ()


@pytest.mark.parametrize("bad", [Verdict.FAIL, Verdict.ERROR, Verdict.KNOWN, Verdict.FLAKY])
def test_bad_cells_are_no_pair(bad: Verdict) -> None:
    assert relations(result(effective=MTP), result(effective={}, status=bad)) == ()


def test_a_gpu_changes_the_default_length() -> None:
    without = result(draft_n_max=None, effective={"draft-mtp": lengths(3)})
    with_gpu = result(
        draft_n_max=None, environment="cuda-spoof", effective={"draft-mtp": lengths(2)}
    )

    assert [one.name for one in relations(without, with_gpu)] == [HOST_CHANGES_DEFAULTS_ONLY]
    assert broken(without, with_gpu) == []


def test_a_gpu_does_not_change_a_given_length() -> None:
    with_gpu = result(environment="cuda-spoof", effective={"draft-mtp": lengths(2)})

    assert broken(result(effective=MTP), with_gpu) == [HOST_CHANGES_DEFAULTS_ONLY]


def test_a_gpu_does_not_change_the_lengths_of_ngram() -> None:
    without = result(mode="ngram", draft_n_max=None, effective={"ngram-mod": lengths(64, 48)})
    with_gpu = result(
        mode="ngram",
        draft_n_max=None,
        environment="cuda-spoof",
        effective={"ngram-mod": lengths(2, 48)},
    )

    assert broken(without, with_gpu) == [HOST_CHANGES_DEFAULTS_ONLY]


def test_legacy_chains_share_the_default_length() -> None:
    without = result(
        mode="mtp+ngram",
        draft_n_max=None,
        flavour=Flavour.LEGACY,
        effective={"draft-mtp": lengths(3), "ngram-mod": lengths(3)},
    )
    with_gpu = result(
        mode="mtp+ngram",
        draft_n_max=None,
        flavour=Flavour.LEGACY,
        environment="cuda-spoof",
        effective={"draft-mtp": lengths(2), "ngram-mod": lengths(2)},
    )

    assert broken(without, with_gpu) == []


@pytest.mark.parametrize(("mode", "names"), [("auto", []), ("mtp", [HOST_CHANGES_DEFAULTS_ONLY])])
def test_only_auto_chains_without_a_gpu(mode: str, names: list[str]) -> None:
    without = result(mode=mode, effective={**MTP, "ngram-mod": lengths(64, 48)})
    with_gpu = result(mode=mode, environment="cuda-spoof", effective=MTP)

    assert broken(without, with_gpu) == names


def test_auto_does_not_chain_on_a_gpu_alone() -> None:
    with_gpu = result(
        mode="auto", environment="cuda-spoof", effective={**MTP, "ngram-mod": lengths(64, 48)}
    )

    assert broken(result(mode="auto", effective=MTP), with_gpu) == [HOST_CHANGES_DEFAULTS_ONLY]


@pytest.mark.parametrize("alias", ["draft-mtp", " MTP "])
def test_an_alias_is_its_canonical_mode(alias: str) -> None:
    held = relations(result(effective=MTP), result(mode=alias, effective=MTP))

    assert [(one.name, one.difference) for one in held] == [(ALIAS, None)]
    assert broken(result(effective=MTP), result(mode=alias, effective={})) == [ALIAS]


def test_two_runs_of_a_cell_are_equal() -> None:
    other = result(effective={"draft-mtp": lengths(4)})

    assert TWO_RUNS in broken(result(effective=MTP), other)
    assert TWO_RUNS not in broken(result(effective=MTP), result(effective=MTP))


def test_a_length_that_nobody_told_equals_every_length() -> None:
    assert broken(result(effective=MTP), result(effective={"draft-mtp": lengths(None, None)})) == []
