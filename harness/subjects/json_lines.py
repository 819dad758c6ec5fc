"""A child process that answers JSON lines with JSON lines, kept on a leash."""

import contextlib
import json
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from harness.errors import SubjectError
from harness.processes.tree import group_options, kill_tree

_LINE_LIMIT: Final = 4 * 1024 * 1024
_TAIL_LINES: Final = 20
_END_S: Final = 10.0


class JsonLinesProcess:
    """One long-lived child; every question has a time limit, and a child that broke it is ended.

    Args:
        name: Who the child is, for messages.
        command: Program and arguments.
        env: The child's whole environment.
        cwd: Its working directory.

    Raises:
        SubjectError: The program cannot be started.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path
    ) -> None:
        self._name = name
        try:
            self._child = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                cwd=cwd,
                **group_options(),
            )
        except (OSError, ValueError) as error:
            raise SubjectError(f"{name}: cannot start {command[0]}: {error}") from error
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._readers = [
            threading.Thread(target=self._read_answers, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_answers(self) -> None:
        for line in _lines(self._child.stdout):
            self._answers.put(line)
        self._answers.put(b"")

    def _read_errors(self) -> None:
        for line in _lines(self._child.stderr):
            self._tail.append(line.decode(errors="replace").rstrip())

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child.poll() is None

    def answer(self, timeout_s: float) -> dict[str, Any]:
        """The next line the child prints.

        Raises:
            SubjectError: It printed none in time, ended, or printed no JSON object.
        """
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self.close(patience_s=0)
            raise SubjectError(f"{self._name}: no answer within {timeout_s:g} s") from None
        if not line:
            self.close()
            raise SubjectError(
                f"{self._name}: ended with status {self._child.returncode}{self._last_words()}"
            )
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            self.close(patience_s=0)
            raise SubjectError(f"{self._name}: answered {line[:200]!r}, which is no JSON object")
        return value

    def ask(self, question: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send one line and read one.

        Raises:
            SubjectError: See ``answer``.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(question).encode() + b"\n")
            self._child.stdin.flush()
        except (OSError, ValueError):  # it ended; the answer says how
            pass
        return self.answer(timeout_s)

    def _last_words(self) -> str:
        self._readers[1].join(timeout=1)
        return f": {self._tail[-1]}" if self._tail else ""

    def close(self, patience_s: float = _END_S) -> None:
        """End the child: by the end of its input, and by force where it does not listen."""
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        try:
            self._child.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            kill_tree(self._child)
        for reader in self._readers:
            reader.join(timeout=1)
        for stream in (self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()


def _lines(stream: IO[bytes] | None) -> "list[bytes] | Any":
    assert stream is not None
    with contextlib.suppress(ValueError, OSError):  # closed under the reader
        while line := stream.readline(_LINE_LIMIT):
            yield line
