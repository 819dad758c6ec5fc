from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model import LoadRequest
from harness.sessions.script import (
    Interruption,
    Load,
    Step,
    format_script,
    parse_script,
    read_script,
)

SCRIPTS = Path(__file__).parents[3] / "fixtures" / "sessions"

words = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="\x85")
)
requests = st.builds(
    LoadRequest,
    model=words.filter(lambda word: not word.startswith("-")),
    mode=st.none() | words.filter(lambda word: not word.startswith("-") and word != "unset"),
    draft_n_max=st.none() | st.integers(0, 99),
    extra_args=st.lists(words, max_size=3).map(tuple),
    context_length=st.integers(1, 9999),
    cache_type=st.none() | st.just("q8_0"),
    chat_template=st.none() | st.just("chatml"),
)
steps: st.SearchStrategy[Step] = st.builds(Load, request=requests) | st.sampled_from(Interruption)


@given(st.lists(steps, min_size=1, max_size=5))
def test_a_script_reads_back_as_its_steps(script: list[Step]) -> None:
    assert parse_script(format_script(script, ["why"]), "script") == tuple(script)


def test_a_script_as_people_write_it() -> None:
    text = '# why\n\nload --mode " MTP " --draft-max 8  # a remark\nkill\nload\nunload\n'
    eight = LoadRequest(model="tiny-mtp", mode=" MTP ", draft_n_max=8)
    assert parse_script(text, "script") == (
        Load(request=eight),
        Interruption.KILL,
        Load(request=LoadRequest(model="tiny-mtp", mode=None)),
        Interruption.UNLOAD,
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "s: holds no step"),
        ("# nothing\n", "s: holds no step"),
        ("load\nreload\n", "s:2: 'reload' is no step; write load, unload or kill"),
        ("kill now", "s:1: kill takes no options, got now"),
        ("load --mode 'mtp", "s:1: No closing quotation"),
        ("load --draft-max many", "s:1: argument --draft-max: invalid number of tokens or default"),
        ("load --colour red", "s:1: unrecognized arguments: --colour red"),
    ],
)
def test_a_bad_line_is_named(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_script(text, "s")
    assert str(raised.value).startswith(complaint)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_script(tmp_path / "none.session")


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.session")), ids=lambda path: path.stem)
def test_scripts_of_the_reports_can_be_read(path: Path) -> None:
    assert len(read_script(path)) >= 2
