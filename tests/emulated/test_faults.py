"""Every fault has a verdict of its own, in time, and leaves nothing behind."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness.builds import Store
from harness.cells.qualification import open_store
from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.emulation.description import known_faults
from harness.model import Cell, CellResult, FailureKind, LoadRequest, Verdict
from harness.processes.reaper import owned_processes
from harness.server.ports import LOOPBACK

IMPATIENT_S = 4.0
PATIENT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a fault must come to.

    Attributes:
        limit_s: Longest time for the whole cell.
        says: Part of the failure's message.
    """

    verdict: Verdict
    failure: FailureKind | None = None
    says: str = ""
    health_timeout_s: float = PATIENT_S
    limit_s: float = 15.0


EXPECTED = {
    "never-healthy": Expected(
        verdict=Verdict.FAIL,
        failure=FailureKind.TIMEOUT,
        says="not healthy within 4 s: /health answers 503",
        health_timeout_s=IMPATIENT_S,
    ),
    "slow-health": Expected(verdict=Verdict.PASS, limit_s=35),
    "dies-after-health": Expected(
        verdict=Verdict.FAIL, failure=FailureKind.DIED, says="then ended by exit status 3"
    ),
    "garbage-json": Expected(
        verdict=Verdict.ERROR, failure=FailureKind.PROTOCOL, says="the answer is not JSON: "
    ),
    "wrong-content-type": Expected(
        verdict=Verdict.ERROR,
        failure=FailureKind.PROTOCOL,
        says="the answer is text/html, not JSON",
    ),
    "endless-log": Expected(verdict=Verdict.PASS),
    "ignores-port": Expected(
        verdict=Verdict.FAIL,
        failure=FailureKind.TIMEOUT,
        says=", and was to listen on ",
        health_timeout_s=IMPATIENT_S,
    ),
    "survives-sigterm": Expected(verdict=Verdict.PASS),
    "exits-zero": Expected(
        verdict=Verdict.FAIL, failure=FailureKind.EARLY_EXIT, says="exit status 0"
    ),
    "help-on-stderr": Expected(verdict=Verdict.PASS),
    "slow-help": Expected(verdict=Verdict.PASS, limit_s=45),
}


def test_every_fault_is_expected() -> None:
    assert set(EXPECTED) == set(known_faults())


def test_no_two_bad_faults_are_told_alike() -> None:
    bad = [one for one in EXPECTED.values() if one.failure is not None]
    assert all(one.says for one in bad)
    assert len({(one.failure, one.says) for one in bad}) == len(bad) == 6


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def bench(request: pytest.FixtureRequest, store: Store) -> Iterator[Workbench]:
    expected = EXPECTED[request.node.callspec.params["fault"]]
    with open_workbench(store=store, health_timeout_s=expected.health_timeout_s) as bench:
        yield bench


@pytest.mark.parametrize("fault", EXPECTED)
def test_fault_has_its_verdict_in_time_and_leaves_nothing(fault: str, bench: Workbench) -> None:
    expected = EXPECTED[fault]
    started = time.perf_counter()

    result = run_cell(cell(fault), bench)

    assert time.perf_counter() - started < expected.limit_s
    assert result.emulated
    assert result.status is expected.verdict, result
    assert (result.failure.kind if result.failure else None) is expected.failure
    if expected.says:
        assert result.failure is not None
        assert expected.says in result.failure.message
        assert "\n" not in result.failure.message
    assert not owned_processes(bench.owner)
    assert port_is_free(result)


def cell(fault: str) -> Cell:
    return Cell(
        build=f"emulated-{fault}",
        subject="reference",
        environment="cpu",
        request=LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=5),
    )


def port_is_free(result: CellResult) -> bool:
    port = int(result.argv[result.argv.index("--port") + 1])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
