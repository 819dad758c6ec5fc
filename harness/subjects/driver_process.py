"""The process in which Studio runs: it answers JSON lines with JSON lines, each within a time."""

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.errors import SubjectError
from harness.processes.tree import group_options, kill_tree

START_TIMEOUT_S: Final = 90.0
_LINE_LIMIT: Final = 4 * 1024 * 1024
_END_S: Final = 10.0


class DriverProcess:
    """One long-lived child; every question has a time limit, and a child that broke it is ended.

    Args:
        name: Who the child is, for messages.
        command: Program and arguments.
        env: The child's whole environment.

    Raises:
        SubjectError: It cannot be started, or says that it cannot drive this version.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._name = name
        self._scratch = tempfile.TemporaryDirectory(
            prefix="llama-harness-unsloth-", ignore_cleanup_errors=True
        )
        self._log = Path(self._scratch.name, "driver.log")
        try:
            with self._log.open("wb") as log:
                self._child = subprocess.Popen(
                    list(command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=dict(env),
                    cwd=self._scratch.name,
                    **group_options(),
                )
        except (OSError, ValueError) as error:
            self._scratch.cleanup()
            raise SubjectError(f"{name}: cannot start {command[0]}: {error}") from error
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        hello = self._answer(START_TIMEOUT_S)
        if not hello.get("ready"):
            self.close()
            raise SubjectError(f"{name}: cannot be driven: {hello.get('error')}")

    def _read(self) -> None:
        assert self._child.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # closed under the reader
            while line := self._child.stdout.readline(_LINE_LIMIT):
                self._answers.put(line)
        self._answers.put(b"")

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child.poll() is None

    def ask(self, operation: str, timeout_s: float, **details: Any) -> dict[str, Any]:
        """One operation of the driver.

        Raises:
            SubjectError: It ended, answered nothing in time or no JSON object, or with an error.
        """
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it ended; the answer says how
            self._child.stdin.write(json.dumps({"op": operation, **details}).encode() + b"\n")
            self._child.stdin.flush()
        answer = self._answer(timeout_s)
        if "error" in answer:
            raise SubjectError(f"{self._name}: {answer['error']}")
        return answer

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self.close(patience_s=0)
            raise SubjectError(f"{self._name}: no answer within {timeout_s:g} s") from None
        if not line:
            self._end(_END_S)
            said = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            self.close()
            last = f": {said[-1].rstrip()}" if said else ""
            raise SubjectError(f"{self._name}: ended with status {self._child.returncode}{last}")
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            self.close(patience_s=0)
            raise SubjectError(f"{self._name}: answered {line[:200]!r}, which is no JSON object")
        return value

    def close(self, patience_s: float = _END_S) -> None:
        """End the child and every server that it started; by force if it does not listen."""
        self._end(patience_s)
        self._reader.join(timeout=1)
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._scratch.cleanup()

    def _end(self, patience_s: float) -> None:
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        try:
            self._child.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            kill_tree(self._child)
