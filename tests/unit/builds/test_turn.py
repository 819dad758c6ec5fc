import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.builds.sources.base import Turn


class Slots:
    """The rights of one store."""

    def __init__(self) -> None:
        self.prepare, self.compile = threading.Lock(), threading.Lock()

    def turn(self) -> Turn:
        return Turn(lambda: self._held(self.prepare), lambda: self._held(self.compile))

    @staticmethod
    @contextmanager
    def _held(lock: threading.Lock) -> Iterator[None]:
        assert lock.acquire(timeout=10)
        try:
            yield
        finally:
            lock.release()


@pytest.fixture
def slots() -> Slots:
    return Slots()


def test_the_next_is_prepared_while_one_compiles(slots: Slots) -> None:
    with slots.turn() as first:
        assert slots.prepare.locked()
        first.begin()
        assert slots.compile.locked()
        assert not slots.prepare.locked()
        with slots.turn() as second:
            assert slots.prepare.locked()
            first.end()
            second.begin()
            first.end()
            assert slots.compile.locked(), "it is the second's"
    assert not slots.compile.locked()


def test_a_second_round_of_one_compile_does_not_begin_again(slots: Slots) -> None:
    with slots.turn() as turn:
        turn.begin()
        turn.begin()
        turn.end()
        turn.begin()
        assert not slots.compile.locked()


def test_an_error_lets_go_of_both(slots: Slots) -> None:
    def fail(*, begun: bool) -> None:
        with slots.turn() as turn:
            if begun:
                turn.begin()
            raise ZeroDivisionError

    for begun in (False, True):
        with pytest.raises(ZeroDivisionError):
            fail(begun=begun)
        assert not slots.prepare.locked()
        assert not slots.compile.locked()
