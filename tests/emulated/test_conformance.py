"""The emulated command line against the real builds': same refusals, same witnesses' evidence."""

from collections.abc import Iterator

import pytest

from harness.builds import load_catalogue
from harness.cells.workbench import Workbench, open_workbench
from harness.emulation.description import known_eras
from tests.emulated.argvs import Piece, generated_argvs
from tests.emulated.both import by_emulation, by_real_build, command_line_of, is_emulated

ERAS = tuple(known_eras())
SOME = {"tiny-llama": 60, "tiny-mtp": 12}
ALL = {"tiny-llama": 540, "tiny-mtp": 120}
"""How many argvs by model; the second costs ten times as much to load, and only MTP needs it."""


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with open_workbench() as bench:
        yield bench


@pytest.mark.live
@pytest.mark.parametrize("model", SOME)
@pytest.mark.parametrize("era", ERAS)
def test_generated_argvs_are_read_as_the_real_build_reads_them(
    era: str, model: str, bench: Workbench
) -> None:
    _compare(era, model, SOME[model], bench)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("era", ERAS)
def test_every_generated_argv_is_read_as_the_real_build_reads_it(
    era: str, model: str, bench: Workbench
) -> None:
    compared = _compare(era, model, ALL[model], bench)

    assert compared >= 500 or model != "tiny-llama"


def _compare(era: str, model: str, count: int, bench: Workbench) -> int:
    """Hold ``count`` argvs against the real build; the number that could be compared."""
    build = load_catalogue().get(era)
    if model == "tiny-mtp" and bench.capabilities(era).mtp_token is None:
        pytest.skip(f"{era} has no MTP")
    line, facts = command_line_of(era)
    argvs = [
        argv
        for argv in generated_argvs(era, bench.capabilities(era), count)
        if is_emulated(line, facts, argv)
    ]

    differences: list[tuple[Piece, object, object]] = []
    for argv in argvs:
        emulated = by_emulation(line, facts, model, argv, number=build.number, workbench=bench)
        real = by_real_build(era, model, argv, bench)
        if emulated != real:
            differences.append((argv, real, emulated))

    assert not differences, differences[:3]
    return len(argvs)


@pytest.mark.parametrize("era", ERAS)
def test_generated_argvs_are_different_and_the_same_on_every_run(era: str) -> None:
    from harness.emulation.description import recorded_help
    from harness.flags.capabilities import parse_help

    capabilities = parse_help(recorded_help(era))
    first = list(generated_argvs(era, capabilities, 200))

    assert len(set(first)) == 200
    assert first == list(generated_argvs(era, capabilities, 200))


@pytest.mark.parametrize("era", ERAS)
def test_generated_argvs_are_both_accepted_and_refused(era: str) -> None:
    from harness.emulation.command_line import ArgumentError
    from harness.emulation.description import recorded_help
    from harness.flags.capabilities import parse_help

    line, _ = command_line_of(era)
    refused = 0
    for argv in generated_argvs(era, parse_help(recorded_help(era)), 200):
        try:
            line.read(argv, {})
        except ArgumentError:
            refused += 1
    assert 60 <= refused <= 160
