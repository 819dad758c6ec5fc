"""The contract, row by row, on what builds of each era accept."""

import pytest

from harness.model import HostProfile, LoadRequest, Mode, TinyModel
from harness.settings.speculation.contract import (
    Expectation,
    ExpectedDraft,
    canonical_mode,
    expect,
)
from tests.unit.era import (
    ANCIENT,
    CPU,
    ERAS,
    GPU,
    LEGACY,
    MTP,
    NEWEST,
    RENAMED,
    capabilities,
    model,
)

PLAIN, HEADED = model(), model(mtp=True)
NGRAM = {"ngram-mod": ExpectedDraft(n_min=48, n_max=64)}


def expected(
    build: str,
    mode: str | None,
    *,
    n: int | None = None,
    of: TinyModel = PLAIN,
    host: HostProfile = CPU,
    extra: tuple[str, ...] = (),
) -> Expectation:
    request = LoadRequest(model=of.name, mode=mode, draft_n_max=n, extra_args=extra)
    return expect(request, capabilities(build), host, of)


def mtp(n_max: int) -> dict[str, ExpectedDraft]:
    return {"draft-mtp": ExpectedDraft(n_max=n_max)}


@pytest.mark.parametrize("build", ERAS)
@pytest.mark.parametrize("mode", ["off", "none", "disable", "disabled", " OFF ", "None"])
def test_off(build: str, mode: str) -> None:
    assert expected(build, mode, n=5, of=HEADED) == Expectation(implementations={})


@pytest.mark.parametrize("build", [MTP, NEWEST])
@pytest.mark.parametrize(
    ("host", "n", "length"), [(CPU, 5, 5), (GPU, 5, 5), (CPU, None, 3), (GPU, None, 2)]
)
def test_mtp(build: str, host: HostProfile, n: int | None, length: int) -> None:
    found = expected(build, "mtp", n=n, of=HEADED, host=host)
    assert found == Expectation(implementations=mtp(length))


@pytest.mark.parametrize(
    ("build", "of", "why"),
    [
        (ANCIENT, HEADED, "the build has no MTP"),
        (RENAMED, HEADED, "the build has no MTP"),
        (MTP, PLAIN, "the model has no MTP head"),
    ],
)
def test_mtp_that_cannot_be(build: str, of: TinyModel, why: str) -> None:
    assert expected(build, "mtp", n=5, of=of) == Expectation(implementations={}, shortfall=why)


@pytest.mark.parametrize("build", [LEGACY, RENAMED, MTP, NEWEST])
@pytest.mark.parametrize("n", [None, 1, 16])
def test_ngram_whatever_the_draft_length(build: str, n: int | None) -> None:
    assert expected(build, "ngram", n=n) == Expectation(implementations=NGRAM)


def test_ngram_on_a_build_without_it() -> None:
    found = expected(ANCIENT, "ngram")
    assert found == Expectation(implementations={}, shortfall="the build has no ngram-mod")


@pytest.mark.parametrize("build", [MTP, NEWEST])
def test_chain(build: str) -> None:
    found = expected(build, "mtp+ngram", n=5, of=HEADED)
    assert found == Expectation(implementations={**mtp(5), "ngram-mod": ExpectedDraft()})


@pytest.mark.parametrize(
    ("build", "of", "implementations"),
    [
        (MTP, PLAIN, NGRAM),
        (LEGACY, HEADED, NGRAM),
        (RENAMED, HEADED, NGRAM),
        (ANCIENT, HEADED, {}),
    ],
)
def test_half_a_chain_says_why(
    build: str, of: TinyModel, implementations: dict[str, ExpectedDraft]
) -> None:
    found = expected(build, "mtp+ngram", n=5, of=of)
    assert found.implementations == implementations
    assert found.shortfall


@pytest.mark.parametrize("build", [LEGACY, RENAMED, MTP, NEWEST])
def test_ngram_simple(build: str) -> None:
    assert expected(build, "ngram-simple").implementations == {"ngram-simple": ExpectedDraft()}


