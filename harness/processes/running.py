"""Running programs to their end: what they say collected, and all that they started ended."""

import math
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from harness.errors import SourceUnavailableError
from harness.processes.tree import group_options, kill_tree

WINDOWS_CRASH: Final = 0xC0000000
"""From here on an exit status of Windows is an exception or a fault of the loader."""

_PREFIX: Final = "llama-harness-"
_POLL_S: Final = 0.05


class CancelledError(Exception):
    """The user gave up; whatever was under way has ended."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a program said that ran to its end.

    Attributes:
        returncode: Its exit code, negative for a signal.
        stdout: What it wrote to standard output, or to both streams where they are merged.
        stderr: What it wrote to standard error.
        raw: Its standard output as bytes.
    """

    returncode: int
    stdout: str
    stderr: str
    raw: bytes


def ask(
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    directory: Path | None = None,
    given: bytes = b"",
    merged: bool = False,
    watch: Callable[[IO[bytes], IO[bytes]], None] | None = None,
) -> Answer:
    """Run a program to its end, and end whatever it leaves running in its group.

    Args:
        command: The program and its arguments.
        timeout_s: Seconds after which it is killed with all that it started.
        env: Its variables; this process's own if None.
        directory: Its working directory; this process's own if None.
        given: What it reads on standard input.
        merged: Whether both streams are one.
        watch: Called again and again with what it has written to each stream so far; what this
            raises ends the program.

    Raises:
        TimeoutError: Its time was up. Like all others that follow, an ``OSError``.
        OSError: It cannot be started.
        ValueError: The command or a variable holds a NUL byte.
    """
    deadline = time.monotonic() + timeout_s
    # Files, not pipes: what the program leaves behind could keep a pipe open after it ended.
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as place:
        stdin, stdout, stderr = (Path(place, name) for name in ("stdin", "stdout", "stderr"))
        stdin.write_bytes(given)
        with stdin.open("rb") as reads, stdout.open("wb") as says, stderr.open("wb") as warns:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=directory,
                env=None if env is None else dict(env),
                stdin=reads,
                stdout=says,
                stderr=subprocess.STDOUT if merged else warns,
                **group_options(),
            )
        try:
            with stdout.open("rb") as said, stderr.open("rb") as warned:
                runs = True
                while runs:
                    left_s = deadline - time.monotonic()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(max(0, min(_POLL_S, left_s)))
                    runs = process.poll() is None
                    if watch:
                        watch(said, warned)
                    if runs and left_s <= 0:
                        raise TimeoutError(str(subprocess.TimeoutExpired(process.args, timeout_s)))
        finally:
            kill_tree(process)
        return Answer(
            returncode=process.returncode,
            stdout=stdout.read_text(encoding="utf-8", errors="replace"),
            stderr=stderr.read_text(encoding="utf-8", errors="replace"),
            raw=stdout.read_bytes(),
        )


def ask_server(
    binary: Path,
    question: str,
    *,
    env: Mapping[str, str],
    timeout_s: float,
    merged: bool = False,
) -> Answer:
    """Run a ``llama-server`` that answers one option and ends; see ``ask``.

    It has a working directory of its own, for the core file of one that crashes.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as place:
        return ask(
            [binary.absolute(), question],
            timeout_s=timeout_s,
            env=env,
            directory=Path(place),
            merged=merged,
        )


def run_program(
    command: Sequence[str | Path],
    *,
    directory: Path,
    cancelled: threading.Event,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Answer:
    """Run a compiler or the like, for as long as it takes, with both streams merged.

    Args:
        command: The program and its arguments.
        directory: Its working directory.
        cancelled: Ends the program and all its children when set.
        env: Its variables; this process's own if None.
        on_line: Told each line of output as it comes.

    Raises:
        SourceUnavailableError: It cannot be started.
        CancelledError: ``cancelled`` was set.
    """
    begun = b""

    def watch(said: IO[bytes], _: IO[bytes]) -> None:
        nonlocal begun
        if cancelled.is_set():
            raise CancelledError
        if on_line:
            *lines, begun = (begun + said.read()).split(b"\n")
            for line in lines:
                on_line(line.removesuffix(b"\r").decode("utf-8", errors="replace"))

    try:
        return ask(
            command, timeout_s=math.inf, env=env, directory=directory, merged=True, watch=watch
        )
    except OSError as error:
        raise SourceUnavailableError(f"{command[0]}: cannot be started: {error}") from error


def status_text(status: int) -> str:
    """Write an exit status; what Windows ends a program by is known by its hexadecimal number."""
    return f"0x{status:X}" if status >= WINDOWS_CRASH else str(status)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
