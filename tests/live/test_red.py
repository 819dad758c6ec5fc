"""Plans that are wrong in one way, on a real build of each era: every one must come out red.

Without these a green matrix would not be believed.
"""

from dataclasses import dataclass

import pytest

from harness.cells.workbench import Workbench
from harness.model import FailureKind, LoadRequest, Verdict
from tests.live.altered import Altered, adding, bad_checks, run, setting, without

pytestmark = pytest.mark.live


@dataclass(frozen=True, kw_only=True)
class Era:
    build: str
    length: str
    minimum: str
    respelled: tuple[str, str]
    """An option that the reference subject writes, and another spelling of it."""
    stub: str | None = None

    @property
    def request(self) -> LoadRequest:
        """Something that drafts 5 at a time in this era."""
        if self.build in {"b9246", "b11434"}:
            return LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5)
        return LoadRequest(model="tiny-llama", mode="draft", draft_n_max=5)

    @property
    def implementation(self) -> str:
        return "draft-mtp" if self.request.mode == "mtp" else "draft-simple"

    @property
    def switch(self) -> str:
        return "--spec-type" if self.request.mode == "mtp" else "--model-draft"


LEGACY = {"length": "--draft-max", "minimum": "--draft-min"}
RENAMED = {"length": "--spec-draft-n-max", "minimum": "--spec-draft-n-min"}
ERAS = (
    Era(build="py0.3.16", respelled=("--draft-max", "--draft-n"), **LEGACY),
    Era(build="b8929", respelled=("--draft-max", "--draft"), **LEGACY),
    Era(build="b9093", respelled=("--model-draft", "-md"), stub="--draft-max", **RENAMED),
    Era(build="b9246", respelled=("-c", "--ctx-size"), stub="--draft-n", **RENAMED),
    Era(build="b11434", respelled=("-c", "--ctx-size"), stub="--draft-min", **RENAMED),
)

each_era = pytest.mark.parametrize("era", ERAS, ids=lambda era: era.build)


@each_era
def test_as_it_should_be(workbench: Workbench, era: Era) -> None:
    result = run(workbench, era.build, era.request, Altered(name="unaltered"))
    assert result.status is Verdict.PASS
    assert result.drafts is not None
    assert result.drafts[era.implementation].n_max == 5


@each_era
def test_wrong_draft_length(workbench: Workbench, era: Era) -> None:
    subject = Altered(name="wrong-length", alter=setting(era.length, "4"))
    result = run(workbench, era.build, era.request, subject)
    assert result.status is Verdict.FAIL
    bad = bad_checks(result)
    assert list(bad) == ["draft-n-max"]
    check = bad["draft-n-max"]
    assert check.expected == f"{era.implementation} n_max 5"
    assert check.observed == f"{era.implementation} n_max 4"
    assert check.argument == era.length


@pytest.mark.parametrize(
    ("era", "stub"), [(e, e.stub) for e in ERAS if e.stub], ids=lambda v: getattr(v, "build", v)
)
def test_removed_flag(workbench: Workbench, era: Era, stub: str) -> None:
    result = run(workbench, era.build, era.request, Altered(name="stub", alter=adding(stub, "5")))
    assert result.status is Verdict.FAIL
    bad = bad_checks(result)
    assert bad["flags-offered"].argument == stub
    assert "removed" in bad["flags-offered"].observed
    assert bad["starts"].argument == stub
    assert result.failure is not None
    assert result.failure.kind is FailureKind.REMOVED_ARGUMENT
    assert result.failure.argument == stub


@each_era
def test_unknown_flag(workbench: Workbench, era: Era) -> None:
    subject = Altered(name="unknown", alter=adding("--no-such-flag"))
    result = run(workbench, era.build, era.request, subject)
    assert result.status is Verdict.FAIL
    bad = bad_checks(result)
    assert bad["flags-offered"].argument == "--no-such-flag"
    assert "unknown" in bad["flags-offered"].observed
    assert result.failure is not None
    assert result.failure.kind is FailureKind.UNKNOWN_ARGUMENT
    assert result.failure.argument == "--no-such-flag"


@each_era
def test_flag_twice_under_two_spellings(workbench: Workbench, era: Era) -> None:
    first, second = era.respelled

    def twice(argv: tuple[str, ...]) -> tuple[str, ...]:
        return (*argv, second, argv[argv.index(first) + 1])

    result = run(workbench, era.build, era.request, Altered(name="twice", alter=twice))
    assert result.status is Verdict.FAIL
    check = bad_checks(result)["no-flag-twice"]
    assert check.argument == second
    assert check.observed.startswith(f"{first} ")


@each_era
def test_minimum_above_maximum(workbench: Workbench, era: Era) -> None:
    subject = Altered(name="min-above-max", alter=adding(era.minimum, "6"))
    result = run(workbench, era.build, era.request, subject)
    assert result.status is Verdict.FAIL
    check = bad_checks(result)["min-not-above-max"]
    assert check.argument == era.minimum
    assert check.observed == f"{era.minimum} 6, {era.length} 5"


@each_era
def test_on_where_it_was_switched_off(workbench: Workbench, era: Era) -> None:
    subject = Altered(name="on-for-off", instead=era.request)
    result = run(workbench, era.build, LoadRequest(model=era.request.model, mode="off"), subject)
    assert result.status is Verdict.FAIL
    check = bad_checks(result)["implementations"]
    assert (check.expected, check.observed) == ("nothing on", era.implementation)
    assert check.argument == era.switch


@each_era
def test_off_where_it_was_switched_on(workbench: Workbench, era: Era) -> None:
    subject = Altered(name="off-for-on", alter=without(era.switch))
    result = run(workbench, era.build, era.request, subject)
    assert result.status is Verdict.FAIL
    check = bad_checks(result)["implementations"]
    assert (check.expected, check.observed) == (era.implementation, "nothing on")
