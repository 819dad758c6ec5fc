"""Why a server did not start or did not live: its exit status and last words to one ``Failure``.

``HOST_FAULTS`` is the one place that tells what a host may be at fault for from what a command line
or a build is.

The wording is that of llama.cpp's argument parser and server from August 2025 (0.3.16 of
llama-cpp-python) to b11434, and of ik_llama.cpp; each line is held against a real build by
``tests/live/test_failures.py``.
"""

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from harness.builds.container import UNAVAILABLE
from harness.model import Failure, FailureKind

HOST_FAULTS: Final = frozenset(
    {
        FailureKind.MISSING_LIBRARY,
        FailureKind.NOT_EXECUTABLE,
        FailureKind.ILLEGAL_INSTRUCTION,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.HOST_LIMIT,
        FailureKind.ENDED_FROM_OUTSIDE,
        FailureKind.UNQUALIFIED,
        FailureKind.PORT_IN_USE,
    }
)
"""Failures that say nothing about a command line: on another host it may well start."""

PASSING_FAULTS: Final = frozenset(
    {
        FailureKind.OUT_OF_MEMORY,
        FailureKind.HOST_LIMIT,
        FailureKind.ENDED_FROM_OUTSIDE,
        FailureKind.PORT_IN_USE,
    }
)
"""Those that may be gone in a minute: they say nothing about whether a build runs on the host."""

ATTEMPTS: Final = 3
WORTH_ANOTHER_TRY: Final = frozenset({FailureKind.PORT_IN_USE, FailureKind.EARLY_EXIT})
"""Another port helps; and b9093 and b9246 can end before their last words are written."""

UNEXPLAINED: Final = frozenset(
    {FailureKind.TIMEOUT, FailureKind.EARLY_EXIT, FailureKind.ABORT, FailureKind.DIED}
)
"""Failures that may be due to the command line, the build or the host; whether a plain command
line starts tells."""

_INVALID_ARGUMENT: Final = re.compile(r"error: (?:invalid|unknown) argument: (?P<flag>\S+)")
_BAD_ARGUMENT: Final = re.compile(
    r"error while handling argument \"(?P<flag>[^\"]+)\": (?P<reason>.*)"
)
_BAD_VARIABLE: Final = re.compile(
    r"error while handling environment variable \"(?P<flag>[^\"]+)\": (?P<reason>.*)"
)
_MISSING_LIBRARY: Final = re.compile(
    r"error while loading shared libraries: (?P<flag>[^:]+):"
    r"|Error loading shared library (?P<musl>[^:]+):"
    r"|Library not loaded: (?P<mac>\S+)"
    r"|version `(?P<version>(?:GLIBC|CXXABI|GCC_)[^']*)' not found"
    r"|symbol lookup error: .*undefined symbol: (?P<symbol>\w+)"
    r"|(?:Error relocating .*: |Symbol not found: )(?P<unresolved>\w+)"
)
"""As glibc's, musl's and macOS' loaders say it."""
_BIND: Final = re.compile(
    r"couldn't bind (?:HTTP server socket|to server socket)(?:.*hostname: (?P<host>[^\s]*),)?"
)
_MODEL_REASON: Final = re.compile(
    r"doesn't contain MTP layers|failed to create MTP context|unknown model architecture: \S+"
    r"|failed to load (?:draft )?model|error loading model|failed to open GGUF|"
    r"failed to initialize MTP"
)
_MODEL: Final = re.compile(r"exiting due to model loading error|unable to load model")
_ASSERT: Final = re.compile(
    r"GGML_ASSERT\(.*\) failed|terminate called"
    r"|^(?:\S+|(?:[A-Za-z]:)?[/\\].+)\.(?:c|cc|cpp|cu|cuh|h|m):\d+: "
)
_LOG_PREFIX: Final = re.compile(r"^[\d.]+ [A-Z] ")
"""Clock and level, which start every log line from b9246 on."""
_REMOVED: Final = "has been removed"

