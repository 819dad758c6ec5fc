"""The recorded help texts are those of the builds."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.builds import Build, load_catalogue
from harness.cells.qualification import open_store
from harness.environments import open_environment
from harness.flags.capabilities import diff, parse_help, probe

pytestmark = pytest.mark.live

HELP = Path(__file__).parents[2] / "fixtures" / "help"

COMPILED_IN = frozenset({"--rpc", "--ssl-key-file", "--ssl-cert-file"})
"""What a release has and a headless build of ours does not."""


@pytest.mark.parametrize(
    "build",
    [
        # A fork costs every test run one more compile.
        pytest.param(build, id=build.id, marks=[pytest.mark.slow] if build.fork else [])
        for build in load_catalogue().profile("all")
    ],
)
def test_recorded_help(build: Build, tmp_path: Path) -> None:
    recorded = parse_help((HELP / f"{build.id}.txt").read_text(encoding="utf-8"))
    acquired = open_store().acquire(build)
    with open_environment("cpu", home=tmp_path) as variables:
        real = probe(acquired.binary, {**variables, **acquired.env})
    changes = diff(recorded, real)
    if acquired.manifest.source == "release":
        changes = replace(changes, added=tuple(set(changes.added) - COMPILED_IN))
    # Defaults are left out: some tell of how the build was compiled (the web UI), not what it is.
    assert not replace(changes, defaults=())
    assert real.flavour is recorded.flavour
    assert real.takes_type_list is recorded.takes_type_list
