"""Subjects: the flag generators under test.

A subject is named by a spec: ``reference``, ``reference@A``, ``unsloth==VERSION``,
``unsloth@PATH``, ``command:PROGRAM ...``, ``argv:FILE`` or ``recording:FILE``.
"""

import re
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from harness.config.paths import is_file
from harness.errors import UsageError
from harness.model import DemandedBy, LaunchPlan, LaunchTarget, LoadRequest

__all__ = ["Subject", "check_file", "check_subject", "demanded_by", "open_subject"]


class Subject(Protocol):
    """Turns what a user asked for into a command line."""

    @property
    def name(self) -> str:
        """The spec it was opened with."""

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        """Plan one launch.

        Raises:
            SubjectError: The subject did not produce a plan; the message says what it did.
        """


@runtime_checkable
class Costly(Subject, Protocol):
    """A subject whose plans take long enough to be remembered by what it is made of."""

    @property
    def content(self) -> str:
        """The digest of all files that its plans depend on."""


_ATTACHED = {"reference": "reference", "unsloth": "unsloth"}
"""Kinds whose spec goes on with ``@`` or ``==``; the rest is passed on with it."""

_COLON = {"command": "command", "argv": "argv_file", "recording": "recording"}
"""Kinds whose spec goes on after a colon; the rest is passed on without it."""

_VERSION_AS_PATH: Final = re.compile(r"unsloth@\d+(\.\d+)+")


def open_subject(spec: str) -> AbstractContextManager[Subject]:
    """Open the subject that a spec names; leaving the context ends what it started.

    Raises:
        UsageError: No such kind of subject.
        SubjectError: The subject is not there or cannot be driven (on entering at the latest).
    """
    module, rest = _split(spec)
    opened: AbstractContextManager[Subject] = import_module(f"harness.subjects.{module}").open(rest)
    return opened


def is_static(spec: str) -> bool:
    """Whether a spec names a command line that is the same whatever is asked for.

    Raises:
        UsageError: No such kind of subject.
    """
    return _split(spec)[0] in {"argv_file", "recording"}


def check_subject(spec: str) -> None:
    """See whether a spec is of a known kind, without opening anything.

    Raises:
        UsageError: It is not.
    """
    _split(spec)


def check_file(spec: str) -> None:
    """See whether the command line or recording that a spec names can be read.

    Other subjects are not opened: that takes time, or starts something.

    Raises:
        UsageError: No such kind of subject.
        SubjectError: It cannot be read.
    """
    if is_static(spec):
        with open_subject(spec):
            pass


CONTRACTS: Final = {"studio": DemandedBy.CONTRACT, "own": DemandedBy.SUBJECT}
"""What ``--contract`` chooses from."""


def demanded_by(spec: str, contract: str = "") -> DemandedBy:
    """Who says what must hold of a subject's cells.

    Args:
        spec: Of the subject.
        contract: A name of ``CONTRACTS``. Empty for the usual one: the contract is the policy of
            Unsloth Studio, which only Studio and the reference follow.

    Raises:
        UsageError: No contract has that name.
    """
    if contract and contract not in CONTRACTS:
        raise UsageError(f"--contract {contract!r}: there are {', '.join(CONTRACTS)}")
    follows = spec.startswith(tuple(_ATTACHED))
    return CONTRACTS[contract or ("studio" if follows else "own")]


def _split(spec: str) -> tuple[str, str]:
    kind, colon, rest = spec.partition(":")
    if colon and kind in _COLON:
        if not rest.strip():
            raise UsageError(
                f"subject {spec!r}: nothing follows the colon; see --help for the forms"
            )
        return _COLON[kind], rest
    if is_file(Path(spec.partition("#")[0])):
        return _COLON["argv"], spec  # a file by itself holds command lines
    for name, module in _ATTACHED.items():
        rest = spec.removeprefix(name)
        if spec.startswith(name) and (not rest or rest.startswith(("@", "=="))):
            if _VERSION_AS_PATH.fullmatch(spec):
                raise UsageError(
                    f"subject {spec!r}: what follows the @ is the path of a checkout; a release is "
                    f"written {spec.replace('@', '==')}, a directory of that name "
                    f"{spec.replace('@', '@./')}"
                )
            return module, rest
    raise UsageError(
        f"subject {spec!r} is of no known kind; use reference, reference@VARIANT, "
        "unsloth==VERSION, unsloth@PATH, command:PROGRAM, argv:FILE or recording:FILE"
    )
