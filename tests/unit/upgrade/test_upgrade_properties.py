"""What holds of every command line, whatever options it is made of."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from harness.subjects.command_lines import CommandLine
from harness.upgrade.rewriting import is_taken, rewrite
from tests.generated_lines import command_lines, era, lacks_flash_attention, pairs

PAIRS = tuple(pairs())
ERAS = {name: era(name) for pair in PAIRS for name in pair}
OFTEN = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def drawn(data: st.DataObject, build: str) -> CommandLine:
    return data.draw(command_lines(ERAS[build].capabilities))


@pytest.mark.parametrize(("old", "new"), PAIRS)
@OFTEN
@given(data=st.data())
def test_the_other_build_takes_it_or_it_is_said_what_it_has_none_of(
    old: str, new: str, data: st.DataObject
) -> None:
    line = drawn(data, old)
    written = rewrite(line, ERAS[old], ERAS[new])
    assert is_taken(written.line, ERAS[new])
    said = {word for change in written.changes for word in change.before}
    before = set(line.words) | {f"{name}={value}" for name, value in line.env.items()}
    after = set(written.line.words) | {f"{n}={v}" for n, v in written.line.env.items()}
    assert before - after <= said
    # What is written on the same build is written for it.
    assert rewrite(written.line, ERAS[new], ERAS[new]).changes == ()


@pytest.mark.parametrize(("old", "new"), PAIRS)
@OFTEN
@given(data=st.data())
def test_upgrading_again_changes_nothing(old: str, new: str, data: st.DataObject) -> None:
    written = rewrite(drawn(data, old), ERAS[old], ERAS[new]).line
    again = rewrite(written, ERAS[old], ERAS[new])
    # Words that the old build takes as well may mean something else on it.
    assert again.line == written or is_taken(written, ERAS[old])


@pytest.mark.parametrize("build", sorted(ERAS))
@OFTEN
@given(data=st.data())
def test_on_its_own_build_a_command_line_stays(build: str, data: st.DataObject) -> None:
    line = drawn(data, build)
    assert is_taken(line, ERAS[build])
    assume(not lacks_flash_attention(line, ERAS[build].capabilities))
    written = rewrite(line, ERAS[build], ERAS[build])
    assert (written.line, written.changes) == (line, ())


@OFTEN
@given(
    words=st.lists(
        st.sampled_from(("-m", "a.gguf", "-fa", "on", "--draft-max", "8", "--no-such", "", "-",
                         "--", "--ctx-size=9", "-1", "0.0.0.0", "9--no-mmap", "--spec-type",
                         "none,none", "é", "-c", "--lora-scaled", "{}"))
    ),
    pair=st.sampled_from(PAIRS),
)  # fmt: skip
def test_any_words_at_all_are_written_somehow(words: Sequence[str], pair: tuple[str, str]) -> None:
    old, new = (ERAS[name] for name in pair)
    line = CommandLine(words=tuple(words), env={"LLAMA_ARG_NO_MMAP": "", "X": "1"})
    written = rewrite(line, old, new)
    assert written.line.env["X"] == "1"
    assert all(change.before or change.after for change in written.changes)
