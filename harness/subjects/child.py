"""One run of a program that is not ours: bounded in time and output, and ended as a whole."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

OUTPUT_LIMIT: Final = 1024 * 1024
"""Bytes kept of each of standard output and standard error."""

_CHUNK: Final = 65536


@dataclass(frozen=True, kw_only=True)
class ChildResult:
    """How a run ended.

    Attributes:
        status: Exit status; negative for a signal.
        output: Standard output, cut at ``OUTPUT_LIMIT``.
        errors: Standard error, cut likewise.
        timed_out: It was killed because its time was up.
        overflowed: It was killed because it printed more than ``OUTPUT_LIMIT``.
    """

    status: int
    output: bytes
    errors: bytes
    timed_out: bool
    overflowed: bool


class _Capped:
    """Reads a stream to its end in a thread, up to a limit."""

    def __init__(self, stream: IO[bytes], child: "subprocess.Popen[bytes]") -> None:
        self.data = b""
        self.overflowed = False
        self._stream = stream
        self._child = child
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        chunks: list[bytes] = []
        size = 0
        with contextlib.suppress(ValueError, OSError):
            while chunk := os.read(self._stream.fileno(), _CHUNK):
                size += len(chunk)
                chunks.append(chunk)
                if size > OUTPUT_LIMIT:
                    self.overflowed = True
                    kill_tree(self._child, wait=False)
                    break
        self.data = b"".join(chunks)[:OUTPUT_LIMIT]


def run_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    text_in: bytes,
    timeout_s: float,
) -> ChildResult:
    """Run ``command`` with ``text_in`` on its standard input until it ends or its time is up.

    Raises:
        OSError: It cannot be started.
        ValueError: The command or a variable holds a NUL byte.
    """
    child = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=sys.platform != "win32",
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    output, errors = _Capped(child.stdout, child), _Capped(child.stderr, child)
    feeder = threading.Thread(target=_feed, args=(child.stdin, text_in), daemon=True)
    feeder.start()
    timed_out = False
    try:
        child.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        kill_tree(child)  # also what it left behind in the background
        for thread in (output.thread, errors.thread, feeder):
            thread.join(timeout=1)
        for stream in (child.stdout, child.stderr):
            stream.close()
    return ChildResult(
        status=child.returncode,
        output=output.data,
        errors=errors.data,
        timed_out=timed_out,
        overflowed=output.overflowed or errors.overflowed,
    )


def _feed(stream: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):
        stream.write(data)
    with contextlib.suppress(OSError, ValueError):
        stream.close()


def kill_tree(child: "subprocess.Popen[Any]", *, wait: bool = True) -> None:
    """End a child that leads its own group, and all it started; harmless when all have ended."""
    if child.poll() is None:
        _kill_descendants(child.pid)
    if sys.platform == "win32":
        child.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    if wait:
        child.wait()


def _kill_descendants(pid: int) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        for member in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
