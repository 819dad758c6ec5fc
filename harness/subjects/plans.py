"""What every launch plan must be, wherever it came from."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from harness.errors import SubjectError
from harness.model import LaunchPlan, Mode


def checked_plan(
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    resolved_mode: Mode | None = None,
    reason: str | None = None,
    may_be_program: bool = False,
    expects: Mapping[str, Any] | None = None,
) -> LaunchPlan:
    """A launch plan that an operating system can start.

    Args:
        name: The subject's name, for messages.
        argv: The arguments.
        env: The variables.
        resolved_mode: See LaunchPlan.
        reason: See LaunchPlan.
        expects: See LaunchPlan.
        may_be_program: Whether the first argument may read as the program: a container's command
            that names it again hands it on as an argument.

    Raises:
        SubjectError: An argument or variable holds a NUL byte, a variable's name is none, or the
            first argument is the program, which a plan leaves out.
    """
    for index, argument in enumerate(argv):
        if "\0" in argument:
            raise SubjectError(
                f"{name}: argument {index} ({argument!r}) holds a NUL byte, which no program can "
                "be given"
            )
    if argv and not may_be_program and is_server_program(argv[0]):
        raise SubjectError(
            f"{name}: the first argument is the program {argv[0]!r}; a plan's argv begins after it"
        )
    variables = dict(env or {})
    for variable, value in variables.items():
        if not variable or "=" in variable or "\0" in variable or "\0" in value:
            raise SubjectError(f"{name}: {variable!r}={value!r} is not an environment variable")
    return LaunchPlan(
        argv=tuple(argv),
        env=variables,
        resolved_mode=resolved_mode,
        reason=reason,
        expects=expects or {},
    )


def is_server_program(word: str) -> bool:
    """Whether a word of a command line names a llama-server program."""
    if word.startswith("-"):
        return False
    names = {PurePosixPath(word).name.lower(), PureWindowsPath(word).name.lower()}
    return bool(names & {"llama-server", "llama-server.exe"})