_NO_MEMORY: Final = re.compile(
    r"failed to allocate|insufficient memory|std::bad_alloc|mem_buffer != NULL"
    r"|cannot allocate memory|out of memory|not enough memory|paging file is too small",
    re.IGNORECASE,
)
_LIMIT: Final = re.compile(
    r"Resource temporarily unavailable|Too many open files|No space left on device"
    r"|Disk quota exceeded|File too large|Permission denied|Operation not permitted"
    r"|Read-only file system|Input/output error"
)
"""What a C library calls the refusals of a system: limits, rights and full disks."""
_HARMLESS: Final = re.compile(r"\b[Ww]arn|mlock|priority|affinity| W ")
"""Starts go on after such lines."""
_LAST_WORDS: Final = 25
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
"""The user's words, such as the name of a file; they are not the host's."""

_WINDOWS_STATUS: Final[Mapping[int, tuple[FailureKind, str]]] = {
    0xC0000135: (
        FailureKind.MISSING_LIBRARY,
        "the binary needs a DLL that this host does not have",
    ),
    0xC0000139: (FailureKind.MISSING_LIBRARY, "the binary needs a DLL of another version"),
    0xC0000142: (FailureKind.MISSING_LIBRARY, "a DLL that the binary needs does not start"),
    0xC000007B: (FailureKind.NOT_EXECUTABLE, "the binary or a DLL is for another processor"),
    0xC000001D: (FailureKind.ILLEGAL_INSTRUCTION, ""),
    0xC0000017: (FailureKind.OUT_OF_MEMORY, "this host has not enough memory"),
    0xC000012D: (FailureKind.OUT_OF_MEMORY, "this host has not enough memory"),
    0xC000013A: (FailureKind.ENDED_FROM_OUTSIDE, "the server was interrupted"),
}
"""Exit statuses of Windows that speak of the host (ntstatus.h)."""
_WINDOWS_CRASH: Final = 0xC0000000

_SIGNALS: Final[Mapping[str, tuple[FailureKind, str]]] = {
    "SIGILL": (FailureKind.ILLEGAL_INSTRUCTION, ""),
    "SIGKILL": (
        FailureKind.OUT_OF_MEMORY,
        "the server was killed from outside (SIGKILL), as a host does that runs out of memory",
    ),
    **dict.fromkeys(
        ("SIGBUS", "SIGXCPU", "SIGXFSZ", "SIGSYS"),
        (FailureKind.HOST_LIMIT, "the host ended the server ({signal})"),
    ),
    **dict.fromkeys(
        ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGALRM", "SIGUSR1", "SIGUSR2"),
        (FailureKind.ENDED_FROM_OUTSIDE, "the server was ended from outside ({signal})"),
    ),
}
"""Signals that come from the host or from somebody on it, not from what the program does."""
_ILLEGAL_INSTRUCTION: Final = (
    "the binary needs instructions that this host's processor does not have (illegal instruction)"
)
_SHELL_SIGNAL: Final = 128
"""A shell or a container's runtime tells a signal as an exit status: this and its number."""


