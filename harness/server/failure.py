"""Why a server did not start or did not live: its exit status and last words to one ``Failure``.

``HOST_FAULTS`` is the one place that tells what a host may be at fault for from what a command line
or a build is.

The wording is that of llama.cpp's argument parser and server from August 2025 (0.3.16 of
llama-cpp-python) to b11434, and of ik_llama.cpp; each line is held against a real build by
``tests/live/test_failures.py``.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from harness.builds.container import UNAVAILABLE
from harness.model import Failure, FailureKind
from harness.processes.running import WINDOWS_CRASH, status_text

HOST_FAULTS: Final = frozenset(
    {
        FailureKind.MISSING_LIBRARY,
        FailureKind.NOT_EXECUTABLE,
        FailureKind.ILLEGAL_INSTRUCTION,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.DEVICE_MEMORY,
        FailureKind.HOST_LIMIT,
        FailureKind.ENDED_FROM_OUTSIDE,
        FailureKind.UNQUALIFIED,
        FailureKind.TINY_MODEL,
        FailureKind.PORT_IN_USE,
    }
)
"""Failures that say nothing about a command line: on another host it may well start."""

PASSING_FAULTS: Final = frozenset(
    {
        FailureKind.OUT_OF_MEMORY,
        FailureKind.DEVICE_MEMORY,
        FailureKind.HOST_LIMIT,
        FailureKind.ENDED_FROM_OUTSIDE,
        FailureKind.PORT_IN_USE,
    }
)
"""Those that may be gone in a minute: they say nothing about whether a build runs on the host."""

ATTEMPTS: Final = 20
"""Up to three of twenty starts of b8929 to b9464 lose the reason of their end, and twelve of twenty
on a busy host."""
WORTH_ANOTHER_TRY: Final = frozenset({FailureKind.PORT_IN_USE, FailureKind.EARLY_EXIT})
"""Another port helps; and b9093 and b9246 can end before their last words are written."""

UNEXPLAINED: Final = frozenset(
    {FailureKind.TIMEOUT, FailureKind.EARLY_EXIT, FailureKind.ABORT, FailureKind.DIED}
)
"""Failures that may be due to the command line, the build or the host; whether a plain command
line starts tells."""

_ERROR: Final = re.compile(
    r"^[\d.]+ E |requires|requested but|unknown model architecture|unsupported|not supported"
    r"|\b[Ee]rror|[Ff]ailed|[Cc]annot|[Cc]ould not|[Uu]nable|exceeds|invalid|doesn't contain"
)
_GENERIC: Final = re.compile(
    r"exiting due to|failed to create.?context|failed to create MTP context|unable to load model"
    r"|failed to load (?:draft )?model|error loading model|failed to initialize MTP|cleaning up"
    r"|failed to create llama_context|an error while trying to fit"
    r"|request: |log_server_r"
)
"""Says that a model does not load, and not why."""
_OF_REQUESTS: Final = re.compile(r"request: |log_server_r")
"""The harness's own question whether it is healthy, as a server tells of it."""
_MODEL: Final = re.compile(r"exiting due to model loading error|unable to load model")
_ASSERT: Final = re.compile(
    r"GGML_ASSERT\(.*\) failed|terminate called"
    r"|^(?:\S+|(?:[A-Za-z]:)?[/\\].+)\.(?:c|cc|cpp|cu|cuh|h|m):\d+: "
)
_LOG_PREFIX: Final = re.compile(r"^[\d.]+ [A-Z] ")
"""Clock and level, which start every log line from b9246 on."""
_SOURCE_TREE: Final = re.compile(
    r"^.*[/\\](?=(?:src|ggml|common|tools|examples|vendor)[/\\]\S+:\d+:)"
)
"""Where a build was compiled, before the path of a file of its sources."""
_HARMLESS: Final = re.compile(r"\b[Ww]arn|mlock|priority|affinity| W ")
"""Starts go on after such lines."""
_PASSING: Final = re.compile(r"mlock|priority|affinity|warming up|[Ww]arning")
"""Not what a start fails of, though it may be told as an error."""
_LAST_WORDS: Final = 25
_REASONS_WITHIN: Final = 60
"""Lines before the end in which a reason is looked for."""
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
"""The user's words, such as the name of a file; they are not the host's."""

_SHELL_SIGNAL: Final = 128
"""A shell or a container's runtime tells a signal as an exit status: this and its number."""


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    kind: FailureKind
    pattern: str
    message: str
    argument: str | None = None


class _End(msgspec.Struct, frozen=True, kw_only=True):
    by: tuple[str, ...]
    kind: FailureKind
    message: str


class _Signs(msgspec.Struct, frozen=True, kw_only=True):
    """The tables of ``resources/failures.toml``, which says what each holds."""

    lines: tuple[_Line, ...]
    last_words: tuple[_Line, ...]
    ends: tuple[_End, ...]


