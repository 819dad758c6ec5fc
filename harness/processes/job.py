"""On Windows a runner and what it starts are in one job, which the system ends with the runner.

A child is born into its parent's job: at no moment can a runner be killed and leave one behind,
half started or not yet told whose it is. The job has its process's name and stays for as long as
that runs, so that one is enough however often it is asked for. On other systems there is none.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

_EXTENDED_LIMITS: Final = 9
_BREAKAWAY_OK: Final = 0x800
_KILL_ON_CLOSE: Final = 0x2000
_ALREADY_EXISTS: Final = 183
_ACCESS_DENIED: Final = 5


class _Limits(ctypes.Structure):
    """``JOBOBJECT_EXTENDED_LIMIT_INFORMATION`` of ``winnt.h``."""

    _fields_ = (
        ("times", ctypes.c_int64 * 2),
        ("flags", ctypes.c_uint32),
        ("working_set", ctypes.c_size_t * 2),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("classes", ctypes.c_uint32 * 2),
        ("transfers", ctypes.c_uint64 * 6),
        ("memory", ctypes.c_size_t * 4),
    )


@contextlib.contextmanager
def children_end_with_this() -> Iterator[None]:
    """While it is open, the end of this process ends all that it started, however that end comes.

    Of several that are open at once in a process, the one opened first counts. Where the system
    refuses, nothing is done.
    """
    with contextlib.ExitStack() as stack:
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                stack.enter_context(_deadly_job())
        yield


def start_apart(command: Sequence[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a program that outlives this process; it reads from a pipe, and is not heard.

    Raises:
        OSError: It cannot be started.
    """
    if sys.platform != "win32":
        return _start_silent(command, env, start_new_session=True)
    group = subprocess.CREATE_NEW_PROCESS_GROUP
    try:
        return _start_silent(command, env, flags=group | subprocess.CREATE_BREAKAWAY_FROM_JOB)
    except OSError as error:
        if error.winerror != _ACCESS_DENIED:
            raise
    # A job that is not ours, around this process, keeps it in.
    return _start_silent(command, env, flags=group)


def _start_silent(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    start_new_session: bool = False,
    flags: int = 0,
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,  # Its end is seen at once; for the exit status one would poll.
        stderr=subprocess.DEVNULL,
        env=dict(env),
        start_new_session=start_new_session,
        creationflags=flags,
    )


if sys.platform == "win32":
    from ctypes import wintypes

    @contextlib.contextmanager
    def _deadly_job() -> Iterator[None]:
        """While it is open, this process's job ends with its last handle.

        Raises:
            OSError: The system refuses.
        """
        kernel = _kernel()
        name = f"llama-harness-{os.getpid()}"
        # Whoever makes the event is the first; Wine does not say which limits a job has.
        event, is_first = _named(kernel.CreateEventW, None, True, False, f"{name}-open")
        try:
            if not is_first:
                yield
                return
            job, is_new = _named(kernel.CreateJobObjectW, None, name)
            try:
                if is_new:
                    _check(kernel.AssignProcessToJobObject(job, kernel.GetCurrentProcess()))
                _limit(kernel, job, _BREAKAWAY_OK | _KILL_ON_CLOSE)
            except OSError:
                kernel.CloseHandle(job)
                raise
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    _limit(kernel, job, _BREAKAWAY_OK)
                # The very first handle is the system's to close, when this process has ended.
                if not is_new:
                    kernel.CloseHandle(job)
        finally:
            kernel.CloseHandle(event)

    def _kernel() -> ctypes.WinDLL:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle, pointer, number = wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD
        text, yes_or_no = wintypes.LPCWSTR, wintypes.BOOL
        for create in (kernel.CreateEventW, kernel.CreateJobObjectW, kernel.GetCurrentProcess):
            create.restype = handle
        kernel.CreateEventW.argtypes = [pointer, yes_or_no, yes_or_no, text]
        kernel.CreateJobObjectW.argtypes = [pointer, text]
        kernel.AssignProcessToJobObject.argtypes = [handle, handle]
        kernel.SetInformationJobObject.argtypes = [handle, ctypes.c_int, pointer, number]
        kernel.CloseHandle.argtypes = [handle]
        return kernel

    def _named(create: Callable[..., int | None], *words: object) -> tuple[int, bool]:
        """Return a handle to an object with a name, and whether it was made just now."""
        ctypes.set_last_error(0)
        handle = create(*words)
        if not handle:
            raise ctypes.WinError(ctypes.get_last_error())
        return handle, ctypes.get_last_error() != _ALREADY_EXISTS

    def _limit(kernel: ctypes.WinDLL, job: int, flags: int) -> None:
        limits = _Limits(flags=flags)
        place, size = ctypes.byref(limits), ctypes.sizeof(limits)
        _check(kernel.SetInformationJobObject(job, _EXTENDED_LIMITS, place, size))

    def _check(done: int) -> None:
        if not done:
            raise ctypes.WinError(ctypes.get_last_error())