def classify_exit(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    """Name why a process ended before it was healthy.

    Args:
        exit_status: As ``subprocess`` gives it: negative for a signal.
        lines: Everything the server printed.
        log_tail: Its last lines, for the report.
    """
    return (
        _from_lines(lines, log_tail)
        or _from_host(exit_status, lines, log_tail)
        or _from_model(lines, log_tail)
        or _from_status(exit_status, lines, log_tail)
    )


def classify_death(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    """Name why a process ended after it had been healthy; arguments as for ``classify_exit``."""
    if host := _from_host(exit_status, lines, log_tail):
        return host
    assertion = _first(_ASSERT, lines)
    return Failure(
        kind=FailureKind.DIED,
        message=f"the server was healthy, then ended by {_signal_name(exit_status)}"
        + (f": {assertion}" if assertion else ""),
        log_tail=log_tail,
    )


def _from_lines(lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure | None:
    for line in lines:
        for read in (_argument, _variable, _library, _port, _container):
            if failure := read(line):
                return replace(failure, log_tail=log_tail)
    return None


def _from_model(lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure | None:
    reason = _first(_MODEL_REASON, lines) or _first(_MODEL, lines)
    if reason is None:
        return None
    return Failure(
        kind=FailureKind.MODEL_LOAD,
        message=f"the model does not load: {_bare(reason)}",
        log_tail=log_tail,
    )


def _argument(line: str) -> Failure | None:
    if found := _INVALID_ARGUMENT.search(line):
        word = found["flag"]
        return Failure(
            kind=FailureKind.UNKNOWN_ARGUMENT,
            argument=word,
            message=f"the build does not know {word}"
            if word.startswith("-")
            else f"the build does not know what {word!r} is",
        )
    if found := _BAD_ARGUMENT.search(line):
        removed = _REMOVED in found["reason"]
        return Failure(
            kind=FailureKind.REMOVED_ARGUMENT if removed else FailureKind.BAD_VALUE,
            argument=found["flag"],
            message=f"the build refuses {found['flag']}: {_reason(found['reason'])}",
        )
    return None


def _reason(text: str) -> str:
    """A build's reason without the word that some builds begin it with."""
    return text.strip().removeprefix("error: ")


def _variable(line: str) -> Failure | None:
    found = _BAD_VARIABLE.search(line)
    if found is None:
        return None
    return Failure(
        kind=FailureKind.BAD_ENVIRONMENT,
        argument=found["flag"],
        message=f"the build refuses the variable {found['flag']}: {found['reason'].strip()}",
    )


def _library(line: str) -> Failure | None:
    found = _MISSING_LIBRARY.search(line)
    if found is None:
        return None
    library = next(name for name in found.groups() if name)
    return Failure(
        kind=FailureKind.MISSING_LIBRARY,
        argument=library,
        message=f"the binary needs {library}, which this host does not have",
    )


def _port(line: str) -> Failure | None:
    found = _BIND.search(line)
    if found is None:
        return None
    if "," in (found["host"] or ""):
        return Failure(
            kind=FailureKind.BAD_VALUE,
            argument="--host",
            message="the build takes one address for --host, and no list (b11104 on)",
        )
    return Failure(
        kind=FailureKind.PORT_IN_USE,
        message="the server could not bind its port: another process has it, or this host does "
        "not allow it",
    )


def _container(line: str) -> Failure | None:
    if not line.startswith(UNAVAILABLE):
        return None
    return Failure(
        kind=FailureKind.NOT_EXECUTABLE,
        message=f"the container could not be run{line.removeprefix(UNAVAILABLE)}",
    )


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> str | None:
    return next((line.strip() for line in lines if pattern.search(line)), None)


def _from_host(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure | None:
    """What the host did to the server; None where nothing speaks of it."""
    spoken = (_QUOTED.sub("", line) for line in lines[-_LAST_WORDS:])
    last_words = [line for line in spoken if not _HARMLESS.search(line)]
    if line := _first(_NO_MEMORY, last_words):
        message = f"this host has not the memory that the server asks for: {_bare(line)}"
        return Failure(kind=FailureKind.OUT_OF_MEMORY, message=message, log_tail=log_tail)
    if line := _first(_LIMIT, last_words):
        message = f"this host refuses the server something: {_bare(line)}"
        return Failure(kind=FailureKind.HOST_LIMIT, message=message, log_tail=log_tail)
    signal_name = _signal_name(exit_status)
    kind, text = _WINDOWS_STATUS.get(exit_status) or _SIGNALS.get(signal_name) or (None, "")
    if kind is None:
        return None
    message = text.format(signal=signal_name) or _ILLEGAL_INSTRUCTION
    return Failure(kind=kind, message=message, log_tail=log_tail)


def _from_status(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    assertion = _first(_ASSERT, lines)
    crashed = _as_signal(exit_status) or exit_status >= _WINDOWS_CRASH
    if crashed or assertion:
        return Failure(
            kind=FailureKind.ABORT,
            message=f"the server ended by {_signal_name(exit_status)}"
            + (f": {assertion}" if assertion else ""),
            log_tail=log_tail,
        )
    last = log_tail[-1] if log_tail else "it printed nothing"
    return Failure(
        kind=FailureKind.EARLY_EXIT,
        message=f"the server ended with exit status {exit_status} before it was healthy: {last}",
        log_tail=log_tail,
    )


def _bare(line: str) -> str:
    return _LOG_PREFIX.sub("", line)


def _as_signal(exit_status: int) -> int:
    """The signal that a status speaks of; 0 for an exit."""
    if exit_status < 0:
        return -exit_status
    by_shell = exit_status - _SHELL_SIGNAL
    return by_shell if by_shell in set(signal.Signals) else 0


def _signal_name(exit_status: int) -> str:
    number = _as_signal(exit_status)
    if not number:
        return f"exit status {_status_text(exit_status)}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _status_text(exit_status: int) -> str:
    return f"0x{exit_status:X}" if exit_status >= _WINDOWS_CRASH else str(exit_status)
