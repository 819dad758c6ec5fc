"""``command:PROGRAM …``: a flag generator in any language, asked over standard input and output.

``docs/subject-protocol.md`` describes the exchange; the structures below are its schema.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, Literal

import msgspec

from harness.config.json_schema import schema_of
from harness.errors import SubjectError
from harness.model import LaunchPlan, LaunchTarget, LoadRequest, Mode
from harness.processes.running import ask, status_text
from harness.subjects.plans import checked_plan

PROTOCOL: Final = 2
TIMEOUT_S: Final = 30.0
"""How long one plan may take."""

OUTPUT_LIMIT: Final = 1024 * 1024
"""Bytes that a program may write to each of standard output and standard error."""

_SHOWN: Final = 200


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked the application for; see ``harness.model.LoadRequest``."""

    model: str
    mode: str | None
    draft_n_max: int | None
    extra_args: list[str]
    context_length: int
    cache_type: str | None
    chat_template: str | None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is for: the program to probe, the files and the address."""

    binary: str
    model_path: str
    draft_model_path: str | None
    host: str
    port: int


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The one JSON object on the program's standard input."""

    protocol: Literal[2]
    request: Wish
    target: Target


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one JSON object on the program's standard output.

    Attributes:
        argv: Arguments of the server, without the program.
        env: Variables to add to the cell's environment.
        resolved_mode: The mode that the program settled on.
        reason: Why the plan gives less than was asked, for the user.
        expects: By setting, what the server will be set to.
    """

    argv: list[str]
    env: dict[str, str] = {}
    resolved_mode: Mode | None = None
    reason: str | None = None
    expects: dict[str, Any] = {}


@contextmanager
def open(rest: str) -> Iterator["CommandSubject"]:  # noqa: A001 - every subject module has it
    """Open the subject.

    Args:
        rest: A program and its arguments, quoted as in a shell.

    Raises:
        SubjectError: There is no such program.
    """
    yield CommandSubject(f"command:{rest}", _parse(rest))


def _parse(line: str) -> tuple[str, ...]:
    try:
        words = shlex.split(line, posix=sys.platform != "win32")
    except ValueError as error:
        raise SubjectError(f"command:{line}: {error}; quote as in a shell") from error
    if not words:
        raise SubjectError("command: names no program; write command:PROGRAM ARGUMENTS…")
    program = shutil.which(words[0])
    if program is None:
        raise SubjectError(
            f"command:{line}: there is no program {words[0]!r} here or on PATH, or it is not "
            "executable"
        )
    return (os.path.abspath(program), *words[1:])  # noqa: PTH100 - resolving would follow links


class CommandSubject:
    """A program that is started once per plan, in the cell's environment.

    Its working directory is the user's, so that relative paths in its arguments mean what they
    mean in a shell.
    """

    def __init__(self, name: str, command: tuple[str, ...], timeout_s: float = TIMEOUT_S) -> None:
        self.name = name
        self._command = command
        self._timeout_s = timeout_s

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        """Ask the program.

        Raises:
            SubjectError: It cannot be started, crashed, took too long, printed too much, or
                printed something that is not a plan.
        """
        try:
            done = ask(
                self._command,
                env=target.env,
                given=msgspec.json.encode(question(request, target)) + b"\n",
                timeout_s=self._timeout_s,
                watch=self._bound,
            )
        except TimeoutError as error:
            raise SubjectError(
                f"{self.name}: gave no plan within {self._timeout_s:g} s; killed"
            ) from error
        except (OSError, ValueError) as error:
            raise SubjectError(f"{self.name}: cannot be started: {error}") from error
        if done.returncode != 0:
            raise SubjectError(f"{self.name}: {_ending(done.returncode)}{_last_line(done.stderr)}")
        return self._read(done.raw)

    def _bound(self, *written: IO[bytes]) -> None:
        if any(stream.seek(0, os.SEEK_END) > OUTPUT_LIMIT for stream in written):
            raise SubjectError(
                f"{self.name}: printed more than {OUTPUT_LIMIT} bytes instead of a plan; killed"
            )

    def _read(self, output: bytes) -> LaunchPlan:
        try:
            answer = msgspec.json.decode(output, type=Answer)
        except msgspec.ValidationError as error:
            raise SubjectError(f"{self.name}: the plan is not one: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SubjectError(
                f"{self.name}: printed no JSON ({error}): {_shown(output)}"
            ) from error
        return checked_plan(
            self.name,
            answer.argv,
            env=answer.env,
            resolved_mode=answer.resolved_mode,
            reason=answer.reason,
            expects=answer.expects,
        )


def question(request: LoadRequest, target: LaunchTarget) -> Question:
    """A load request and its target as the protocol has them."""
    draft = target.model.draft_path
    return Question(
        protocol=2,
        request=msgspec.convert(request, Wish, from_attributes=True),
        target=Target(
            binary=str(target.binary),
            model_path=str(target.model.path),
            draft_model_path=None if draft is None else str(draft),
            host="127.0.0.1",
            port=target.port,
        ),
    )


def schema() -> bytes:
    """The JSON Schema of both sides of the protocol, as kept in ``docs``."""
    return schema_of((Question, Answer), title=f"llama-harness subject protocol {PROTOCOL}")


def _ending(status: int) -> str:
    if status < 0:
        return f"was killed by signal {-status}"
    return f"exited with status {status_text(status)}"


def _last_line(errors: str) -> str:
    lines = errors.strip().splitlines()
    return f": {lines[-1][:_SHOWN]}" if lines else ""


def _shown(output: bytes) -> str:
    text = output.decode(errors="replace").strip()
    return repr(text[:_SHOWN]) if text else "its standard output is empty"
