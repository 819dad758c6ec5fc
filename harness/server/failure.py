"""Why a server did not start: its exit status and last words to one ``Failure``.

The wording is that of llama.cpp's argument parser and server from August 2025 (0.3.16 of
llama-cpp-python) to b11434, and of ik_llama.cpp; each line is held against a real build by
``tests/live/test_failures.py``.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from harness.builds.container import UNAVAILABLE
from harness.model import Failure, FailureKind

_INVALID_ARGUMENT: Final = re.compile(r"error: (?:invalid|unknown) argument: (?P<flag>\S+)")
_BAD_ARGUMENT: Final = re.compile(
    r"error while handling argument \"(?P<flag>[^\"]+)\": (?P<reason>.*)"
)
_BAD_VARIABLE: Final = re.compile(
    r"error while handling environment variable \"(?P<flag>[^\"]+)\": (?P<reason>.*)"
)
_MISSING_LIBRARY: Final = re.compile(
    r"error while loading shared libraries: (?P<flag>[^:]+):"
    r"|Library not loaded: (?P<mac>\S+)"
    r"|version `(?P<glibc>GLIBC[^']*)' not found"
)
_BIND: Final = re.compile(r"couldn't bind (?:HTTP server socket|to server socket)")
_MODEL_REASON: Final = re.compile(
    r"doesn't contain MTP layers|failed to create MTP context|unknown model architecture: \S+"
    r"|failed to load (?:draft )?model|error loading model|failed to open GGUF|"
    r"failed to initialize MTP"
)
_MODEL: Final = re.compile(r"exiting due to model loading error|unable to load model")
_ASSERT: Final = re.compile(
    r"GGML_ASSERT\(.*\) failed|terminate called|^\S+\.(?:c|cc|cpp|cu|cuh|h|m):\d+: "
)
_LOG_PREFIX: Final = re.compile(r"^[\d.]+ [A-Z] ")
"""Clock and level, which start every log line from b9246 on."""
_REMOVED: Final = "has been removed"

_WINDOWS_MISSING_LIBRARY: Final = frozenset({0xC0000135, 0xC0000139})
"""STATUS_DLL_NOT_FOUND and STATUS_ENTRYPOINT_NOT_FOUND."""


def classify_exit(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    """Name why a process ended before it was healthy.

    Args:
        exit_status: As ``subprocess`` gives it: negative for a signal.
        lines: Everything the server printed.
        log_tail: Its last lines, for the report.
    """
    return _from_lines(lines, log_tail) or _from_status(exit_status, lines, log_tail)


def classify_death(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    """Name why a process ended after it had been healthy; arguments as for ``classify_exit``."""
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
    reason = _first(_MODEL_REASON, lines) or _first(_MODEL, lines)
    if reason is None:
        return None
    return Failure(
        kind=FailureKind.MODEL_LOAD,
        message=f"the model does not load: {_LOG_PREFIX.sub('', reason)}",
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
    if not _BIND.search(line):
        return None
    return Failure(
        kind=FailureKind.PORT_IN_USE,
        message="the server could not bind its port: another process has it",
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


def _from_status(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    if exit_status in _WINDOWS_MISSING_LIBRARY:
        return Failure(
            kind=FailureKind.MISSING_LIBRARY,
            message="the binary needs a DLL that this host does not have",
            log_tail=log_tail,
        )
    assertion = _first(_ASSERT, lines)
    if exit_status < 0 or assertion:
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


def _signal_name(exit_status: int) -> str:
    if exit_status >= 0:
        return f"exit status {exit_status}"
    try:
        return signal.Signals(-exit_status).name
    except ValueError:
        return f"signal {-exit_status}"
