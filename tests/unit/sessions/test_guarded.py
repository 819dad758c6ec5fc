import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.model import FailureKind, LaunchPlan, LoadRequest
from harness.server.http import ProtocolError
from harness.sessions.guarded import GuardedSession
from harness.sessions.session import KeptBy, Phase
from tests.unit.sessions.worlds import (
    PaperServer,
    PaperServers,
    Planner,
    Refusing,
    failing,
    session,
    surroundings,
)

EIGHT = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=8)
TWO = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=2)


def test_status_tells_what_was_asked_and_what_runs() -> None:
    one = session()
    assert one.status().phase is Phase.EMPTY
    outcome = one.load(LoadRequest(model="tiny-mtp", mode=" Auto ", draft_n_max=8))
    status = one.status()
    assert outcome.reloaded
    assert (status.phase, status.requested_mode, status.resolved_mode, status.draft_n_max) == (
        Phase.RUNNING,
        "auto",
        "mtp+ngram",
        8,
    )
    assert status.served is not None
    assert status.served["speculation"].implementations["draft-mtp"].n_max == 8
    assert (status.reloaded, status.servers, status.pid) == (True, 1, 1)


def test_the_same_request_keeps_the_server_and_says_which_guard_did() -> None:
    servers = PaperServers()
    one = session(servers=servers)
    one.load(EIGHT)
    again = one.load(EIGHT)
    assert (again.reloaded, again.kept_by) == (False, KeptBy.ROUTE)
    assert not one.status().reloaded
    assert one.status().pid == 1
    assert len(servers.started) == 1


def test_a_reload_ends_the_old_server_first() -> None:
    servers = PaperServers()
    alive_at_start: list[int] = []
    servers.before_start = lambda _plan, _port: alive_at_start.append(len(servers.running()))
    one = session(servers=servers)
    one.load(EIGHT)
    one.load(TWO)
    assert alive_at_start == [0, 0]
    assert len(servers.running()) == 1
    one.close()
    assert servers.running() == []
    assert one.status().phase is Phase.EMPTY


def test_a_refused_request_touches_nothing() -> None:
    servers = PaperServers()
    one = session(Refusing(), servers)
    one.load(EIGHT)
    refused = one.load(LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=13))
    assert refused.refusal == "13 is refused"
    assert not refused.reloaded
    assert one.status().draft_n_max == 8
    assert one.status().phase is Phase.RUNNING
    assert len(servers.running()) == 1


def test_after_a_failed_start_nothing_runs_and_the_next_load_recovers() -> None:
    servers = PaperServers()
    one = session(servers=servers)
    one.load(EIGHT)

    def fail(_plan: LaunchPlan, _port: int) -> None:
        raise failing(FailureKind.MODEL_LOAD)

    servers.before_start, works = fail, servers.before_start
    outcome = one.load(TWO)
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.MODEL_LOAD
    status = one.status()
    assert (status.phase, status.served, status.servers) == (Phase.FAILED, None, 0)
    assert status.failure == outcome.failure
    assert servers.running() == []
    servers.before_start = works
    assert one.load(EIGHT).failure is None
    assert one.status().phase is Phase.RUNNING


def test_a_dead_server_is_reported_and_matches_nothing() -> None:
    servers = PaperServers()
    one = session(servers=servers)
    one.load(EIGHT)
    one.kill()
    status = one.status()
    assert status.phase is Phase.DIED
    assert status.failure is not None
    assert status.failure.kind is FailureKind.DIED
    assert "exit status -9" in status.failure.message
    assert one.look() is None
    assert one.load(EIGHT).reloaded
    assert one.status().pid == 2


@pytest.mark.parametrize("kind", [FailureKind.PORT_IN_USE, FailureKind.EARLY_EXIT])
def test_a_failure_that_may_be_the_ports_is_tried_again_on_another(kind: FailureKind) -> None:
    ports: list[int] = []

    def first_is_taken(_plan: LaunchPlan, port: int) -> None:
        ports.append(port)
        if len(ports) == 1:
            raise failing(kind)

    one = session(servers=PaperServers(before_start=first_is_taken))
    assert one.load(EIGHT).failure is None
    assert len(set(ports)) == 2


def test_ports_that_are_all_taken_are_a_failure() -> None:
    taken = PaperServers()

    def fail(_plan: LaunchPlan, _port: int) -> None:
        raise failing(FailureKind.PORT_IN_USE)

    taken.before_start = fail
    outcome = session(servers=taken).load(EIGHT)
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.PORT_IN_USE


def test_a_server_that_talks_nonsense_is_ended() -> None:
    class Nonsense(PaperServer):
        def look(self) -> None:  # type: ignore[override]
            raise ProtocolError("nonsense")

    class Servers(PaperServers):
        def start(self, plan: LaunchPlan, port: int) -> PaperServer:
            good = super().start(plan, port)
            self.started[-1] = bad = Nonsense(pid=good.pid, served=good.served)
            return bad

    servers = Servers()
    one = session(servers=servers)
    with pytest.raises(ProtocolError):
        one.load(EIGHT)
    assert servers.running() == []
    assert one.status().phase is Phase.FAILED


def test_of_two_racing_loads_the_second_waits_and_is_judged_by_what_the_first_left() -> None:
    servers = PaperServers()
    starting, go_on = threading.Event(), threading.Event()

    def wait(_plan: LaunchPlan, _port: int) -> None:
        starting.set()
        assert go_on.wait(10)

    servers.before_start = wait
    one = session(servers=servers)
    outcomes: dict[str, bool] = {}
    first = threading.Thread(target=lambda: outcomes.update(first=one.load(EIGHT).reloaded))
    first.start()
    assert starting.wait(10)
    assert one.status().phase is Phase.LOADING, "the status does not wait for the load"
    second = threading.Thread(target=lambda: outcomes.update(second=one.load(EIGHT).reloaded))
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert outcomes == {"first": True, "second": False}
    assert len(servers.started) == 1


def test_racing_loads_of_different_requests_leave_one_server() -> None:
    servers = PaperServers()
    one = session(servers=servers)
    requests = [LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=n) for n in range(1, 9)]
    threads = [threading.Thread(target=one.load, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    status = one.status()
    assert len(servers.running()) == 1
    assert status.request in requests
    assert status.served is not None
    assert status.served["speculation"].implementations["draft-mtp"].n_max == status.draft_n_max


def test_each_server_holds_a_port_of_its_own_until_it_ends() -> None:
    held: list[int] = []

    @contextmanager
    def ports() -> Iterator[int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            held.append(port)
            yield port
            held.remove(port)

    one = GuardedSession(Planner(), surroundings(), PaperServers(), ports=ports)
    one.load(EIGHT)
    assert len(held) == 1
    one.load(TWO)
    assert len(held) == 1
    one.unload()
    assert held == []
