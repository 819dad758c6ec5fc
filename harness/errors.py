"""Every error a user can meet, each with the exit code it ends a command with.

Exit codes of all commands: 0 every cell passes (or is degraded or known), 1 some cell fails, a
relation between cells does not hold or a ledger entry is stale, 2 the command was used wrongly,
3 the harness could not tell or a cell is flaky, 4 an upgrade needs what nothing on the new build
can express, 130 interrupted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

EXIT_OK: Final = 0
EXIT_FAIL: Final = 1
EXIT_USAGE: Final = 2
EXIT_CANNOT_TELL: Final = 3
EXIT_NOTHING_SAYS_IT: Final = 4
"""An upgrade needs a change that nothing on the new build can express."""
EXIT_INTERRUPTED: Final = 130


class HarnessError(Exception):
    """Base of all errors with a message meant for the user.

    The message is one line that names the thing, where it came from and what to do.
    """

    exit_code: ClassVar[int] = EXIT_CANNOT_TELL


class UsageError(HarnessError):
    """An option, argument or environment variable has no meaning; the message says what would."""

    exit_code = EXIT_USAGE


@contextmanager
def writing(what: object) -> Iterator[None]:
    """Turn the system's refusal to write ``what`` into a UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{what}: cannot be written: {error.strerror or error}") from error


class ConfigurationError(HarnessError):
    """A setting is wrong; the message names the file, line and key, or the variable."""

    exit_code = EXIT_USAGE


class CatalogueError(HarnessError):
    """A catalogue file is wrong; correct the named field on the named line."""

    exit_code = EXIT_USAGE


class LedgerError(HarnessError):
    """The ledger is wrong, or an entry of it matches nothing; correct the named line."""

    exit_code = EXIT_USAGE


class UnknownBuildError(HarnessError):
    """No build of that id is in the catalogue; the message lists what is."""

    exit_code = EXIT_USAGE


class SourceUnavailableError(HarnessError):
    """One source cannot serve this build on this host; another one may."""


class UnqualifiedError(SourceUnavailableError):
    """A build does not run on this host; the message says what the host lacks or refuses.

    Attributes:
        passing: Whether the host may have more to give in a minute: memory, a limit, a port.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class BuildUnavailableError(HarnessError):
    """No source of a build works here; the message says why for each."""


class DigestMismatchError(HarnessError):
    """Fetched bytes are not the pinned ones; nothing was kept. Fetch again or correct the pin."""


class CompileError(HarnessError):
    """A build's sources do not compile here; the message ends with the compiler's first error."""


class StoreError(HarnessError):
    """The store cannot be read or written; choose another with LLAMA_HARNESS_CACHE."""


class ModelError(HarnessError):
    """A model file cannot be written or read; the message names it and says why."""


class ProbeError(HarnessError):
    """A program did not answer ``--help`` like a llama-server; check the path."""


class SubjectError(HarnessError):
    """A subject did not produce a launch plan; the message says what it did instead."""


class FormatError(SubjectError):
    """A file holds no command line that can be read or written; the message says what it lacks."""

    exit_code = EXIT_USAGE


class EnvironmentUnavailableError(HarnessError):
    """This host cannot provide the environment; the message says what is missing."""


class ExecutorError(HarnessError):
    """A cluster cannot run cells; the message says what it lacks."""


class JournalError(HarnessError):
    """A bisection's journal cannot be read, written or gone on with; the message says which."""

    exit_code = EXIT_USAGE


class BisectionError(HarnessError):
    """A bisection has no answer: an end is not as claimed, or the command asked to stop."""
