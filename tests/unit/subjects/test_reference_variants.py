"""Each historical variant differs from the fixed generator where its bug is, and nowhere else."""

import itertools

import pytest

from harness.model import HostProfile, Mode
from harness.subjects.reference.guards import Guards
from harness.subjects.reference.model_facts import ModelFacts
from harness.subjects.reference.variants import VARIANTS, variant
from tests.unit.subjects.reference_plans import (
    BUILDS,
    CPU,
    GPU,
    MTP_1B,
    MTP_4B,
    PLAIN,
    plan,
    speculative,
)

Case = tuple[str, str, int | None, HostProfile, ModelFacts]

MODES = [mode.value for mode in Mode] + ["none", "disable", "disabled", "ngram-mod,draft-mtp"]
CASES: list[Case] = list(
    itertools.product(BUILDS, MODES, [None, 5], [CPU, GPU], [MTP_4B, MTP_1B, PLAIN])
)


def differing(name: str) -> set[tuple[str, str]]:
    """Builds and modes where the variant plans otherwise than the fixed generator."""
    return {
        (build, mode)
        for build, mode, n, host, model in CASES
        if plan(build, mode, n, host=host, model=model)
        != plan(build, mode, n, host=host, model=model, variant_of=name)
    }


def test_the_variants() -> None:
    assert set(VARIANTS) == {"", "@A", "@B", "@C", "@D", "@E", "@inverted"}
    assert all(variant(rest).name == f"reference{rest}" for rest in VARIANTS)
    assert type(variant("").guards) is Guards


@pytest.mark.parametrize("name", ["@A", "@B"])
def test_guard_bugs_change_no_plan(name: str) -> None:
    assert differing(name) == set()
    assert type(variant(name).guards) is not Guards


@pytest.mark.parametrize("name", ["@C", "@D", "@inverted"])
def test_flag_bugs_change_no_guard(name: str) -> None:
    assert type(variant(name).guards) is Guards
    assert variant(name).guards == Guards()


def test_c_gives_the_length_twice_and_the_last_wins() -> None:
    flags = speculative(plan("fork", "mtp+ngram", 5, variant_of="@C"))
    assert flags == (
        "--spec-type ngram-mod,mtp --draft-max 5 "
        "--spec-ngram-size-n 24 --draft-min 48 --draft-max 64"
    )
    assert differing("@C") == {
        ("fork", "mtp+ngram"),
        ("fork", "ngram-mod,draft-mtp"),
        ("fork", "auto"),
    }


def test_inverted_leaves_a_minimum_above_the_maximum() -> None:
    flags = speculative(plan("fork", "mtp+ngram", host=GPU, variant_of="@inverted"))
    assert flags == (
        "-ngl 99 --spec-type ngram-mod,mtp --draft-max 2 --spec-ngram-size-n 24 --draft-min 48"
    )
    assert differing("@inverted") == differing("@C")


def test_d_forces_a_type_that_the_build_lacks() -> None:
    answer = plan("py0.3.16", "ngram", variant_of="@D")
    assert speculative(answer).startswith("--spec-type ngram-mod --spec-ngram-size-n 24")
    assert answer.resolved_mode is Mode.NGRAM
    assert answer.reason is None
    assert differing("@D") == {("py0.3.16", "ngram")}


@pytest.mark.parametrize("mode", ["none", "disable"])
def test_e_switches_mtp_on(mode: str) -> None:
    answer = plan("b9246", mode, host=GPU, variant_of="@E")
    assert speculative(answer) == "-ngl 99 --spec-type draft-mtp --spec-draft-n-max 2"
    assert answer.resolved_mode is Mode.MTP
    assert {mode for _, mode in differing("@E")} == {"none", "disable"}
    assert speculative(plan("b9246", "off", variant_of="@E")) == ""
