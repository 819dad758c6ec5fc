"""Asks a command of the user's about a point."""

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.bisect.journal import CommandQuestion
from harness.bisect.search import Answer
from harness.bisect.trial import LOG_LINES, Outcome, Signature, Trial
from harness.builds import AcquiredBuild
from harness.errors import BisectionError, UsageError
from harness.processes.running import status_text
from harness.server.process import ServerProcess

BUILD_VARIABLE: Final = "LLAMA_HARNESS_BUILD"
SUBJECT_VARIABLE: Final = "LLAMA_HARNESS_SUBJECT"
BINARY_VARIABLE: Final = "LLAMA_SERVER"

ABORT_STATUS: Final = 128
_POLL_S: Final = 0.02


def run_command(
    question: CommandQuestion, trial: Trial, build: AcquiredBuild, env: Mapping[str, str]
) -> Outcome:
    """Run a command that answers with its exit status, as ``git bisect run`` has it.

    0 is good, 125 untestable, 128 and above (or a signal) stops the bisection, anything else bad.
    The command finds the build's id in ``LLAMA_HARNESS_BUILD``, the path of its program in
    ``LLAMA_SERVER`` and the subject in ``LLAMA_HARNESS_SUBJECT``, beside the variables in ``env``.

    Raises:
        BisectionError: The command asks to stop.
        UsageError: It cannot be started.
    """
    argv = question.command
    found = shutil.which(argv[0], path=env.get("PATH", os.defpath))
    variables = {
        **env,
        **build.env,
        BUILD_VARIABLE: trial.build,
        SUBJECT_VARIABLE: trial.subject,
        BINARY_VARIABLE: str(build.binary),
    }
    try:
        process = ServerProcess(Path(found or argv[0]), argv[1:], variables, Path.cwd())
    except OSError as error:
        raise UsageError(
            f"the command {argv[0]!r} cannot be started: {error.strerror or error}; name a "
            "program on PATH or give its path"
        ) from error
    status, log = _finish(process, question.timeout_s)
    if status is not None and not 0 <= status < ABORT_STATUS:
        how = f"signal {-status}" if status < 0 else f"status {status_text(status)}"
        last = f": {log[-1]}" if log else ""
        raise BisectionError(
            f"the command asked to stop on {trial.build} ({how}){last}; "
            "`bisect resume` goes on at this build"
        )
    reason, signature = f"the command ended with status {status}", None
    match status:
        case None:
            answer = Answer.UNTESTABLE
            reason = f"the command took longer than {question.timeout_s:g} s"
        case 0:
            answer = Answer.GOOD
        case 125:
            answer = Answer.UNTESTABLE
        case _:
            answer = Answer.BAD
            signature = Signature(check="command", kind=f"status {status}")
    return Outcome(answer=answer, reason=reason, signature=signature, argv=argv, log=log)


def _finish(process: ServerProcess, timeout_s: float) -> tuple[int | None, tuple[str, ...]]:
    """Wait for the end; the exit status (None after the time limit) and the last lines."""
    lines: deque[str] = deque(maxlen=LOG_LINES)

    def read() -> None:
        for raw in process.output:
            lines.append(raw.decode("utf-8", errors="replace").rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout_s
    try:
        while (status := process.poll()) is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    finally:
        # Whatever the command left running goes with it, on success too.
        process.kill()
        reader.join(timeout=5)
        if not reader.is_alive():
            process.output.close()
    return status, tuple(lines)
