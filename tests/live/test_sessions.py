"""Guarded sessions on real servers: the reports' sequences, accidents, and what is left behind."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.cells.workbench import Workbench
from harness.model import FailureKind, LoadRequest, Verdict
from harness.processes.reaper import owned_processes
from harness.server.ports import reserved_port
from harness.sessions.guarded import GuardedSession
from harness.sessions.oracle import SAME_AS_FRESH_LOAD
from harness.sessions.runner import Runner, StepReport
from harness.sessions.script import Load, read_script
from harness.sessions.search import search
from harness.sessions.servers import HostServers, Memory
from harness.sessions.session import Phase
from harness.sessions.stages import set_stage
from harness.sessions.surroundings import Surroundings, surroundings_of
from harness.subjects.reference.guards import Guards, LoadedState

pytestmark = pytest.mark.live

SCRIPTS = sorted((Path(__file__).parents[2] / "fixtures" / "sessions").glob("*.session"))
BUILDS = ("b8929", "b9246", "b11434")
BUILD = "b9246"
MTP = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=4)

CAUGHT = {
    "reference@A": {"auto-8-then-2"},
    "reference@B": {"8-then-not-given", "not-given-then-8"},
}


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


def run_script(workbench: Workbench, memory: Memory, subject: str, path: Path) -> list[StepReport]:
    stage = set_stage(workbench, subject=subject, build=BUILD, environment="cpu", memory=memory)
    session = stage.real()
    try:
        return list(Runner(session, stage.oracle).run(read_script(path)))
    finally:
        session.close()


def servers_of(workbench: Workbench) -> list[int]:
    """Every process of this workbench that is a server, asked of the system."""
    return [process.pid for process in owned_processes(workbench.owner)]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("subject", ["reference", *CAUGHT])
def test_the_sequences_of_the_reports(
    workbench: Workbench, memory: Memory, subject: str, path: Path
) -> None:
    reports = run_script(workbench, memory, subject, path)
    verdicts = {report.verdict for report in reports}
    assert Verdict.ERROR not in verdicts
    assert (Verdict.FAIL in verdicts) == (path.stem in CAUGHT.get(subject, set()))


def test_a_changed_length_does_not_reload_ngram(workbench: Workbench, memory: Memory) -> None:
    path = next(path for path in SCRIPTS if path.stem == "ngram-changed-length")
    reports = run_script(workbench, memory, "reference", path)
    assert [report.outcome.reloaded for report in reports if report.outcome] == [
        True,
        False,
        False,
        False,
    ]
    assert len({report.after.pid for report in reports}) == 1


@pytest.mark.parametrize("subject", sorted(CAUGHT))
def test_each_guard_bug_is_caught_and_shrinks_whatever_the_seed(
    workbench: Workbench, memory: Memory, subject: str
) -> None:
    stage = set_stage(workbench, subject=subject, build=BUILD, environment="cpu", memory=memory)
    for seed in range(20):
        found = search(stage, steps=200, seed=seed, real_walk=False).counterexample
        assert found is not None, f"seed {seed}"
        assert len(found.steps) <= 3
        assert all(isinstance(step, Load) for step in found.steps)
        assert found.reports[-1].verdict is Verdict.FAIL, "it fails on real servers"


@pytest.mark.parametrize("build", BUILDS)
def test_the_fixed_reference_survives_a_walk_on_real_servers(
    workbench: Workbench, memory: Memory, build: str
) -> None:
    steps = int(os.environ.get("LLAMA_HARNESS_WALK_STEPS", "150"))
    stage = set_stage(workbench, subject="reference", build=build, environment="cpu", memory=memory)
    result = search(stage, steps=steps, seed=7)
    assert (result.steps, result.counterexample, result.unconfirmed) == (steps, None, None)
    assert servers_of(workbench) == []


@contextmanager
def guarded(workbench: Workbench, surroundings: Surroundings) -> Iterator[GuardedSession]:
    session = GuardedSession(
        workbench.subject("reference"), surroundings, HostServers(workbench, surroundings)
    )
    try:
        yield session
    finally:
        session.close()
    assert servers_of(workbench) == []


@pytest.fixture
def surroundings(workbench: Workbench) -> Surroundings:
    return surroundings_of(workbench, BUILD, "cpu")


def test_a_server_killed_from_outside_is_reported_and_the_next_load_recovers(
    workbench: Workbench, surroundings: Surroundings
) -> None:
    with guarded(workbench, surroundings) as session:
        session.load(MTP)
        killed = session.status().pid
        assert killed is not None
        server = psutil.Process(killed)
        server.kill()
        psutil.wait_procs([server], timeout=5)
        status = session.status()
        assert status.phase is Phase.DIED
        assert status.failure is not None
        assert status.failure.kind is FailureKind.DIED
        assert session.load(MTP).reloaded
        status = session.status()
        assert status.phase is Phase.RUNNING
        assert status.pid != killed
        assert servers_of(workbench) == [status.pid]


def test_a_port_that_is_taken_between_two_loads(
    workbench: Workbench, surroundings: Surroundings
) -> None:
    taken: list[int] = []

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()

        @contextmanager
        def ports() -> Iterator[int]:
            if taken:
                with reserved_port() as port:
                    yield port
            else:
                taken.append(stranger.getsockname()[1])
                yield taken[0]

        session = GuardedSession(
            workbench.subject("reference"),
            surroundings,
            HostServers(workbench, surroundings),
            ports=ports,
        )
        try:
            assert session.load(MTP).failure is None
            assert taken, "the first port was a stranger's"
            served = session.look()
            assert served is not None
            assert served["speculation"].implementations["draft-mtp"].n_max == 4
        finally:
            session.close()
    assert servers_of(workbench) == []


def test_a_model_file_that_is_removed_between_two_loads(
    workbench: Workbench, surroundings: Surroundings, tmp_path: Path
) -> None:
    copied = shutil.copy(workbench.models["tiny-mtp"].path, tmp_path / "tiny-mtp.gguf")
    model = replace(workbench.models["tiny-mtp"], path=Path(copied))
    away = tmp_path / "away.gguf"
    with guarded(
        workbench, replace(surroundings, models={**surroundings.models, "tiny-mtp": model})
    ) as session:
        session.load(MTP)
        Path(copied).rename(away)
        failure = session.load(replace(MTP, draft_n_max=2)).failure
        assert failure is not None
        assert failure.kind is FailureKind.MODEL_LOAD
        status = session.status()
        assert (status.phase, status.served, status.failure) == (Phase.FAILED, None, failure)
        assert servers_of(workbench) == [], "the old server was ended before the start that failed"
        away.rename(copied)
        assert session.load(replace(MTP, draft_n_max=2)).failure is None
        assert session.status().phase is Phase.RUNNING


class LooksAtNoExtraArguments(Guards):
    def _same_settings(self, request: LoadRequest, loaded: LoadedState) -> bool:
        return super()._same_settings(
            replace(request, extra_args=loaded.request.extra_args), loaded
        )


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (("--temp", "0.25"), "temperature 0.25"),
        (("-np", "3"), "slots 3"),
        (("--metrics",), "metrics on"),
        (("--no-slots",), "slots_endpoint off"),
        (("--alias", "other"), "model_id other"),
        (("-ub", "64"), "ubatch 64"),
    ],
    ids=lambda one: "" if isinstance(one, str) else one[0],
)
def test_a_guard_that_overlooks_any_setting_is_caught(
    workbench: Workbench, memory: Memory, build: str, extra: tuple[str, ...], told: str
) -> None:
    stage = set_stage(workbench, subject="reference", build=build, environment="cpu", memory=memory)
    where = surroundings_of(workbench, build, "cpu")
    for guards, verdict in ((LooksAtNoExtraArguments(), Verdict.FAIL), (None, Verdict.PASS)):
        session = GuardedSession(
            workbench.subject("reference"), where, HostServers(workbench, where), guards=guards
        )
        steps = [Load(request=MTP), Load(request=replace(MTP, extra_args=extra))]
        try:
            _, second = Runner(session, stage.oracle).run(steps)
        finally:
            session.close()
        assert second.verdict is verdict
        if verdict is Verdict.FAIL:
            (check,) = [one for one in second.checks if not one.ok]
            assert check.name == SAME_AS_FRESH_LOAD
            assert told in check.expected
            assert told not in check.observed
