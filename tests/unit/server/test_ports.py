"""Reserved ports: each held by one launch at a time, in whatever process."""

import multiprocessing
import socket
from contextlib import ExitStack
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING

from harness.server.ports import LOOPBACK, is_listened_to, reserved_port

if TYPE_CHECKING:
    from multiprocessing.queues import Queue


def test_a_reserved_port_can_be_listened_on() -> None:
    with reserved_port() as port, socket.socket() as server:
        server.bind((LOOPBACK, port))
        server.listen()


def test_a_port_is_listened_to_only_while_somebody_listens() -> None:
    with reserved_port() as port:
        with socket.socket() as server:
            server.bind((LOOPBACK, port))
            assert not is_listened_to(port)
            server.listen()
            assert is_listened_to(port)
        assert not is_listened_to(port)


def test_a_listener_that_takes_no_more_connections_has_its_port() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((LOOPBACK, 0))
        server.listen(0)
        port = server.getsockname()[1]
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((LOOPBACK, port))
        assert is_listened_to(port)


def test_ports_held_at_once_differ() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(200)]
    assert len(set(ports)) == len(ports)


def hold(count: int, told: "Queue[list[int]]", leave: Event) -> None:
    with ExitStack() as stack:
        told.put([stack.enter_context(reserved_port()) for _ in range(count)])
        leave.wait(60)


def test_processes_never_share_one() -> None:
    context = multiprocessing.get_context("spawn")
    told: Queue[list[int]] = context.Queue()
    leave = context.Event()
    holders = [context.Process(target=hold, args=(100, told, leave)) for _ in range(2)]
    for holder in holders:
        holder.start()
    try:
        ports = [port for _ in holders for port in told.get(timeout=120)]
    finally:
        leave.set()
        for holder in holders:
            holder.join()
    assert len(set(ports)) == len(ports) == 200


def test_a_port_is_free_again_afterwards() -> None:
    with reserved_port() as port:
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((LOOPBACK, port))
