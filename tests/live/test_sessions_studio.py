"""Unsloth Studio's own guards, under the sequences of the original reports."""

from pathlib import Path

import pytest

from harness.cells.workbench import Workbench
from harness.model import Verdict
from harness.sessions.oracle import SAME_AS_FRESH_LOAD
from harness.sessions.runner import Runner
from harness.sessions.script import read_script
from harness.sessions.servers import Memory
from harness.sessions.session import KeptBy
from harness.sessions.stages import set_stage

pytestmark = pytest.mark.live

SCRIPTS = Path(__file__).parents[2] / "fixtures" / "sessions"
BUILD = "b9246"

FAILING: dict[str, dict[str, set[KeptBy | None]]] = {
    "unsloth==2026.5.5": {
        "auto-8-then-2": {KeptBy.ROUTE},
        "8-then-not-given": {KeptBy.ROUTE},
        "killed-then-same": {KeptBy.BACKEND},
    },
    # It takes a server that was killed for one that speculation crashed, and starts one without;
    # asked before it has noticed the end, it keeps the dead one.
    "unsloth==2026.10.9": {"killed-then-same": {None, KeptBy.BACKEND}},
}


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


@pytest.mark.parametrize("script", sorted(path.stem for path in SCRIPTS.glob("*.session")))
@pytest.mark.parametrize("version", sorted(FAILING))
def test_what_each_version_does(
    workbench: Workbench, memory: Memory, version: str, script: str
) -> None:
    stage = set_stage(workbench, subject=version, build=BUILD, environment="cpu", memory=memory)
    session = stage.real()
    try:
        steps = read_script(SCRIPTS / f"{script}.session")
        reports = list(Runner(session, stage.oracle).run(steps))
    finally:
        session.close()
    failing = [report for report in reports if report.verdict is not Verdict.PASS]
    assert all(report.verdict is Verdict.FAIL for report in failing)
    expected = FAILING[version]
    assert bool(failing) == (script in expected)
    for report in failing:
        assert [check.name for check in report.checks if not check.ok] == [SAME_AS_FRESH_LOAD]
        assert report.outcome is not None
        assert report.outcome.kept_by in expected[script]
