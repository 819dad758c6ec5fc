"""Questions to the atlas: what a word means at a build, and what happened."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.flags.atlas import Facts, State, load_atlas
from harness.flags.lifetimes import lifetime, live_spans, since, value_since

ATLAS = load_atlas()
NAMES = sorted(ATLAS.data.options)


@pytest.mark.parametrize(
    ("word", "build", "state", "option"),
    [
        ("--draft-max", 8954, State.LIVE, "--draft-max"),
        ("--draft-max", 8955, State.STUB, "--draft-max"),
        ("--draft_max", 8955, State.STUB, "--draft-max"),
        ("LLAMA_ARG_DRAFT_MAX", 8955, State.STUB, "--draft-max"),
        ("--no-mmap", 10104, State.LIVE, "--mmap"),
        ("--no-mmap", 10105, State.DEPRECATED, "--mmap"),
        ("LLAMA_ARG_NO_MMAP", 9246, State.LIVE, "--mmap"),
        ("--no-context-shift", 7375, State.LIVE, "--no-context-shift"),
        ("--no-context-shift", 7376, State.LIVE, "--context-shift"),
    ],
)
def test_what_a_word_means_at_a_build(word: str, build: int, state: State, option: str) -> None:
    sighting = ATLAS.option(word, build)
    assert sighting.certain
    assert sighting.early is not None
    assert (sighting.early.state, sighting.option) == (state, option)


@pytest.mark.parametrize(
    ("word", "build"),
    [
        ("--draft-max", 4158),
        ("--load-mode", 10104),
        ("--mmap", 7375),
        ("-mmap", 9246),
        ("--never-there", 9246),
        ("LLAMA_ARG_NO_CTX_SIZE", 9246),
    ],
)
def test_what_a_build_does_not_have(word: str, build: int) -> None:
    sighting = ATLAS.option(word, build)
    assert sighting.certain
    assert sighting.early is None


@pytest.mark.parametrize("build", [10868, 10875, 10877])
def test_a_window_stays_a_window(build: int) -> None:
    sighting = ATLAS.option("--no-mmap", build)
    assert not sighting.certain
    assert sighting.early is not None
    assert sighting.early.state is State.DEPRECATED
    assert sighting.late is None
    assert ATLAS.option("--no-mmap", 10867).certain
    assert ATLAS.option("--no-mmap", 10878).early is None


@pytest.mark.parametrize("build", [3682, 11550, 0, -1])
def test_the_atlas_says_where_it_ends(build: int) -> None:
    assert build not in ATLAS
    with pytest.raises(UsageError, match=f"b{build}: the atlas goes from b3683 to b11549"):
        ATLAS.option("--jinja", build)


def test_what_happened_between_two_builds() -> None:
    found = {(one.option, one.event.kind) for one in ATLAS.changes(8929, 9093)}
    assert {("--draft-max", "stub"), ("--spec-draft-n-max", "added")} <= found
    assert all(8929 < one.event.b <= 9093 for one in ATLAS.changes(8929, 9093))
    assert ATLAS.changes(9246, 9246) == ()


def test_what_may_have_happened_between_two_builds_is_marked() -> None:
    (gone,) = [one for one in ATLAS.changes(10870, 10878) if one.option == "--mlock"]
    assert not gone.certain
    (gone,) = [one for one in ATLAS.changes(10867, 10878) if one.option == "--mlock"]
    assert gone.certain
    (gone,) = [one for one in ATLAS.changes(10860, 10870) if one.option == "--mlock"]
    assert not gone.certain
    assert not [one for one in ATLAS.changes(10878, 10900) if one.option == "--mlock"]


def test_notes_are_between_two_builds() -> None:
    assert [note.b for note in ATLAS.notes(9463, 9464)] == [9464]
    assert ATLAS.notes(9464, 9732) == ()
    (named,) = ATLAS.notes(9464, 9800)
    moment = ATLAS.moment(named)
    assert (moment.builds, moment.link) == ("after b9725, by b9733", "")


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("--daft-max", "--draft-max"),
        ("draft_max", "--draft-max"),
        ("--flash-atn", "--flash-attn"),
        ("LLAMA_ARG_CTX", "LLAMA_ARG_CTX_SIZE"),
        ("--spec-draft-nmax", "--spec-draft-n-max"),
        ("--n-gpu-layer", "--n-gpu-layers"),
    ],
)
def test_what_a_misspelt_word_is_most_like(word: str, near: str) -> None:
    assert near in ATLAS.near(word)


def test_nothing_is_like_nonsense() -> None:
    assert ATLAS.near("--qqqqzzzzxxxx") == ()


@settings(deadline=None)
@given(st.sampled_from(NAMES), st.integers(ATLAS.first, ATLAS.last))
def test_stretches_of_builds_agree_with_each_build(name: str, build: int) -> None:
    life = ATLAS.data.options[name]
    early, late = (life.at(build, late=late) for late in (False, True))

    def works(facts: Facts) -> bool:
        return facts.works

    inside = any(build in span for span in life.spans(works))
    held = [facts is not None and facts.works for facts in (early, late)]
    if all(held):
        assert inside
    if not any(held):
        assert not inside


@settings(deadline=None)
@given(st.sampled_from(sorted(ATLAS.data.spellings)), st.integers(ATLAS.first, ATLAS.last))
def test_a_spelling_is_looked_up_as_its_rows_say(word: str, build: int) -> None:
    sighting = ATLAS.option(word, build)
    rows = [
        row
        for row in ATLAS.data.spellings[word]
        if row.first <= build and (row.last is None or build <= row.last)
    ]
    if sighting.certain:
        expected = {(row.option, row.state) for row in rows}
        known = sighting.early
        if known is None:
            assert not expected
        else:
            assert (sighting.option, known.state) in expected


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--draft-max", "b4159 … b8954, removed since b8955, #22397"),
        ("--spec-draft-n-max", "b8955 on, #22397"),
        ("--no-mmap", "b3683 … b10867, gone after b10867, by b10878, #28334"),
        ("--no-context-shift", "b3812 on, #9607"),
        ("--checkpoint-every-n-tokens", "b8218 … b9309, gone since b9310, #22929"),
        ("--tensor-read-lazy", "b10662 … b10683, gone after b10683, by b10705, #27969"),
        ("--lookup-cache-static", "b3683 … b3715, b7864 on, #18471"),
        ("-c", "b3683 to b11549"),
        ("--never-there", None),
    ],
)
def test_a_lifetime_in_a_few_words(word: str, told: str | None) -> None:
    assert lifetime(word) == told


def test_a_word_without_a_lifetime_has_no_stretch() -> None:
    assert live_spans("--never-there", ATLAS) == ()


@pytest.mark.parametrize(
    ("word", "build", "told"),
    [
        ("--draft-max", 9246, "removed since b8955, #22397"),
        ("LLAMA_ARG_DRAFT_MAX", 9246, "removed since b8955, #22397"),
        ("--no-mmap", 11434, "gone after b10867, by b10878, #28334"),
        ("--no-mmap", 10870, None),
        ("--load-mode", 9464, "comes with b10105, #20834"),
        ("--lazy-mode", 9464, "comes after b10683, by b10705, #27969"),
        ("--lazy-mode", 10700, None),
        ("--load-mode", 11434, None),
        ("--load-mode", 20000, None),
        ("--never-there", 9246, None),
    ],
)
def test_since_when_a_build_does_not_know_a_word(word: str, build: int, told: str | None) -> None:
    assert since(word, build) == told


@pytest.mark.parametrize(
    ("flag", "value", "build", "told"),
    [
        ("--spec-type", "draft-mtp", 9093, "comes with b9180, #22673"),
        ("--spec-type", "draft", 9246, "gone since b9131, #22964"),
        ("--tools", "get_datetime", 11434, "gone since b10469, #27255"),
        ("--spec-type", "draft-mtp", 9246, None),
        ("--spec-type", "no-such-type", 9246, None),
    ],
)
def test_since_when_a_build_does_not_list_a_value(
    flag: str, value: str, build: int, told: str | None
) -> None:
    assert value_since(flag, value, build) == told
