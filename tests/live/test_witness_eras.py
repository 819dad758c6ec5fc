"""Every build of the catalogue: two witnesses where it drafts, all turned by a mutation."""

import pytest

from harness.builds import Build, load_catalogue
from harness.cells.workbench import Workbench
from harness.model import CellResult, Flavour, LoadRequest, Span, Verdict
from tests.live.altered import Altered, run, setting

pytestmark = pytest.mark.live

BUILDS = load_catalogue().profile("all")

each_build = pytest.mark.parametrize(
    "build",
    [
        # A fork costs every test run one more compile.
        pytest.param(build, id=build.id, marks=[pytest.mark.slow] if build.fork else [])
        for build in BUILDS
    ],
)


def drafting_requests(workbench: Workbench, build: Build) -> dict[str, LoadRequest]:
    """What makes this build draft, by the implementation that must then be on."""
    capabilities = workbench.capabilities(build.id)
    requests = {"draft-simple": LoadRequest(model="tiny-llama", mode="draft", draft_n_max=5)}
    if "ngram-mod" in capabilities.speculative_types:
        requests["ngram-mod"] = LoadRequest(model="tiny-llama", mode="ngram")
    if capabilities.mtp_token == "draft-mtp":
        requests["draft-mtp"] = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5)
    return requests


@each_build
def test_two_witnesses_for_each_implementation_that_drafts(
    workbench: Workbench, build: Build
) -> None:
    for implementation, request in drafting_requests(workbench, build).items():
        result = run(workbench, build.id, request, Altered(name="unaltered"))
        assert result.status is Verdict.PASS, (implementation, result.checks, result.failure)
        assert len(result.witnessed_by[implementation]) >= 2
        names = result.witnessed_by[implementation]
        independent = {one.basis for one in result.witnesses if one.witness in names}
        # ik_llama.cpp tells no settings; its two witnesses read what two parts of it counted.
        assert len(independent) == (1 if build.fork else 2)


@each_build
def test_a_mutation_of_the_length_turns_every_witness(workbench: Workbench, build: Build) -> None:
    renamed = workbench.capabilities(build.id).flavour is Flavour.RENAMED
    flag = "--spec-draft-n-max" if renamed else "--draft-max"
    requests = drafting_requests(workbench, build)
    requests.pop("ngram-mod", None)
    for implementation, request in requests.items():
        right = run(workbench, build.id, request, Altered(name="unaltered"))
        wrong = run(workbench, build.id, request, Altered(name="mutant", alter=setting(flag, "4")))
        assert wrong.status is Verdict.FAIL
        assert wrong.drafts is not None
        assert wrong.drafts[implementation].n_max == 4
        before, after = told_lengths(right, implementation), told_lengths(wrong, implementation)
        assert before.keys() == after.keys()
        assert len(before) >= (1 if build.fork else 2)
        assert len(wrong.witnessed_by[implementation]) >= 2
        assert set(before.values()) == {5}
        assert set(after.values()) == {4}


def told_lengths(result: CellResult, implementation: str) -> dict[str, int]:
    """The length that each witness gives, where it gives one exactly."""
    lengths = {}
    for one in result.witnesses:
        told = (one.configured or {}).get(implementation)
        if told is not None and told.n_max is not None:
            lengths[one.witness] = told.n_max
            continue
        span = (one.drafted or {}).get(implementation) or one.longest
        if span is not None and span == Span(at_least=span.at_least, at_most=span.at_least):
            lengths[one.witness] = span.at_least
    return lengths


@each_build
def test_ngram_of_another_length_is_seen(workbench: Workbench, build: Build) -> None:
    capabilities = workbench.capabilities(build.id)
    if "ngram-mod" not in capabilities.speculative_types:
        pytest.skip("no ngram-mod")
    flag = next(
        flag for flag in ("--spec-ngram-mod-n-max", "--draft-max") if capabilities.offers(flag)
    )
    request = LoadRequest(model="tiny-llama", mode="ngram")
    subject = Altered(name="mutant", alter=setting(flag, "50"))
    result = run(workbench, build.id, request, subject)
    assert result.status is Verdict.FAIL
    assert result.drafts is not None
    assert result.drafts["ngram-mod"].n_max == 50
    assert len(result.witnessed_by["ngram-mod"]) >= 2
    blamed = {check.argument for check in result.checks if not check.ok}
    assert blamed == {flag}
