"""Acquires points in processes of their own, the likely next ones ahead of time.

A process, not a thread: a compile that is no longer wanted must be ended, and only a process can
be. The store is safe against that, since it is safe against a killed command.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from harness.bisect.trial import AxisName
from harness.errors import BuildUnavailableError

_POLL_S: Final = 0.2


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A build's id or a subject's specification that has to be there before it can be tested."""

    axis: AxisName
    id: str


class Job(Protocol):
    """One acquisition that is under way."""

    def wait(self) -> None:
        """Wait until it is done.

        Raises:
            BuildUnavailableError: It cannot be had; the message says why.
        """

    def cancel(self) -> bool:
        """End it, with all that it started; False where it had ended by itself."""


class Lookahead:
    """Keeps the wanted acquisitions going and ends the others; a context manager.

    Args:
        start: Begins an acquisition.
        enabled: Whether anything is acquired ahead at all.
    """

    def __init__(self, start: Callable[[Wanted], Job], *, enabled: bool = True) -> None:
        self._start = start
        self._enabled = enabled
        self._jobs: dict[Wanted, Job] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.keep_only(())

    def keep_only(self, wanted: Collection[Wanted]) -> int:
        """End what is not wanted any more; how many were cut short. What is done stays stored."""
        dropped = [each for each in self._jobs if each not in wanted]
        return sum(self._jobs.pop(each).cancel() for each in dropped)

    def want(self, wanted: Collection[Wanted]) -> None:
        """Acquire these ahead, and nothing else."""
        if not self._enabled:
            return
        self.keep_only(wanted)
        for each in wanted:
            if each not in self._jobs:
                self._jobs[each] = self._start(each)

    def get(self, wanted: Wanted) -> None:
        """Return once it is there.

        Raises:
            BuildUnavailableError: It cannot be had; the message says why.
        """
        # Both would compete for the processors, and the other one is no longer needed for sure.
        self.keep_only({wanted})
        job = self._jobs.get(wanted) or self._start(wanted)
        self._jobs[wanted] = job
        try:
            job.wait()
        finally:
            self._jobs.pop(wanted, None)
            job.cancel()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an acquiring process prints: the error, or None where all went well."""

    error: str | None = None


class ProcessJob:
    """``python -m harness.bisect.acquire`` for one wanted point."""

    def __init__(self, wanted: Wanted, env: Mapping[str, str]) -> None:
        self._wanted = wanted
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "harness.bisect.acquire", wanted.axis, wanted.id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**env, "PYTHONPATH": os.pathsep.join([str(_import_root()), *_path_of(env)])},
            start_new_session=os.name == "posix",
            creationflags=_background_flags(),
        )

    def wait(self) -> None:
        """See ``Job``."""
        output, _ = self._popen.communicate()
        try:
            report = msgspec.json.decode(output, type=Report)
        except msgspec.DecodeError:
            raise BuildUnavailableError(
                f"{self._wanted.id}: the process that acquired it ended with status "
                f"{self._popen.returncode} and no report; try `llama-harness builds get "
                f"{self._wanted.id}`"
            ) from None
        if report.error is not None:
            raise BuildUnavailableError(report.error)

    def cancel(self) -> bool:
        """See ``Job``."""
        running = self._popen.poll() is None
        if running:
            _end_family(self._popen.pid)
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        self._popen.wait()
        return running


def _import_root() -> Path:
    return Path(__file__).resolve().parents[2]


def _path_of(env: Mapping[str, str]) -> list[str]:
    return [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]


def _background_flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS
    return 0


def _end_family(pid: int) -> None:
    """Kill a process and all its descendants, whichever group or session they are in."""
    import psutil

    try:
        root = psutil.Process(pid)
        # Stopped first, so that it starts nothing while its family is counted.
        root.suspend()
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family[1:], timeout=5)
