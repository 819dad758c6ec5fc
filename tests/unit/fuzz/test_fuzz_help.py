"""The help parser on help texts that were cut, shuffled and scribbled on."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.flags.capabilities import Capabilities, parse_help

HELP = Path(__file__).parents[3] / "fixtures" / "help"
RECORDED = {file.stem: file.read_text(encoding="utf-8") for file in sorted(HELP.glob("*.txt"))}
EXAMPLES = settings(max_examples=12, deadline=None)

lines_of_help = st.sampled_from(
    sorted({line for text in RECORDED.values() for line in text.splitlines()})
)
noise = st.text(max_size=120)


def flags(capabilities: Capabilities) -> set[str]:
    return {flag for option in capabilities.options for flag in option.spellings}


@EXAMPLES
@given(st.text())
def test_any_text_is_read_and_no_flag_is_invented(text: str) -> None:
    for flag in flags(parse_help(text)):
        assert flag in text or flag.removesuffix("s") in text


@EXAMPLES
@given(st.lists(st.one_of(lines_of_help, noise), max_size=40))
def test_lines_in_any_order_are_read_and_no_flag_is_invented(lines: list[str]) -> None:
    text = "\n".join(lines)
    capabilities = parse_help(text)

    for flag in flags(capabilities):
        assert flag in text or flag.removesuffix("s") in text
    for token in capabilities.speculative_types:
        assert token in text.replace(" - ", "-")
    if capabilities.mtp_token is not None:
        assert capabilities.mtp_token in text


@pytest.mark.parametrize("build", RECORDED)
@EXAMPLES
@given(data=st.data())
def test_a_text_with_lines_lost_offers_nothing_new(build: str, data: st.DataObject) -> None:
    lines = RECORDED[build].splitlines()
    start = data.draw(st.integers(0, len(lines) - 1))
    count = data.draw(st.integers(1, 60))
    whole = parse_help(RECORDED[build])

    cut = parse_help("\n".join(lines[:start] + lines[start + count :]))

    assert flags(cut) <= flags(whole)


@pytest.mark.parametrize("build", RECORDED)
@EXAMPLES
@given(cut=st.integers(0, 70_000))
def test_a_text_that_breaks_off_still_offers_its_beginning(build: str, cut: int) -> None:
    text = RECORDED[build]
    whole, part = parse_help(text), parse_help(text[:cut])

    for option in part.options[:-1]:
        assert set(option.spellings) <= flags(whole)


@pytest.mark.parametrize("build", RECORDED)
@EXAMPLES
@given(
    ending=st.sampled_from(["\n", "\r\n"]),
    tail=noise.filter(lambda t: not t.lstrip().startswith("-")),
)
def test_what_stands_around_the_options_changes_nothing(build: str, ending: str, tail: str) -> None:
    whole = parse_help(RECORDED[build])
    around = ending.join(["warming up", *RECORDED[build].splitlines(), "", "", tail.strip()])

    assert flags(whole) <= flags(parse_help(around.replace("\r\n", "\n")))


@pytest.mark.parametrize("build", RECORDED)
@EXAMPLES
@given(flag=st.from_regex(r"--[a-z]{3,12}(-[a-z]{2,8})?", fullmatch=True))
def test_a_flag_that_a_description_mentions_is_no_capability(build: str, flag: str) -> None:
    whole = parse_help(RECORDED[build])
    if whole.option(flag) is not None:
        return
    mentioned = RECORDED[build].replace("(default:", f"(see {flag}) (default:")

    assert parse_help(mentioned).option(flag) is None
