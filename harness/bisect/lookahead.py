"""Acquires points, the likely next ones ahead of time."""

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final, Protocol, Self

import msgspec

from harness.bisect.trial import AxisName
from harness.processes.running import CancelledError

GRACE_S: Final = 3.0
"""How long a point must be running before anything that needs the whole machine is begun ahead:
what runs for less is over before a compile would have got anywhere, and would only be slowed."""
_POLL_S: Final = 0.2
_CANCEL_S: Final = 15.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A build's id or a subject's specification that has to be there before it can be tested."""

    axis: AxisName
    id: str


class Job(Protocol):
    """One acquisition that is under way."""

    def wait(self) -> None:
        """Wait until it is done.

        Raises:
            HarnessError: It cannot be had; the message says why.
        """

    def cancel(self) -> bool:
        """End it, with all that it started; False where it had ended by itself."""


class Lookahead:
    """Keeps the wanted acquisitions going and ends the others; a context manager.

    Args:
        start: Begins an acquisition.
        exclusive: Whether an acquisition needs the whole machine, so that none of its kind is
            begun ahead while a point is still being waited for.
        fetch: Begins as much of such an acquisition as leaves the machine alone: its download.
            None where there is nothing of the kind.
        enabled: Whether anything is acquired ahead at all.
    """

    def __init__(
        self,
        start: Callable[[Wanted], Job],
        *,
        exclusive: Callable[[Wanted], bool] = lambda _: False,
        fetch: Callable[[Wanted], Job] | None = None,
        enabled: bool = True,
    ) -> None:
        self._fetch = fetch
        self._fetches: dict[Wanted, Job] = {}
        self._start = start
        self._exclusive = exclusive
        self._enabled = enabled
        self._jobs: dict[Wanted, Job] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._jobs:
            with suppress(KeyboardInterrupt):
                self._keep_only(())
        for job in self._fetches.values():
            job.cancel()

    def want(self, wanted: Collection[Wanted]) -> None:
        """Acquire these ahead, and nothing else; what is done already stays stored."""
        if not self._enabled:
            return
        self._keep_only(wanted)
        for each in wanted:
            if each not in self._jobs:
                self._jobs[each] = self._start(each)

    def get(self, wanted: Wanted, ahead: Collection[Wanted] = ()) -> None:
        """Return once it is there; fetch meanwhile what comes next, as far as that costs no time.

        Raises:
            HarnessError: It cannot be had; the message says why.
        """
        free = [each for each in ahead if not self._exclusive(each)]
        self._fetch_ahead([each for each in ahead if each not in free])
        self._keep_only([wanted, *free])
        job = self._jobs.get(wanted) or self._start(wanted)
        self._jobs[wanted] = job
        self.want([wanted, *free])
        try:
            job.wait()
        except KeyboardInterrupt:
            # It is ended on leaving: a second signal that comes at once, as from timeout(1), which
            # sends one to the process and one to its group, must not cut the ending short.
            raise
        except BaseException:
            self._end(wanted)
            raise
        self._end(wanted)

    def _fetch_ahead(self, wanted: Collection[Wanted]) -> None:
        if not self._enabled or self._fetch is None:
            return
        for each in wanted:
            if each not in self._fetches:
                self._fetches[each] = self._fetch(each)

    def _end(self, wanted: Wanted) -> None:
        self._jobs[wanted].cancel()
        del self._jobs[wanted]

    def _keep_only(self, wanted: Collection[Wanted]) -> None:
        for each in [each for each in self._jobs if each not in wanted]:
            self._end(each)


class ThreadJob:
    """An acquisition in a thread, ended through an event that it looks at.

    Args:
        acquire: Acquires, and raises ``CancelledError`` soon after the event is set.
        grace_s: How long to hold back, unless it is waited for before.
    """

    def __init__(self, acquire: Callable[[threading.Event], None], *, grace_s: float = 0.0) -> None:
        self._acquire = acquire
        self._grace_s = grace_s
        self._needed = threading.Event()
        self._cancelled = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, cancelled: threading.Event | None = None) -> None:
        """See ``Job``.

        Args:
            cancelled: Ends the waiting when set, not the acquisition.

        Raises:
            CancelledError: It was set.
        """
        self._needed.set()
        # In small pieces: a thread that is waited for without end cannot be interrupted on Windows.
        while self._thread.is_alive():
            if cancelled is not None and cancelled.is_set():
                raise CancelledError
            self._thread.join(_POLL_S)
        if self._error is not None:
            raise self._error

    def cancel(self) -> bool:
        """See ``Job``."""
        running = self._thread.is_alive()
        self._cancelled.set()
        self._needed.set()
        self._thread.join(_CANCEL_S)
        return running

    def _run(self) -> None:
        self._needed.wait(self._grace_s)
        if self._cancelled.is_set():
            return
        try:
            self._acquire(self._cancelled)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._error = error
