"""A server's output, read as it comes and kept within bounds."""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Final

HEAD_LINES: Final = 20_000
HEAD_CHARACTERS: Final = 8 * 1024 * 1024
TAIL_LINES: Final = 5_000
TAIL_CHARACTERS: Final = 2 * 1024 * 1024
MAX_LINE_BYTES: Final = 4096
"""Fewer than the digits of the longest number that Python reads."""
_CHUNK_BYTES: Final = 65_536
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROLS: Final = dict.fromkeys((*range(9), *range(11, 32), 127), "�")


class ServerLog:
    """Standard output and error of one process, merged, first and last lines kept.

    The head holds the start-up and a generation, the tail what came before the end; what lies
    between is counted and dropped, so that an endless log or line costs no more memory than a
    long one.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._head: list[str] = []
        self._head_size = 0
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._total = 0
        self._closed = False
        self._awaited: Callable[[str], bool] | None = None
        self._found: int | None = None
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="server-log", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        rest = b""
        descriptor = self._stream.fileno()
        while True:
            try:
                chunk = os.read(descriptor, _CHUNK_BYTES)
            except OSError:
                chunk = b""
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                lines.append(rest)
                rest = b""
            if lines:
                self._append(lines)
        self._append([rest] if rest else [], closed=True)

    def _append(self, raw_lines: list[bytes], *, closed: bool = False) -> None:
        lines = [_readable(raw[:MAX_LINE_BYTES]) for raw in raw_lines]
        with self._changed:
            for line in lines:
                self._keep(line)
            self._total += len(lines)
            self._closed = closed
            if closed or self._found is not None:
                self._changed.notify_all()

    def _keep(self, line: str) -> None:
        fits = len(self._head) < HEAD_LINES and self._head_size + len(line) <= HEAD_CHARACTERS
        if fits and not self._tail:
            self._head.append(line)
            self._head_size += len(line)
            if self._awaited is not None and self._found is None and self._awaited(line):
                self._found = len(self._head)
            return
        self._tail.append(line)
        self._tail_size += len(line)
        while len(self._tail) > TAIL_LINES or self._tail_size > TAIL_CHARACTERS:
            self._tail_size -= len(self._tail.popleft())

    @property
    def closed(self) -> bool:
        """Whether the process has closed its output, which it does at its end."""
        with self._changed:
            return self._closed

    def lines(self) -> list[str]:
        """What was kept, in order; a marker line stands where lines were dropped."""
        with self._changed:
            dropped = self._total - len(self._head) - len(self._tail)
            gap = [f"[... {dropped} lines not kept ...]"] if dropped else []
            return [*self._head, *gap, *self._tail]

    def tail(self, count: int = 20) -> tuple[str, ...]:
        """The last non-empty lines."""
        return tuple([line for line in self.lines() if line.strip()][-count:])

    def wait_for(self, seen: Callable[[str], bool], *, after: int, timeout_s: float) -> int:
        """Wait until a line is seen, the output ends, or the time is over; one waiter at a time.

        Args:
            seen: Says whether a line is the one waited for.
            after: Number of lines already looked at.
            timeout_s: Longest wait, in seconds.

        Returns:
            The number of lines looked at, up to and including the one waited for.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            for number in range(after, len(self._head)):
                if seen(self._head[number]):
                    return number + 1
            after = len(self._head)
            if self._closed:
                return after
            # The reader looks at what comes, so that this thread sleeps through other lines.
            self._awaited, self._found = seen, None
            while self._found is None and not self._closed:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            self._awaited = None
            return len(self._head) if self._found is None else self._found

    def close(self, timeout_s: float = 2.0) -> None:
        """Wait for the reader to drain what the ended process left, then close the pipe.

        A grandchild may hold the pipe open for ever; the reader is then left behind as a daemon
        on a closed descriptor rather than waited for.
        """
        self._reader.join(timeout_s)
        if not self._reader.is_alive():
            self._stream.close()


def _readable(raw: bytes) -> str:
    """A line without what would move a terminal's cursor or change its colours."""
    text = raw.decode("utf-8", "replace").rstrip("\r")
    if text.isprintable():
        return text
    return _ESCAPES.sub("", text).translate(_CONTROLS)
