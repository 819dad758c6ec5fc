import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.bisect.lookahead import Lookahead, ThreadJob, Wanted
from harness.errors import BuildUnavailableError
from harness.processes.running import CancelledError

A, B, C = (Wanted(axis="build", id=name) for name in ("b1", "b2", "b3"))


class Shop:
    """Acquisitions that last until they are let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.cut: list[str] = []
        self.let_go = threading.Event()
        self.broken = ""

    def start(self, wanted: Wanted) -> ThreadJob:
        def acquire(cancelled: threading.Event) -> None:
            self.begun.append(wanted.id)
            if wanted.id == self.broken:
                raise BuildUnavailableError(f"{wanted.id}: no source works here")
            while not self.let_go.is_set():
                if cancelled.wait(0.01):
                    self.cut.append(wanted.id)
                    raise CancelledError
            self.done.append(wanted.id)

        return ThreadJob(acquire)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_what_is_no_longer_wanted_is_cut_short_and_the_rest_kept(shop: Shop) -> None:
    with Lookahead(shop.start) as ahead:
        ahead.want([A, B])
        ahead.want([B, C])
        assert shop.cut == ["b1"]
        shop.let_go.set()
        ahead.get(B)
    assert shop.begun.count("b2") == 1
    assert "b2" in shop.done


def test_leaving_ends_everything(shop: Shop) -> None:
    with Lookahead(shop.start) as ahead:
        ahead.want([A, B])
        while len(shop.begun) < 2:
            time.sleep(0.01)
    assert sorted(shop.cut) == ["b1", "b2"]


def test_a_wanted_point_begins_what_comes_next_only_where_that_costs_nothing(shop: Shop) -> None:
    shop.let_go.set()
    with Lookahead(shop.start, exclusive=lambda wanted: wanted == B) as ahead:
        ahead.get(A, [B, C])
    assert sorted(shop.begun) == ["b1", "b3"]


def test_what_needs_the_whole_machine_is_fetched_ahead_once(shop: Shop) -> None:
    shop.let_go.set()
    fetched: list[str] = []

    def fetch(wanted: Wanted) -> ThreadJob:
        return ThreadJob(lambda _: fetched.append(wanted.id))

    with Lookahead(shop.start, exclusive=lambda wanted: wanted != A, fetch=fetch) as ahead:
        ahead.get(A, [B, C])
        ahead.get(B, [C])
    assert sorted(fetched) == ["b2", "b3"]
    assert shop.begun == ["b1", "b2"]


def test_leaving_cuts_what_is_fetched_ahead(shop: Shop) -> None:
    cut: list[str] = []
    begun = threading.Event()

    def fetch(wanted: Wanted) -> ThreadJob:
        def fetching(cancelled: threading.Event) -> None:
            begun.set()
            if cancelled.wait(10):
                cut.append(wanted.id)

        return ThreadJob(fetching)

    shop.let_go.set()
    with Lookahead(shop.start, exclusive=lambda wanted: wanted == B, fetch=fetch) as ahead:
        ahead.get(A, [B])
        assert begun.wait(10)
    assert cut == ["b2"]


def test_switched_off_nothing_is_fetched_ahead(shop: Shop) -> None:
    shop.let_go.set()

    def fetch(_: Wanted) -> ThreadJob:
        raise AssertionError

    with Lookahead(shop.start, exclusive=lambda _: True, fetch=fetch, enabled=False) as ahead:
        ahead.get(A, [B])


def test_an_error_reaches_the_one_who_waits_and_nobody_else(shop: Shop) -> None:
    shop.broken = "b1"
    with Lookahead(shop.start) as ahead:
        ahead.want([A, B])
        with pytest.raises(BuildUnavailableError, match="b1: no source works here"):
            ahead.get(A)
        shop.let_go.set()
        ahead.get(B)
    assert shop.done == ["b2"]


def test_switched_off_nothing_is_acquired_ahead(shop: Shop) -> None:
    shop.let_go.set()
    with Lookahead(shop.start, enabled=False) as ahead:
        ahead.want([A, B])
        ahead.get(C, [A])
    assert shop.begun == ["b3"]


def test_a_job_holds_back_until_it_is_needed_or_given_up() -> None:
    begun = threading.Event()
    job = ThreadJob(lambda _: begun.set(), grace_s=60)
    assert not begun.wait(0.05)
    job.wait()
    assert begun.is_set()
    begun.clear()
    other = ThreadJob(lambda _: begun.set(), grace_s=60)
    assert other.cancel()
    assert not begun.is_set()


class Interrupted:
    """A job during which the user gives up."""

    def __init__(self) -> None:
        self.ended = False

    def wait(self) -> None:
        raise KeyboardInterrupt

    def cancel(self) -> bool:
        self.ended = True
        return True


def test_an_interrupted_job_is_ended_on_leaving_so_that_a_second_signal_does_no_harm() -> None:
    job = Interrupted()
    with pytest.raises(KeyboardInterrupt), Lookahead(lambda _: job) as ahead:  # noqa: PT012
        try:
            ahead.get(A)
        except KeyboardInterrupt:
            assert not job.ended
            raise KeyboardInterrupt from None
    assert job.ended


def test_no_benchmark_has_the_name_of_a_standard_module() -> None:
    benchmarks = Path(__file__).resolve().parents[3] / "benchmarks"
    assert not {path.stem for path in benchmarks.glob("*.py")} & sys.stdlib_module_names
    for script in ("bisection.py", "compile.py"):
        answer = subprocess.run(
            [sys.executable, benchmarks / script, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.startswith(f"usage: {script}")


def test_who_waits_may_give_up_and_what_is_waited_for_goes_on() -> None:
    end, given_up = threading.Event(), threading.Event()

    def acquire(_: threading.Event) -> None:
        assert end.wait(30)

    job = ThreadJob(acquire)
    given_up.set()
    with pytest.raises(CancelledError):
        job.wait(given_up)
    end.set()
    job.wait()
