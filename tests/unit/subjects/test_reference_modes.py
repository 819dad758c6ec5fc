import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SubjectError
from harness.model import Gpu, HostProfile, LoadRequest, Mode
from harness.subjects.reference.draft_length import draft_length
from harness.subjects.reference.modes import ALIASES, canonical_mode, requested_mode

CPU = HostProfile()
GPU = HostProfile(gpus=(Gpu(index=0, name="GPU", memory_total_mib=8192, memory_free_mib=8000),))


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("auto", Mode.AUTO),
        ("default", Mode.AUTO),
        ("mtp", Mode.MTP),
        ("draft-mtp", Mode.MTP),
        ("ngram", Mode.NGRAM),
        ("ngram-mod", Mode.NGRAM),
        ("mtp+ngram", Mode.MTP_NGRAM),
        ("ngram-simple", Mode.NGRAM_SIMPLE),
        ("draft", Mode.DRAFT),
        ("off", Mode.OFF),
        ("none", Mode.OFF),
        ("disable", Mode.OFF),
        ("disabled", Mode.OFF),
        ("  NoNe\t", Mode.OFF),
        ("Draft-MTP\n", Mode.MTP),
        ("ngram-mod,draft-mtp", Mode.MTP_NGRAM),
        ("draft-mtp,ngram-mod", Mode.MTP_NGRAM),
        (" MTP , NGRAM ", Mode.MTP_NGRAM),
        ("mtp,mtp", Mode.MTP),
        ("ngram,", Mode.NGRAM),
        ("draft-mtp,ngram-simple", Mode.MTP),
        ("ngram-simple,ngram-mod", Mode.NGRAM),
        ("none,mtp", Mode.MTP),
        ("none,disabled", Mode.OFF),
        ("mtp+ngram,off", Mode.MTP_NGRAM),
        ("turbo", Mode.AUTO),
        ("turbo,warp", Mode.AUTO),
        (",", Mode.AUTO),
        ("mtp ngram", Mode.AUTO),
    ],
)
def test_canonical_mode(text: str, mode: Mode) -> None:
    assert canonical_mode(text) is mode


@pytest.mark.parametrize("nothing", [None, "", "  ", "\t\n", 5, 0, True, ["mtp"], {"mode": "mtp"}])
def test_nothing_and_non_strings(nothing: object) -> None:
    assert canonical_mode(nothing) is None


@given(st.sampled_from(sorted(ALIASES)), st.booleans(), st.text(" \t\n", max_size=3))
def test_case_and_padding_change_nothing(name: str, upper: bool, padding: str) -> None:
    written = padding + (name.upper() if upper else name.title()) + padding
    assert canonical_mode(written) is ALIASES[name]


@given(st.lists(st.sampled_from([*sorted(ALIASES), "turbo", ""]), min_size=1))
def test_the_order_of_a_chain_changes_nothing(pieces: list[str]) -> None:
    chain = ",".join(pieces)
    assert canonical_mode(chain) == canonical_mode(",".join(reversed(pieces)))


@given(st.text())
def test_every_text_has_a_mode(text: str) -> None:
    assert (canonical_mode(text) is None) is (not text.strip())


@pytest.mark.parametrize(
    ("mode", "extra_args", "requested"),
    [
        (None, (), Mode.AUTO),
        ("none", (), Mode.OFF),
        ("mtp", ("--metrics",), Mode.MTP),
        ("mtp", ("--spec-type", "ngram-mod"), None),
        ("mtp", ("--spec-default",), None),
        (None, ("--spec-type=ngram-mod",), None),
    ],
)
def test_extra_arguments_can_own_the_mode(
    mode: str | None, extra_args: tuple[str, ...], requested: Mode | None
) -> None:
    request = LoadRequest(model="tiny-mtp", mode=mode, extra_args=extra_args)
    assert requested_mode(request) == requested


@pytest.mark.parametrize("length", [1, 2, 5, 16])
def test_accepted_lengths(length: int) -> None:
    assert draft_length(length, CPU) == draft_length(length, GPU) == length


def test_default_lengths() -> None:
    assert draft_length(None, GPU) == 2
    assert draft_length(None, CPU) == 3


@pytest.mark.parametrize("length", [0, -1, 17, 1000, True])
def test_refused_lengths(length: int) -> None:
    with pytest.raises(SubjectError, match=f"draft length {length} is refused; give 1 to 16"):
        draft_length(length, CPU)
