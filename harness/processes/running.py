"""Running compilers and the like: output collected, and everything ended when the user gives up."""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SourceUnavailableError
from harness.processes.tree import group_options, kill_tree

_POLL_S = 0.2


class CancelledError(Exception):
    """The user gave up; whatever was under way has ended."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A program that ran to its end.

    Attributes:
        returncode: Its exit code, negative for a signal.
        output: What it wrote to both streams.
    """

    returncode: int
    output: str


def run_program(
    command: Sequence[str | Path],
    *,
    directory: Path,
    cancelled: threading.Event,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Finished:
    """Run a program to its end.

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
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env=dict(env) if env is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            **group_options(),
        )
    except OSError as error:
        raise SourceUnavailableError(f"{command[0]}: cannot be started: {error}") from error
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if on_line:
                on_line(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
            _stop_if(cancelled)
        reader.join()
    except BaseException:
        kill_tree(process)
        raise
    finally:
        reader.join(5)
        if process.stdout:
            process.stdout.close()
    return Finished(returncode=process.returncode, output="".join(lines))


def _stop_if(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise CancelledError


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
