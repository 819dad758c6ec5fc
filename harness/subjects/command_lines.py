"""Static command lines: where the server's arguments begin, and what of them is the cell's."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from harness.errors import SubjectError
from harness.flags.families import DRAFT_MODEL, MODEL, PORT, REMOTE_DRAFT_MODEL
from harness.model import LaunchPlan, LaunchTarget, LoadRequest, Provenance
from harness.subjects.plans import checked_plan, is_server_program

MODEL_FLAGS: Final = frozenset(MODEL.flags)
DRAFT_FLAGS: Final = frozenset(DRAFT_MODEL.flags)
REMOTE_DRAFT_FLAGS: Final = frozenset(REMOTE_DRAFT_MODEL.flags)
PORT_FLAGS: Final = frozenset(PORT.flags)

_CONTINUED: Final = re.compile(r"\\\n")


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """A command line as its file has it.

    Attributes:
        words: Arguments after the program.
        env: Variables that the file sets.
        whole: Whether it is all that the server is started with, so that no model is added.
    """

    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


def parse_command_line(text: str, origin: str) -> CommandLine:
    """A shell-like command line: quotes, backslashes at line ends, ``#`` comment lines.

    Raises:
        SubjectError: A quote stays open, or it cannot be told where the server's arguments begin.
    """
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    try:
        words = shlex.split(_CONTINUED.sub(" ", kept))
    except ValueError as error:
        raise SubjectError(f"{origin}: {error}") from error
    return server_arguments(words, origin)


def server_arguments(words: Sequence[str], origin: str) -> CommandLine:
    """Split off assignments of variables and the program before the server's arguments.

    A server may be told everything by variables.

    Raises:
        SubjectError: There is nothing, or something else than a llama-server is run.
    """
    env: dict[str, str] = {}
    rest = list(words)
    while rest and _is_assignment(rest[0]):
        variable, _, value = rest.pop(0).partition("=")
        env[variable] = value
    program = next((i for i, word in enumerate(rest) if is_server_program(word)), None)
    if program is not None and not any(word.startswith("-") for word in rest[:program]):
        rest = rest[program + 1 :]
    if not rest and not env:
        raise SubjectError(f"{origin}: holds no arguments of a llama-server")
    if rest and not rest[0].startswith("-"):
        raise SubjectError(
            f"{origin}: cannot tell where the arguments of the llama-server begin in "
            f"{shlex.join(rest)[:120]!r}; begin with the program or with its first flag"
        )
    return CommandLine(words=tuple(rest), env=env)


def _is_assignment(word: str) -> bool:
    variable, equals, _ = word.partition("=")
    return bool(equals) and variable.isidentifier()


class StaticSubject:
    """A command line that is the same for every load request, but for model and port."""

    def __init__(self, name: str, line: CommandLine) -> None:
        self.name = name
        self.line = line

    def plan(
        self,
        request: LoadRequest,  # noqa: ARG002 - a static command line asks for what it asks for
        target: LaunchTarget,  # noqa: ARG002 - and was written for another host
    ) -> LaunchPlan:
        """The command line as it was written; whoever launches it fits it to this host.

        Raises:
            SubjectError: No process can be given it.
        """
        line = self.line
        plan = checked_plan(self.name, line.words, env=line.env)
        provenance = Provenance.WHOLE if line.whole else Provenance.FRAGMENT
        return replace(plan, provenance=provenance)
