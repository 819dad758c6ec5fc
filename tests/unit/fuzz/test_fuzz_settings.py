"""Every setting on command lines that nobody wrote, and on answers and logs that no server gave."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.flags.arguments import Argument
from harness.settings.base import DisagreementError
from harness.settings.observation import Observation
from harness.settings.state import SETTINGS, SPECULATION, asked, not_seen, show_state
from harness.verdicts.drift import drift
from harness.verdicts.findings import flat
from tests.unit.settings.recorded import recordings

EXAMPLES = settings(max_examples=300, deadline=None)

odd = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(), st.text(max_size=12),
        st.sampled_from(["on", "0", "/models/tiny-llama.gguf", "none,ngram-mod"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


ODD_WORDS = ("", "x", "-1", "0x10", "9" * 4000, "\u00b2", "nan", "true", "1e999")


SEEN = [one.observation for one in recordings()]
PARTS = ("completion", "properties", "slots", "models")


@st.composite
def broken_line(draw: st.DrawFn, lines: tuple[str, ...]) -> str:
    """A real line, with something odd in place of one of its words, or of any part of it."""
    line = draw(st.sampled_from(lines))
    if draw(st.booleans()):
        words = re.split(r"(\w+)", line)
        words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(ODD_WORDS))
        return "".join(words)
    start, end = sorted(draw(st.tuples(st.integers(0, len(line)), st.integers(0, len(line)))))
    return line[:start] + draw(st.text(max_size=6)) + line[end:]


@st.composite
def broken_lines(draw: st.DrawFn, lines: tuple[str, ...]) -> tuple[str, ...]:
    """A real log of which some lines are lost, twice there, or broken."""
    found = []
    for line in lines:
        match draw(st.integers(0, 12)):
            case 0:
                continue
            case 1:
                found += [line, draw(broken_line(lines))]
            case 2:
                found.append(draw(broken_line((line,))))
            case _:
                found.append(line)
    return tuple(found)


@st.composite
def broken_value(draw: st.DrawFn, value: Any) -> Any:
    """A real answer, with something odd somewhere in it."""
    if not value or draw(st.integers(0, 4)) == 0:
        return draw(odd)
    if isinstance(value, Mapping):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: draw(broken_value(value[key]))}
    if isinstance(value, list | tuple):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(broken_value(value[place])), *value[place + 1 :]]
    return draw(odd)


@st.composite
def broken_observations(draw: st.DrawFn) -> Observation:
    """A real server's, broken in some places as no server is."""
    seen = draw(st.sampled_from(SEEN))
    changes: dict[str, Any] = {
        "startup_lines": draw(broken_lines(seen.startup_lines)),
        "run_lines": draw(broken_lines(seen.run_lines)),
        "build_number": draw(st.sampled_from([seen.build_number, None, 6000, 11434])),
        "fork": draw(st.booleans()),
        "switched_on": draw(st.sampled_from([seen.switched_on, frozenset[str]()])),
    }
    # What is read of a server that has answered at all has these shapes; see ``observe``.
    for part in draw(st.lists(st.sampled_from(PARTS), max_size=3)):
        value = draw(broken_value(getattr(seen, part)))
        if part in {"slots", "models"}:
            changes[part] = (
                tuple(one for one in value if isinstance(one, dict))
                if isinstance(value, list)
                else ()
            )
        elif isinstance(value, dict):
            changes[part] = value
    if seen.probed is not None:
        defaults = draw(broken_value(seen.probed.defaults))
        numbers = st.one_of(st.none(), st.integers(0, 9000))
        changes["probed"] = draw(
            st.sampled_from(
                [
                    None,
                    replace(
                        seen.probed,
                        defaults=defaults if isinstance(defaults, dict) else {},
                        full=draw(
                            st.one_of(st.none(), st.tuples(st.integers(0, 9000), st.integers(0, 9)))
                        ),
                        limit=draw(numbers),
                        jinja=draw(st.booleans()),
                        locked=draw(st.one_of(st.none(), st.booleans())),
                    ),
                ]
            )
        )
    return replace(seen, **changes)


WORDS = sorted({
    word for setting in SETTINGS.values() for family in setting.families
    for word in (*family.flags, *family.variables, *family.negations, *family.negating_variables)
})  # fmt: skip
arguments = st.lists(
    st.builds(
        Argument,
        flag=st.one_of(st.sampled_from(WORDS), st.text(max_size=6)),
        values=st.one_of(
            st.just(()),
            st.tuples(st.one_of(
                st.text(max_size=8), st.sampled_from([*ODD_WORDS, "8k", "0,7", "auto"])
            )),
        ),
        option=st.none(),
    ),
    max_size=6,
)  # fmt: skip


def told(observation: Observation) -> dict[str, Any]:
    """By setting what its witnesses agree on, without those of which they disagree."""
    state = {}
    for name, setting in SETTINGS.items():
        evidence = setting.testify(observation)
        assert {one.setting for one in evidence} == {name}
        with suppress(DisagreementError):
            value = setting.agree(evidence)
            if value is not None:
                assert any(one.speaks for one in evidence)
                state[name] = value
    return state


@EXAMPLES
@given(observation=broken_observations(), given_words=arguments)
def test_whatever_is_asked_of_whatever_was_observed_is_told_and_judged(
    observation: Observation, given_words: list[Argument]
) -> None:
    state = told(observation)
    assert show_state(state).count(", ") >= len(state) - 1
    demands = asked(given_words)
    for name in demands.keys() & state.keys():
        for check in SETTINGS[name].compare(demands[name], state, given_words):
            assert check.observed
            assert check.ok or check.argument in {None, *chain(*(one.words for one in given_words))}
    assert set(not_seen(given_words, demands, state)) <= {one.flag for one in given_words}
    shown = {name: value for name, value in state.items() if name != SPECULATION}
    if not _has_nan(shown):
        assert list(drift([("b1", flat(shown)), ("b2", flat(shown))])) == []


def _has_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nan, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_nan, value))
    return isinstance(value, float) and value != value  # noqa: PLR0124


@EXAMPLES
@given(
    noise=st.lists(st.text(alphabet="xyz :=|0123456789", max_size=30), max_size=8), data=st.data()
)
def test_lines_of_something_else_change_nothing(noise: list[str], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(SEEN))
    spread = list(one.startup_lines)
    for line in noise:
        spread.insert(data.draw(st.integers(0, len(spread))), line)
    other = replace(one, startup_lines=tuple(spread))
    for name, setting in SETTINGS.items():
        if name != SPECULATION:  # whose length stands in the line after its name
            assert setting.testify(other) == setting.testify(one)
