"""Static command lines as subjects: the same whatever a load request asks for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from harness.config.paths import is_file
from harness.flags.families import HOST, MODEL, PORT
from harness.formats import CommandLine, server_arguments
from harness.model import LaunchPlan, LaunchTarget, LoadRequest, Provenance
from harness.subjects.plans import checked_plan

MODEL_FLAGS: Final = frozenset(MODEL.flags)
PORT_FLAGS: Final = frozenset(PORT.flags)
_OF_THE_ADDRESS: Final = frozenset({*PORT.flags, *HOST.flags})

_PRESET_LIMIT: Final = 1024 * 1024
"""Bytes of a file that may be a preset; a model is none."""

__all__ = ["CommandLine", "StaticSubject", "server_arguments"]


@runtime_checkable
class OnBuilds(Protocol):
    """A subject whose command line is another on each build, whatever is asked for."""

    @property
    def lines(self) -> tuple[CommandLine, ...]:
        """All that it has."""

    def line_on(self, build: str, environment: str) -> CommandLine | None:
        """The one for a build in an environment; None where it has none."""


class StaticSubject:
    """A command line that is the same for every load request.

    Args:
        name: What the subject is called.
        line: The command line as it was written.
        has_program: Whether the program stood before it, so that it is all there.
    """

    def __init__(self, name: str, line: CommandLine, *, has_program: bool = False) -> None:
        self.name = name
        self.line = line
        self._has_program = has_program

    def plan(
        self,
        request: LoadRequest,  # noqa: ARG002 - a static command line asks for what it asks for
        target: LaunchTarget,  # noqa: ARG002 - and was written for another host
    ) -> LaunchPlan:
        """The command line as it was written; whoever launches it fits it to this host.

        Raises:
            SubjectError: No process can be given it.
        """
        fault = self.line.fault
        words = fault.words if fault else self.line.words
        plan = checked_plan(self.name, words, env=self.line.env, may_be_program=True)
        whole = self._has_program and is_bare(words)
        provenance = Provenance.WHOLE if whole else Provenance.FRAGMENT
        return replace(plan, provenance=provenance, files=self.line.files)


def line_of(subject: object, build: str = "", environment: str = "") -> CommandLine | None:
    """The command line that a subject always gives; None for one that makes its own.

    Args:
        subject: A subject.
        build: Of a cell: a recording has another command line for each; empty for one that is the
            same on all.
        environment: Of that cell.
    """
    if build and isinstance(subject, OnBuilds):
        return subject.line_on(build, environment)
    line = getattr(subject, "line", None)
    return line if isinstance(line, CommandLine) else None


def words_of(subject: object) -> Iterator[str]:
    """Every word of a subject's command lines, their variables and the files that they name."""
    line = line_of(subject)
    lines = subject.lines if isinstance(subject, OnBuilds) else (line,) if line else ()
    for one in lines:
        for word in (*one.words, *one.env, *one.env.values()):
            yield word
            yield from (one.files.get(word) or _preset(word)).split()


def _preset(word: str) -> str:
    path = Path(word)
    if path.suffix == ".ini" and is_file(path) and path.stat().st_size <= _PRESET_LIMIT:
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def is_bare(words: tuple[str, ...]) -> bool:
    """Whether a command line sets at most where to listen: newer builds become a router then."""
    return all(word in _OF_THE_ADDRESS for word in words[::2]) and len(words) % 2 == 0
