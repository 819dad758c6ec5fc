"""A search by words finds what the regular expression alone would find."""

import gc
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.settings.said import LinePattern, Said
from harness.settings.speculation import testimony
from harness.settings.state import SETTINGS

ODD = (
    *(r"\x41b", r"\u00e9b", r"\U0001F600b", r"\101b", r"\0b", r"a\tb", r"(a)\1b"),
    *(r"a{2}b", r"ab{0}c", r"ab{,2}c", r"x{foo}y", r"a{1,2}?b", r"(?:ab){0}c"),
    *(r"[]a]b", r"[^]a]b", r"[|(]a|b", r"\(a|b\)", r"a\|b", r"a[\]]b", r"a[\\]b|c"),
    *(r"(?:a|b)?c", r"(?:a(b|c)|d)e|f(g|h)", r"(a)?(?(1)b|c)d", r"a|", r"|a", r""),
    *(r"a\??d", r"ab*?c", r"(?P<n>a)(?P=n)b", r"(?=a)a", r"(?i:ab)c", r"\N{DOLLAR SIGN}?a"),
)


def own() -> list[str]:
    assert "threads_http" in SETTINGS
    assert testimony.Metrics.name == "metrics"
    found = {one.expression.pattern for one in gc.get_objects() if isinstance(one, LinePattern)}
    return sorted(found)


OWN = own()


def test_there_are_patterns_to_try() -> None:
    assert len(OWN) > 40


@pytest.mark.parametrize("pattern", [*OWN, *ODD])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_no_line_is_missed(pattern: str, data: st.DataObject) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_line = LinePattern(pattern)
    one = st.from_regex(of_line.expression).filter(lambda text: "\n" not in text)
    lines = data.draw(st.lists(one, min_size=1, max_size=3).filter(any))
    plain = [found[0] for found in map(of_line.expression.search, lines) if found]
    assert [found[0] for found in Said.of(lines).all(of_line)] == plain
    last = Said.of(lines).last(of_line)
    assert last is not None
    assert last[0] == plain[-1]
