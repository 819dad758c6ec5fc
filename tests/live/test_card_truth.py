"""A few of the cases that were recorded on a real card, on the build that they were recorded with.

``benchmarks/card_truth.py`` runs all of them.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.card_truth import (
    CASES,
    FIXTURES,
    PROFILE,
    differences,
    in_spoof,
    stored,
    write_models,
)
from harness.cells.workbench import Workbench
from harness.environments.machine import load_profile
from tests.live.cards import needs_card

pytestmark = pytest.mark.live

FEW = (
    *("list-devices", "ngl=4", "ngl=99", "dev=none", "ot=ffn_.*=CPU", "nkvo fa off", "kv q5_0"),
    *(
        "fa=on head 32",
        "c=1000000 fit on",
        "CVD=7,0",
        "draft-mtp n=5 randmtp",
        "md rand drafts deep",
    ),
    *("left 600 list", "left 1200 fit on fitt=64", "left 1200 c=262144 fitt=64", "sched nkvo"),
    *("pair ts=3,1", "pair sm=none mg=1", "pair sm=row", "pair CVD=1,0", "pair fitt=90000,100"),
)
"""A case of every kind."""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cards")


@pytest.fixture(scope="module")
def models(scratch: Path) -> Mapping[str, Path]:
    return write_models(scratch)


@pytest.mark.parametrize("build", ["b9246", "b11434"])
def test_a_server_does_with_a_spoofed_card_what_it_did_with_a_real_one(
    workbench: Workbench, scratch: Path, models: Mapping[str, Path], build: str
) -> None:
    needs_card(workbench, build)
    truth = json.loads((FIXTURES / f"truth-{build}.json").read_text(encoding="utf-8"))["cases"]
    cases = {case["id"]: case for case in json.loads(CASES.read_text(encoding="utf-8"))}
    machine = load_profile(str(PROFILE))
    server = stored(workbench.build(build))
    for name in FEW:
        seen = in_spoof(cases[name], truth[name], server, models, machine=machine, scratch=scratch)
        assert not differences(truth[name], seen), (name, seen)
