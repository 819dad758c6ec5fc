"""The atlas against the recorded help texts; a difference is printed as the entry to add."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.builds import load_catalogue
from harness.flags.atlas import load_atlas
from harness.flags.capabilities import Capabilities, Option
from tests.atlas.reading import differences
from tests.unit.era import HELP, capabilities

ATLAS = load_atlas()
RECORDED = [
    pytest.param(build.id, build.upstream_number, id=build.id)
    for build in load_catalogue().profile("all")
    if build.upstream_number is not None
]


def test_every_recorded_text_of_upstream_is_compared() -> None:
    compared = {param.values[0] for param in RECORDED}
    assert {file.stem for file in HELP.glob("*.txt")} - compared == {"ik-2026-04"}


@pytest.mark.parametrize(("build", "number"), RECORDED)
def test_the_atlas_says_what_the_help_text_says(build: str, number: int) -> None:
    found = differences(number, capabilities(build), ATLAS.table(number))
    assert not found, "\n".join(found)


def changed(flag: str, change: Callable[[Option], Option | None]) -> Capabilities:
    """The text of b9246 with one option otherwise."""
    real = capabilities("b9246")
    options = (change(option) if flag in option.spellings else option for option in real.options)
    return Capabilities(tuple(one for one in options if one is not None))


@pytest.mark.parametrize(
    ("flag", "change", "entry"),
    [
        (
            "--jinja",
            lambda _: None,
            '{"b": 9246, "option": "--jinja", "state": "absent"}',
        ),
        (
            "--ctx-size",
            lambda one: replace(one, env="LLAMA_ARG_CONTEXT"),
            '{"b": 9246, "option": "--ctx-size", "env": "LLAMA_ARG_CONTEXT"}',
        ),
        (
            "--ctx-size",
            lambda one: replace(one, spellings=(*one.spellings, "--context")),
            '{"b": 9246, "option": "--ctx-size", "spellings": ["-c", "--ctx-size", "--context"]}',
        ),
        (
            "--ctx-size",
            lambda one: replace(one, default="4096"),
            '{"b": 9246, "option": "--ctx-size", "default": "4096"}',
        ),
        (
            "--spec-draft-p-min",
            lambda one: replace(one, default="0.75"),
            '{"b": 9246, "option": "--spec-draft-p-min", "default": "0.75"}',
        ),
        (
            "--split-mode",
            lambda one: replace(one, placeholder="{none,layer}", choices=("none", "layer")),
            (
                '{"b": 9246, "option": "--split-mode", "placeholder": "{none,layer}", "values": '
                '["none", "layer"]}'
            ),
        ),
        (
            "--mlock",
            lambda one: replace(one, placeholder="MODE"),
            ('{"b": 9246, "option": "--mlock", "arity": 1, "type": "str", "placeholder": "MODE"}'),
        ),
        (
            "--draft-max",
            lambda one: replace(one, removed=False),
            '{"b": 9246, "option": "--draft-max", "state": "live", "use": []}',
        ),
        (
            "--mlock",
            lambda one: replace(one, description=f"DEPRECATED, use --load-mode {one.description}"),
            '{"b": 9246, "option": "--mlock", "state": "deprecated", "use": ["--load-mode"]}',
        ),
        (
            "--no-mmap",
            lambda one: replace(one, spellings=("--mmap",)),
            '{"b": 9246, "option": "--mmap", "negations": []}',
        ),
    ],
)
def test_a_planted_difference_is_printed_as_the_entry_to_add(
    flag: str, change: Callable[[Option], Option | None], entry: str
) -> None:
    assert differences(9246, changed(flag, change), ATLAS.table(9246)) == (entry,)


def test_a_new_option_is_printed_whole() -> None:
    new = Option(spellings=("-nw", "--new-one"), placeholder="N", env="LLAMA_ARG_NEW", default="3")
    real = capabilities("b9246")
    (found,) = differences(9246, Capabilities((*real.options, new)), ATLAS.table(9246))
    assert found == (
        '{"b": 9246, "option": "--new-one", "spellings": ["-nw", "--new-one"], "arity": 1, "type": '
        '"str", "placeholder": "N", "env": "LLAMA_ARG_NEW", "default": "3"}'
    )


def test_what_is_not_compiled_in_is_no_difference() -> None:
    assert not capabilities("b9246").offers("--rpc")
    assert ATLAS.table(9246)["--rpc"].condition == "rpc"
    assert ATLAS.table(11434)["--rpc"].condition is None
    assert capabilities("b11434").offers("--rpc")
