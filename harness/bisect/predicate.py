"""What is asked of each point: a cell anchored to its failure, or a command of the user's."""

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from harness.bisect.journal import CellQuestion, CommandQuestion
from harness.bisect.search import Answer
from harness.bisect.trial import LOG_LINES, Outcome, Signature, Trial, judge
from harness.errors import BisectionError, UsageError
from harness.model import Cell, CellResult
from harness.server.process import ServerProcess

BUILD_VARIABLE: Final = "LLAMA_HARNESS_BUILD"
SUBJECT_VARIABLE: Final = "LLAMA_HARNESS_SUBJECT"
BINARY_VARIABLE: Final = "LLAMA_SERVER"

GOOD_STATUS: Final = 0
SKIP_STATUS: Final = 125
ABORT_STATUS: Final = 128
_POLL_S: Final = 0.02


class Predicate(Protocol):
    """Runs a trial once."""

    def run(self, trial: Trial, anchor: Signature | None) -> Outcome:
        """Run ``trial``, whose build and subject have been acquired.

        Args:
            trial: What to run.
            anchor: The failure's signature; None at the bad end, where it is taken.

        Raises:
            BisectionError: The whole bisection has to stop.
        """


class CellPredicate:
    """Runs one cell; only the failure of the bad end is bad."""

    def __init__(self, question: CellQuestion, run_cell: Callable[[Cell], CellResult]) -> None:
        self._question = question
        self._run_cell = run_cell

    def run(self, trial: Trial, anchor: Signature | None) -> Outcome:
        """See ``Predicate``."""
        cell = Cell(
            build=trial.build,
            subject=trial.subject,
            environment=self._question.environment,
            request=self._question.request,
        )
        return judge(self._run_cell(cell), anchor, self._question.check)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A build's program and the variables it needs to start."""

    binary: Path
    env: Mapping[str, str]


class CommandPredicate:
    """Runs a command that answers with its exit status, as ``git bisect run`` has it.

    0 is good, 125 untestable, 128 and above (or a signal) stops the bisection, anything else bad.
    The command finds the build's id in ``LLAMA_HARNESS_BUILD``, the path of its program in
    ``LLAMA_SERVER`` and the subject in ``LLAMA_HARNESS_SUBJECT``.

    Args:
        question: The command.
        program: Gives the program of an acquired build.
        env: Variables of the command.
    """

    def __init__(
        self,
        question: CommandQuestion,
        program: Callable[[str], Program],
        env: Mapping[str, str],
    ) -> None:
        self._question = question
        self._program = program
        self._env = env

    def run(self, trial: Trial, anchor: Signature | None) -> Outcome:  # noqa: ARG002 - no signature
        """See ``Predicate``.

        Raises:
            UsageError: The command cannot be started.
        """
        program = self._program(trial.build)
        env = {
            **self._env,
            **program.env,
            BUILD_VARIABLE: trial.build,
            SUBJECT_VARIABLE: trial.subject,
            BINARY_VARIABLE: str(program.binary),
        }
        name, *rest = self._question.command
        found = shutil.which(name, path=self._env.get("PATH", os.defpath))
        try:
            process = ServerProcess(Path(found or name), rest, env, Path.cwd())
        except OSError as error:
            raise UsageError(
                f"the command {name!r} cannot be started: {error.strerror or error}; name a "
                "program on PATH or give its path"
            ) from error
        status, log = _finish(process, self._question.timeout_s)
        return self._outcome(trial, status, log)

    def _outcome(self, trial: Trial, status: int | None, log: tuple[str, ...]) -> Outcome:
        argv = self._question.command
        if status is None:
            reason = f"the command took longer than {self._question.timeout_s:g} s"
            return Outcome(answer=Answer.UNTESTABLE, reason=reason, argv=argv, log=log)
        if status < 0 or status >= ABORT_STATUS:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            last = f": {log[-1]}" if log else ""
            raise BisectionError(
                f"the command asked to stop on {trial.build} ({how}){last}; "
                "`bisect resume` goes on at this build"
            )
        reason = f"the command ended with status {status}"
        if status == GOOD_STATUS:
            return Outcome(answer=Answer.GOOD, reason=reason, argv=argv, log=log)
        if status == SKIP_STATUS:
            return Outcome(answer=Answer.UNTESTABLE, reason=reason, argv=argv, log=log)
        return Outcome(
            answer=Answer.BAD,
            reason=reason,
            signature=Signature(check="command", kind=f"status {status}"),
            argv=argv,
            log=log,
        )


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