@cache
def _signs() -> _Signs:
    file = resources.files("harness.server") / "resources" / "failures.toml"
    return msgspec.toml.decode(file.read_bytes(), type=_Signs)


def classify_exit(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    """Name why a process ended before it was healthy.

    Args:
        exit_status: As ``subprocess`` gives it: negative for a signal.
        lines: Everything the server printed.
        log_tail: Its last lines, for the report.
    """
    failure = (
        _from_lines(lines)
        or _from_host(exit_status, lines)
        or _from_model(lines)
        or _from_status(exit_status, lines, log_tail)
    )
    return replace(failure, log_tail=log_tail)


def classify_death(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    """Name why a process ended after it had been healthy; arguments as for ``classify_exit``."""
    failure = _from_host(exit_status, lines) or Failure(
        kind=FailureKind.DIED,
        message=f"the server was healthy, then ended by {_ending(exit_status, lines)}",
    )
    return replace(failure, log_tail=log_tail)


def _from_lines(lines: Sequence[str]) -> Failure | None:
    signs = [(re.compile(sign.pattern), sign) for sign in _signs().lines]
    for line in lines:
        for pattern, sign in signs:
            if found := pattern.search(line):
                facts = {"argument": sign.argument, **found.groupdict()}
                message = sign.message.format_map(facts)
                return Failure(kind=sign.kind, argument=facts["argument"], message=message)
        if line.startswith(UNAVAILABLE):
            return Failure(
                kind=FailureKind.NOT_EXECUTABLE,
                message=f"the container could not be run{line.removeprefix(UNAVAILABLE)}",
            )
    return None


def _from_model(lines: Sequence[str]) -> Failure | None:
    if _first(_MODEL, lines) is None and _first(r"failed to load (?:draft )?model", lines) is None:
        return None
    reason = reason_in(lines)
    said = [line for line in lines if not _OF_REQUESTS.search(line)]
    message = f"the model does not load: {reason or _bare(_first(_GENERIC, said) or '')}"
    return Failure(kind=FailureKind.MODEL_LOAD, message=message, explained=reason is not None)


def refused_in(lines: Sequence[str]) -> Failure | None:
    """The refusal of an argument or variable that some lines tell of."""
    return _from_lines(lines)


def reason_in(lines: Sequence[str]) -> str | None:
    """The last line that tells of an error, and not just that there was one."""
    for line in reversed(lines[-_REASONS_WITHIN:]):
        if _ERROR.search(line) and not _GENERIC.search(line) and not _PASSING.search(line):
            return _bare(line.strip())
    return None


def _first(pattern: str | re.Pattern[str], lines: Sequence[str]) -> str | None:
    return next((line.strip() for line in lines if re.search(pattern, line)), None)


def _from_host(exit_status: int, lines: Sequence[str]) -> Failure | None:
    """What the host did to the server; None where nothing speaks of it."""
    spoken = (_QUOTED.sub("", line) for line in lines[-_LAST_WORDS:])
    last_words = [line for line in spoken if not _HARMLESS.search(line)]
    for sign in _signs().last_words:
        if line := _first(sign.pattern, last_words):
            return Failure(kind=sign.kind, message=sign.message.format(line=_bare(line)))
    name = _signal_name(exit_status)
    for end in _signs().ends:
        if not {name, f"0x{exit_status:X}"}.isdisjoint(end.by):
            return Failure(kind=end.kind, message=end.message.format(end=name))
    return None


def _from_status(exit_status: int, lines: Sequence[str], log_tail: tuple[str, ...]) -> Failure:
    crashed = _as_signal(exit_status) or exit_status >= WINDOWS_CRASH
    if crashed or _first(_ASSERT, lines):
        return Failure(
            kind=FailureKind.ABORT,
            message=f"the server ended by {_ending(exit_status, lines)}",
            explained=bool(_last_error(lines)),
        )
    last = log_tail[-1] if log_tail else "it printed nothing"
    return Failure(
        kind=FailureKind.EARLY_EXIT,
        message=f"the server ended with exit status {exit_status} before it was healthy: {last}",
    )


def _ending(exit_status: int, lines: Sequence[str]) -> str:
    error = _last_error(lines)
    return _signal_name(exit_status) + (f": {error}" if error else "")


def _last_error(lines: Sequence[str]) -> str | None:
    assertion = _first(_ASSERT, lines)
    return _bare(assertion) if assertion else reason_in(lines)


def _bare(line: str) -> str:
    return _SOURCE_TREE.sub("", _LOG_PREFIX.sub("", line))


def _as_signal(exit_status: int) -> int:
    """The signal that a status speaks of; 0 for an exit."""
    if exit_status < 0:
        return -exit_status
    by_shell = exit_status - _SHELL_SIGNAL
    return by_shell if by_shell in set(signal.Signals) else 0


def _signal_name(exit_status: int) -> str:
    number = _as_signal(exit_status)
    if not number:
        return f"exit status {status_text(exit_status)}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
