from harness.emulation.description import recorded_help
from harness.flags.capabilities import Capabilities, parse_help
from harness.report.timeline import SPECULATIVE_FLAGS, FlagState, flag_lives

BUILDS = ("py0.3.16", "b8929", "b9093", "b9246")


def recorded() -> dict[str, Capabilities]:
    return {build: parse_help(recorded_help(build)) for build in BUILDS}


def test_lives_of_the_renamed_flags() -> None:
    lives = {life.flag: [str(one) for one in life.states] for life in flag_lives(recorded(), ())}
    assert lives["--draft-max"] == ["offered", "offered", "removed", "removed"]
    assert lives["--spec-draft-n-max"] == ["unknown", "unknown", "offered", "offered"]
    assert lives["--spec-ngram-size-n"][:2] == ["unknown", "offered"]
    assert set(lives) == set(SPECULATIVE_FLAGS)


def test_flags_used_are_shown_where_they_changed() -> None:
    lives = flag_lives(recorded(), ["--port", "--never-was", "--spec-replace"])
    flags = [life.flag for life in lives]
    assert "--port" not in flags, "offered by all"
    assert "--never-was" not in flags, "unknown to all"
    assert "--spec-replace" in flags
    replaced = lives[flags.index("--spec-replace")]
    assert replaced.states[0] is FlagState.OFFERED
    assert replaced.changes


def test_no_builds() -> None:
    assert all(life.states == () for life in flag_lives({}, ["--x"]))
