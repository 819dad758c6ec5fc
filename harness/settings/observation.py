"""Everything that the witnesses read, taken from one running server in one pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from harness.server.http import ProtocolError, ServerClient

PROMPT: Final = "hello"
TOKENS: Final = 128
"""Enough for a full ngram-mod draft of 64 after the 24 tokens that it matches on."""

FORK_TOKENS: Final = 320
"""ik_llama.cpp tells draft lengths by their sum alone: more than n_max drafts make it exact."""

_GENERATION_S: Final = 60.0
_ANSWER_S: Final = 10.0
_FLUSH_S: Final = 0.5
_IDLE: Final = "slots are idle"
_TOTAL: Final = "total time ="
_FORK_LINE: Final = ' | tid="'

_VERBOSITY: Final = "4"
"""Debug up to b9204, trace from b9246 on, whose start-up lines need it from b9830 on."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One server, looked at once.

    Attributes:
        build_number: llama.cpp's build number; None where it is not known.
        completion: The answer of ``/completion``.
        slot: The first entry of ``/slots``, None where there is none.
        metrics: The text of ``/metrics``, None where there is none.
        startup_lines: The log before the generation.
        run_lines: The log of the generation.
        fork: Whether it is ik_llama.cpp, which the form of its log tells.
        properties: The answer of ``/props``; None where it was not asked for.
    """

    build_number: int | None
    completion: Mapping[str, Any]
    slot: Mapping[str, Any] | None
    metrics: str | None
    startup_lines: tuple[str, ...]
    run_lines: tuple[str, ...]
    fork: bool = False
    properties: Mapping[str, Any] | None = None


class ReadableLog(Protocol):
    """A server's output so far; ``harness.server.log.ServerLog`` is one."""

    def lines(self) -> list[str]:
        """Its lines, in order."""

    def wait_for(self, seen: Callable[[str], bool], *, after: int, timeout_s: float) -> int:
        """Wait until a line after the first ``after`` is seen, or the time is over."""


class Observed(Protocol):
    """A server that can be observed, whoever started it."""

    @property
    def log(self) -> ReadableLog:
        """Its output."""

    @property
    def client(self) -> ServerClient:
        """HTTP to it."""


def observing_environment() -> dict[str, str]:
    """Variables that switch on what the witnesses need, so that argv stays the subject's own.

    A flag in argv wins over its variable on every build. ``LLAMA_LOG_VERBOSITY`` was renamed to
    ``LLAMA_ARG_LOG_VERBOSITY`` in b9360. One thread, because several wait for each other by
    spinning, which on a busy host costs a tiny model seconds. Without ``GGML_NO_BACKTRACE`` a
    failed assertion first runs a debugger for seconds.
    """
    return {
        "LLAMA_ARG_ENDPOINT_METRICS": "1",
        "LLAMA_ARG_ENDPOINT_SLOTS": "1",
        "LLAMA_TRACE": "1",
        "LLAMA_LOG_VERBOSITY": _VERBOSITY,
        "LLAMA_ARG_LOG_VERBOSITY": _VERBOSITY,
        "LLAMA_ARG_THREADS": "1",
        "GGML_NO_BACKTRACE": "1",
    }


def observe(server: Observed, build_number: int | None, *, properties: bool = False) -> Observation:
    """Generate once and read all that the server tells.

    Args:
        server: The server.
        build_number: llama.cpp's build number; None where it is not known.
        properties: Whether to ask for ``/props`` too.

    Raises:
        ProtocolError: The server did not answer as a llama-server does.
    """
    # The log is written behind a request's back; what precedes the first idle line is start-up.
    started = server.log.wait_for(_is_idle, after=0, timeout_s=_FLUSH_S)
    startup = tuple(server.log.lines()[:started])
    fork = any(_FORK_LINE in line for line in startup)
    completion = _generate(server, FORK_TOKENS if fork else TOKENS)
    if not isinstance(completion, dict):
        raise ProtocolError("POST /completion: the answer is not a JSON object")
    slots = server.client.json("/slots", _ANSWER_S)
    metrics = server.client.text("/metrics", _ANSWER_S)
    if fork:
        _flush_fork(server, started)
    else:
        # Once the server says again that its slots are idle, all that the generation had to say
        # has been written, for its log is in order. A plan may switch the log off, so this is
        # bounded.
        server.log.wait_for(_is_idle, after=started, timeout_s=_FLUSH_S)
    return Observation(
        build_number=build_number,
        completion=completion,
        slot=slots[0] if isinstance(slots, list) and slots else None,
        metrics=metrics,
        startup_lines=startup,
        run_lines=tuple(server.log.lines()[started:]),
        fork=fork,
        properties=_properties(server) if properties else None,
    )


def _properties(server: Observed) -> Mapping[str, Any]:
    answer = server.client.json("/props", _ANSWER_S)
    if not isinstance(answer, dict):
        raise ProtocolError("GET /props: the answer is not a JSON object")
    return answer


def _is_idle(line: str) -> bool:
    return _IDLE in line


def _generate(server: Observed, tokens: int) -> Any:
    # The prompt cache stays on: before 2026 a server without it does not speculate.
    body = {"prompt": PROMPT, "n_predict": tokens, "temperature": 0}
    return server.client.post("/completion", body, _GENERATION_S)


def _flush_fork(server: Observed, started: int) -> None:
    """Wait until what ik_llama.cpp says at a generation's end is in the log.

    A thread of its own writes that, in order, but behind everything else. The times of a second
    generation, of one token and so without a draft, stand behind all of the first.
    """
    _generate(server, 1)
    first = server.log.wait_for(_is_total, after=started, timeout_s=_FLUSH_S)
    server.log.wait_for(_is_total, after=first, timeout_s=_FLUSH_S)


def _is_total(line: str) -> bool:
    return _TOTAL in line
