"""Static command lines as subjects: the same whatever a load request asks for."""

from dataclasses import replace
from typing import Final

from harness.flags.families import DRAFT_MODEL, HOST, MODEL, PORT, REMOTE_DRAFT_MODEL
from harness.formats import CommandLine, server_arguments
from harness.model import LaunchPlan, LaunchTarget, LoadRequest, Provenance
from harness.subjects.plans import checked_plan

MODEL_FLAGS: Final = frozenset(MODEL.flags)
DRAFT_FLAGS: Final = frozenset(DRAFT_MODEL.flags)
REMOTE_DRAFT_FLAGS: Final = frozenset(REMOTE_DRAFT_MODEL.flags)
PORT_FLAGS: Final = frozenset(PORT.flags)
_OF_THE_ADDRESS: Final = frozenset({*PORT.flags, *HOST.flags})

__all__ = ["CommandLine", "StaticSubject", "server_arguments"]


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
        return replace(plan, provenance=Provenance.WHOLE if whole else Provenance.FRAGMENT)


def is_bare(words: tuple[str, ...]) -> bool:
    """Whether a command line sets at most where to listen: newer builds become a router then."""
    return all(word in _OF_THE_ADDRESS for word in words[::2]) and len(words) % 2 == 0