def test_ngram_simple_on_a_build_without_it() -> None:
    assert expected(ANCIENT, "ngram-simple").shortfall == "the build has no ngram-simple"


@pytest.mark.parametrize("build", ERAS)
@pytest.mark.parametrize(("host", "n", "length"), [(CPU, 5, 5), (CPU, None, 3), (GPU, None, 2)])
def test_draft_model(build: str, host: HostProfile, n: int | None, length: int) -> None:
    found = expected(build, "draft", n=n, host=host)
    assert found == Expectation(implementations={"draft-simple": ExpectedDraft(n_max=length)})


def test_draft_without_a_draft_model() -> None:
    found = expected(NEWEST, "draft", of=model(draft=False))
    assert found.implementations == {}
    assert found.shortfall == "there is no draft model for this model"


@pytest.mark.parametrize("mode", ["auto", "default", None, "", "  ", "no such mode", "ngram,off"])
def test_auto_with_a_big_mtp_model(mode: str | None) -> None:
    big = model(mtp=True, billions=3)
    on_gpu = expected(MTP, mode, n=5, of=big, host=GPU)
    assert on_gpu == Expectation(implementations=mtp(5))
    on_cpu = expected(MTP, mode, of=big)
    assert on_cpu == Expectation(implementations={**mtp(3), "ngram-mod": ExpectedDraft()})


@pytest.mark.parametrize(
    ("build", "implementations"), [(MTP, NGRAM), (LEGACY, NGRAM), (ANCIENT, {})]
)
@pytest.mark.parametrize("host", [CPU, GPU])
def test_auto_with_a_small_mtp_model(
    build: str, implementations: dict[str, ExpectedDraft], host: HostProfile
) -> None:
    small = model(mtp=True, billions=2.9)
    assert expected(build, "auto", of=small, host=host) == Expectation(
        implementations=implementations
    )


@pytest.mark.parametrize(
    ("build", "implementations"),
    [(ANCIENT, {}), (LEGACY, NGRAM), (RENAMED, NGRAM), (MTP, NGRAM), (NEWEST, NGRAM)],
)
def test_auto_with_another_model_takes_the_builds_own_default(
    build: str, implementations: dict[str, ExpectedDraft]
) -> None:
    assert expected(build, "auto").implementations == implementations


@pytest.mark.parametrize("mode", ["mtp", "off", None])
def test_the_users_own_types_leave_nothing_to_the_subject(mode: str | None) -> None:
    found = expected(MTP, mode, of=HEADED, extra=("--spec-type", "ngram-mod"))
    assert found.user_owns_speculation
    assert found.implementations == {"ngram-mod": ExpectedDraft()}


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("draft-mtp", Mode.MTP),
        (" MTP\t", Mode.MTP),
        ("ngram-mod", Mode.NGRAM),
        ("draft-simple", Mode.DRAFT),
        ("ngram-mod,draft-mtp", Mode.MTP_NGRAM),
        ("draft-mtp, ngram", Mode.MTP_NGRAM),
        ("mtp,mtp", Mode.MTP),
        ("mtp+ngram", Mode.MTP_NGRAM),
        (",", Mode.AUTO),
        ("mtp,ngram,draft", Mode.AUTO),
        ("mtp,nonsense", Mode.AUTO),
    ],
)
def test_aliases_and_comma_chains(written: str, mode: Mode) -> None:
    assert canonical_mode(written) is mode


def test_every_mode_is_a_canonical_mode() -> None:
    assert [canonical_mode(mode.value) for mode in Mode] == list(Mode)


def test_types_in_the_users_arguments() -> None:
    extra = ("-c", "64", "--spec-type", "ngram-mod, draft-mtp", "--spec-type", "none")
    assert [*expected(MTP, "mtp", extra=extra).implementations] == ["ngram-mod", "draft-mtp"]
    assert expected(MTP, "mtp", extra=("--spec-type",)).implementations == {}
