"""Everything that the witnesses read, taken from one running server in one pass."""

import http
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from harness.server.http import ProtocolError, ServerClient
from harness.settings.routing import RoutedModel, is_router, look_at_router
from harness.settings.said import Said

PROMPT: Final = "hello"
_TOKEN: Final = 70
"""Some token of the byte vocabulary."""
TOKENS: Final = 128
"""Enough for a full ngram-mod draft of 64 after the 24 tokens that it matches on."""

FORK_TOKENS: Final = 320
"""ik_llama.cpp tells draft lengths by their sum alone: more than n_max drafts make it exact."""

AT_ONCE: Final = 3
"""Most connections that are opened to one server at a time; without a word of a command line it has
a thread for each."""
_GENERATION_S: Final = 60.0
_ANSWER_S: Final = 10.0
_FLUSH_S: Final = 0.5
_IDLE: Final = "slots are idle"
_RELEASED: Final = "stop processing"
_TOTAL: Final = "total time ="
_FORK_LINE: Final = ' | tid="'
_AFTER_MAIN: Final = (
    *("loading draft model", "creating MTP draft context"),
    *("initializing slots, n_slots", "initializing, n_slots", "load_model]  | tid="),
)
_NOT_SUPPORTED: Final = 501
_NOT_SERVED: Final = frozenset({_NOT_SUPPORTED, http.HTTPStatus.NOT_FOUND})
_UNAUTHORIZED: Final = 401
_FEW: Final = 2
_NO_LIMIT: Final = -1
_LONGEST_FULL: Final = 2048
"""Tokens of context that are filled in a sixth of a second on one core."""
_REFUSES_SINCE: Final = 6500
"""Before, a prompt that is too long is cut and read."""
ROOM_LEFT: Final = 4
"""Tokens of context that a prompt leaves free, of which more are then asked for."""
_WRITTEN: Final = 2 * ROOM_LEFT
_LOCKED: Final = re.compile(r"^VmLck:\s*(\d+) kB", re.MULTILINE)
_WITH_TOOLS: Final[Mapping[str, Any]] = {
    "messages": [{"role": "user", "content": PROMPT}],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "f",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ],
    "max_tokens": 1,
}
_ENDPOINTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "/v1/embeddings": {"input": PROMPT},
    "/rerank": {"query": PROMPT, "documents": [PROMPT]},
    "/props": {},
}

_METRICS: Final = "LLAMA_ARG_ENDPOINT_METRICS"
_METRICS_SINCE: Final = 10282
"""The first build that counts drafts in ``/metrics``."""

_VERBOSITY: Final = "4"
"""Debug up to b9204, trace from b9246 on, whose start-up lines need it from b9830 on."""
_THOROUGH_VERBOSITY: Final = "5"
"""Debug from b9246 on; a seventh of a launch's time."""

PREFILL: Final = "prefilled"
_ASKING: Final = ({"role": "user", "content": PROMPT},)
_ANSWERED: Final = (*_ASKING, {"role": "assistant", "content": PREFILL})
_APPLIED: Final[Mapping[str, Mapping[str, Any]]] = {
    "default": {"messages": _ASKING},
    "thinking": {"messages": _ASKING, "chat_template_kwargs": {"enable_thinking": True}},
    "not thinking": {"messages": _ASKING, "chat_template_kwargs": {"enable_thinking": False}},
    "prefill": {"messages": _ANSWERED},
}
"""Chats whose prompts are asked for, by name."""
_WRITES: Final = re.compile(r"^flags:\s*0*(?P<octal>[0-7]+)", re.MULTILINE)
_STANDARD_STREAMS: Final = frozenset({"0", "1", "2"})


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What a server was seen doing when it was tried, at the cost of a few requests more.

    Attributes:
        defaults: ``generation_settings`` of a request that sets none.
        full: Tokens that it read of a prompt of its slot's context but ``ROOM_LEFT``, and tokens
            that it wrote after that when asked for twice as many; None where the context is
            too long to try.
        limit: The context that it names when it refuses a longer prompt.
        answers: By path, whether it serves that at all.
        jinja: Whether it takes a request with tools, which needs a Jinja template.
        chat: Its answer to that.
        verbose: Whether it tells all of such a request; None where it does not take it.
        read_again: Tokens that it read of a prompt that it knew.
        limited: Tokens that a plain request may write, -1 for any number; None where the slot
            forgets it, and of ik_llama.cpp, which counts otherwise.
        home: Status of its page for people.
        prompts: By name, what its template makes of a chat; those that it makes.
        adapters: The entries of ``/lora-adapters``; None where it does not answer.
        tools: Names of its own tools; None where it does not answer.
        saves_slots: Whether it takes orders to save a slot.
        locked: Whether memory of it is locked; None where the system does not tell.
        written: Files that it holds open to write to, but for its standard streams.
        lines: What it said of a plain request and of one with tools.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    full: tuple[int, int] | None = None
    limit: int | None = None
    answers: Mapping[str, bool] = field(default_factory=dict)
    jinja: bool | None = None
    chat: Mapping[str, Any] | None = None
    verbose: bool | None = None
    read_again: int | None = None
    limited: int | None = None
    home: int | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    adapters: Sequence[Mapping[str, Any]] | None = None
    tools: Sequence[str] | None = None
    saves_slots: bool | None = None
    locked: bool | None = None
    written: frozenset[str] = frozenset()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One server, looked at once.

    Attributes:
        build_number: llama.cpp's build number; None where it is not known.
        completion: The answer of ``/completion``; empty where the server completes nothing.
        slots: The entries of ``/slots``, empty where it does not answer.
        metrics: The text of ``/metrics``, None where there is none; empty where it was not asked
            for, since the harness itself switched it on, and the build counts no drafts there.
        startup_lines: The log before the generation.
        run_lines: The log of the generation.
        fork: Whether it is ik_llama.cpp, which the form of its log tells.
        properties: The answer of ``/props``; None where there is none.
        models: The entries of ``/v1/models``.
        port: Where it answered.
        prefix: What stood before every path there.
        locked: By path, whether it is refused to who does not know the API key.
        switched_on: Variables by which the harness switched on what it reads.
        probed: What it was seen doing when it was tried; None where it was not.
        router: The models of a router by name; None for a server of one model.
    """

    build_number: int | None
    completion: Mapping[str, Any]
    slots: Sequence[Mapping[str, Any]]
    metrics: str | None
    startup_lines: tuple[str, ...]
    run_lines: tuple[str, ...]
    fork: bool = False
    properties: Mapping[str, Any] | None = None
    models: Sequence[Mapping[str, Any]] = ()
    port: int = 0
    prefix: str = ""
    locked: Mapping[str, bool] = field(default_factory=dict)
    switched_on: frozenset[str] = frozenset()
    probed: Probed | None = None
    router: Mapping[str, RoutedModel] | None = None

    @property
    def slot(self) -> Mapping[str, Any] | None:
        """The first slot."""
        return self.slots[0] if self.slots else None

    @cached_property
    def startup(self) -> Said:
        """The log before the generation, to be searched."""
        return Said.of(self.startup_lines)

    @cached_property
    def main(self) -> Said:
        """Of that what is said of the model itself, before a draft model or slots."""
        end = self._end_of_main
        return self.startup if end is None else self.startup.until(end)

    @cached_property
    def rest(self) -> Said:
        """What follows on that."""
        end = self._end_of_main
        return Said("") if end is None else self.startup.since(end)

    @cached_property
    def run(self) -> Said:
        """The log of the generation, to be searched."""
        return Said.of(self.run_lines)

    @cached_property
    def _end_of_main(self) -> int | None:
        """Where the model itself is done with; None where nothing follows."""
        places = map(self.startup.text.find, _AFTER_MAIN)
        return min((place for place in places if place >= 0), default=None)


class ReadableLog(Protocol):
    """A server's output so far; ``harness.server.log.ServerLog`` is one."""

    def lines(self) -> list[str]:
        """Its lines, in order."""

    def wait_for(self, seen: Callable[[str], bool], *, after: int, timeout_s: float) -> int:
        """Wait until a line after the first ``after`` is seen, or the time is over."""


class Observed(Protocol):
    """A server that can be observed, whoever started it."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def log(self) -> ReadableLog:
        """Its output."""

    @property
    def client(self) -> ServerClient:
        """HTTP to it."""


def observing_environment(*, thorough: bool = False) -> dict[str, str]:
    """Variables that switch on what the witnesses need, so that argv stays the subject's own.

    A flag in argv wins over its variable on every build. ``LLAMA_LOG_VERBOSITY`` was renamed to
    ``LLAMA_ARG_LOG_VERBOSITY`` in b9360. One thread, because several wait for each other by
    spinning, which on a busy host costs a tiny model seconds. Without ``GGML_NO_BACKTRACE`` a
    failed assertion first runs a debugger for seconds.
    """
    verbosity = _THOROUGH_VERBOSITY if thorough else _VERBOSITY
    return {
        _METRICS: "1",
        "LLAMA_ARG_ENDPOINT_SLOTS": "1",
        "LLAMA_TRACE": "1",
        "LLAMA_LOG_VERBOSITY": verbosity,
        "LLAMA_ARG_LOG_VERBOSITY": verbosity,
        "LLAMA_ARG_THREADS": "1",
        "GGML_NO_BACKTRACE": "1",
    }


def observe(
    server: Observed,
    build_number: int | None,
    *,
    switched_on: Collection[str] = (),
    thorough: bool = False,
) -> Observation:
    """Generate once and read all that the server tells.

    Args:
        server: The server.
        build_number: llama.cpp's build number; None where it is not known.
        switched_on: Variables by which the harness switched on what is read here.
        thorough: Whether to try as well what it does at its limits.

    Raises:
        ProtocolError: The server did not answer as a llama-server does.
    """
    startup = startup_lines(server)
    started = len(startup)
    fork = any(_FORK_LINE in line for line in startup)
    # What waits for nothing is asked beside the generation, and read behind it.
    beside_s = _GENERATION_S + _ANSWER_S
    with (
        server.client.asking("/props", beside_s) as asked,
        server.client.asking("/v1/models", beside_s) as asked_models,
    ):
        try:
            completion = _generate(server, FORK_TOKENS if fork else TOKENS)
        except ProtocolError:
            # A router generates nothing unless it is told with what.
            with suppress(ProtocolError):
                if is_router(properties := asked.json()):
                    return _observe_router(server, build_number, startup, properties)
            raise
        properties, models = asked.json(), asked_models.json()
    nothing_to_read = _METRICS in switched_on and (build_number or _METRICS_SINCE) < _METRICS_SINCE
    metrics: str | None = ""
    if nothing_to_read:
        slots = server.client.json("/slots", _ANSWER_S)
    else:
        with server.client.asking("/metrics", _ANSWER_S) as asked:
            slots, metrics = server.client.json("/slots", _ANSWER_S), asked.text()
    if fork:
        _flush_fork(server, started)
    else:
        # Once the server says again that its slots are idle, all that the generation had to say
        # has been written, for its log is in order. A plan may switch the log off, so this is
        # bounded.
        server.log.wait_for(_is_idle, after=started, timeout_s=_FLUSH_S)
    run_lines = tuple(server.log.lines()[started:])
    observation = Observation(
        build_number=build_number,
        completion=completion,
        slots=tuple(filter(_is_mapping, slots)) if isinstance(slots, list) else (),
        metrics=metrics,
        startup_lines=startup,
        run_lines=run_lines,
        fork=fork,
        properties=properties if _is_mapping(properties) else None,
        models=_models(models),
        port=server.client.port,
        prefix=server.client.prefix,
        locked=_locked(server.client),
        switched_on=frozenset(switched_on),
    )
    return replace(observation, probed=_probe(server, observation)) if thorough else observation


def _observe_router(
    server: Observed,
    build_number: int | None,
    startup: tuple[str, ...],
    properties: Mapping[str, Any],
) -> Observation:
    return Observation(
        build_number=build_number,
        completion={},
        slots=(),
        metrics=None,
        startup_lines=startup,
        run_lines=(),
        properties=properties,
        port=server.client.port,
        prefix=server.client.prefix,
        locked=_locked(server.client),
        router=look_at_router(server.client, server.log),
    )


def startup_lines(server: Observed) -> tuple[str, ...]:
    """What a server says until it waits for a request for the first time.

    Its log is written behind a request's back; what precedes the first idle line is start-up.
    """
    started = server.log.wait_for(_is_idle, after=0, timeout_s=_FLUSH_S)
    return tuple(server.log.lines()[:started])


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _models(answer: object) -> tuple[Mapping[str, Any], ...]:
    entries = answer.get("data") if isinstance(answer, Mapping) else None
    return tuple(filter(_is_mapping, entries)) if isinstance(entries, list) else ()


def _locked(client: ServerClient) -> Mapping[str, bool]:
    if client.key is None:
        return {}
    stranger = client.without_key()
    return {
        path: stranger.status(path, _ANSWER_S) == _UNAUTHORIZED for path in ("/props", "/v1/models")
    }


def _probe(server: Observed, seen: Observation) -> Probed:
    client, said = server.client, len(seen.startup_lines) + len(seen.run_lines)
    # The models always write on in the same way, so that this ends at the second token.
    stop = str(seen.completion.get("content", ""))[:_FEW]
    enough: Mapping[str, Any] = {"stop": [stop]} if stop else {"n_predict": 1}
    plain_status, plain = client.reply("/completion", {"prompt": PROMPT, **enough}, _GENERATION_S)
    slots = client.json("/slots", _ANSWER_S) if seen.slots else None
    status, answer = client.reply("/v1/chat/completions", _WITH_TOOLS, _GENERATION_S)
    end, is_over = said, _is_total if seen.fork else _is_release
    for each in (plain_status, status):
        if each == http.HTTPStatus.OK:
            end = server.log.wait_for(is_over, after=end, timeout_s=_FLUSH_S)
    plain = plain if isinstance(plain, Mapping) else {}
    defaults, timings = plain.get("generation_settings"), plain.get("timings")
    tokens = (seen.slot or {}).get("n_ctx")
    full = limit = None
    if isinstance(tokens, int) and seen.completion and tokens > _WRITTEN:
        if tokens <= _LONGEST_FULL:
            full = _fill(client, tokens)
        if (seen.build_number or 0) >= _REFUSES_SINCE:
            limit = _overfill(client, tokens)
    adapters = client.json("/lora-adapters", _ANSWER_S)
    erased, _ = client.reply("/slots/0?action=erase", {}, _ANSWER_S)
    return Probed(
        defaults=defaults if isinstance(defaults, Mapping) else {},
        full=full,
        limit=limit,
        answers={
            path: client.reply(path, body, _ANSWER_S)[0] not in _NOT_SERVED
            for path, body in _ENDPOINTS.items()
        },
        jinja="--jinja" not in str(answer),
        chat=answer if isinstance(answer, Mapping) else None,
        verbose="__verbose" in answer
        if status == http.HTTPStatus.OK and isinstance(answer, Mapping)
        else None,
        read_again=timings.get("prompt_n") if isinstance(timings, Mapping) else None,
        limited=None if seen.fork else limit_of(plain, slots),
        home=client.status("/", _ANSWER_S),
        prompts=dict(_prompts(client)),
        adapters=tuple(filter(_is_mapping, adapters)) if isinstance(adapters, list) else None,
        tools=_tools(client),
        saves_slots=erased == http.HTTPStatus.OK
        if erased in {http.HTTPStatus.OK, _NOT_SUPPORTED}
        else None,
        locked=_locks_memory(server.pid),
        written=frozenset(_written(server.pid)),
        lines=tuple(server.log.lines()[said:end]),
    )


def limit_of(plain: Mapping[str, Any], slots: object) -> int | None:
    """The tokens that a request may write, by what its slot had left after the first of two."""
    if plain.get("tokens_predicted") != _FEW or not isinstance(slots, list):
        return None
    known = filter(_is_mapping, slots)
    slot = next((one for one in known if one.get("id") == plain.get("id_slot")), None)
    following = slot.get("next_token") if slot else None
    following = following[0] if isinstance(following, list) and following else following
    if not isinstance(following, Mapping) or following.get("n_decoded") != _FEW:
        return None
    left = following.get("n_remain")
    return _NO_LIMIT if left == 0 else left + 1 if isinstance(left, int) else None


def _prompts(client: ServerClient) -> Iterator[tuple[str, str]]:
    for name, body in _APPLIED.items():
        status, answer = client.reply("/apply-template", body, _ANSWER_S)
        prompt = answer.get("prompt") if isinstance(answer, Mapping) else None
        if status == http.HTTPStatus.OK and isinstance(prompt, str):
            yield name, prompt
        elif name == "default":
            return


def _tools(client: ServerClient) -> tuple[str, ...] | None:
    answer = client.json("/tools", _ANSWER_S)
    if not isinstance(answer, list):
        return None
    return tuple(sorted(str(tool.get("tool")) for tool in answer if _is_mapping(tool)))


_ACCESS: Final = 3
"""The bits of a file's flags that say how it is opened; Linux alone has them to read."""


def _written(pid: int) -> Iterator[str]:
    folder = Path(f"/proc/{pid}/fd")
    try:
        for link in folder.iterdir():
            information = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text(encoding="ascii")
            mode = _WRITES.search(information)
            writes = mode is not None and int(mode["octal"], 8) & _ACCESS == os.O_WRONLY
            if writes and link.name not in _STANDARD_STREAMS and link.is_file():
                yield str(link.readlink())
    except OSError:
        return


def _locks_memory(pid: int) -> bool | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    locked = _LOCKED.search(text)
    return None if locked is None else int(locked[1]) > 0


def _fill(client: ServerClient, tokens: int) -> tuple[int, int] | None:
    """Tokens read of a prompt that leaves room for four, and written after it."""
    prompt = [_TOKEN] * (tokens - ROOM_LEFT)
    for wanted in (_WRITTEN, 1):
        # ik_llama.cpp goes on to end at what the request before was to end at, and refuses what it
        # would have to shift its context for.
        body = {"prompt": prompt, "n_predict": wanted, "temperature": 0, "stop": []}
        status, answer = client.reply("/completion", body, _GENERATION_S)
        if status == http.HTTPStatus.OK and isinstance(answer, Mapping):
            read, wrote = answer.get("tokens_evaluated"), answer.get("tokens_predicted")
            return (read, wrote) if isinstance(read, int) and isinstance(wrote, int) else None
    return 0, 0


def _overfill(client: ServerClient, tokens: int) -> int | None:
    """The context that is named when a longer prompt is refused."""
    body = {"prompt": [_TOKEN] * (tokens + 1), "n_predict": 1}
    status, answer = client.reply("/completion", body, _GENERATION_S)
    error = answer.get("error") if isinstance(answer, Mapping) else None
    named = error.get("n_ctx") if isinstance(error, Mapping) else None
    return named if status == http.HTTPStatus.BAD_REQUEST and isinstance(named, int) else None


def _is_idle(line: str) -> bool:
    return _IDLE in line


def _is_release(line: str) -> bool:
    return _RELEASED in line


def _generate(server: Observed, tokens: int) -> Mapping[str, Any]:
    # The prompt cache stays on: before 2026 a server without it does not speculate.
    body = {"prompt": PROMPT, "n_predict": tokens, "temperature": 0}
    try:
        completion = server.client.post("/completion", body, _GENERATION_S)
    except ProtocolError as error:
        if error.status == _NOT_SUPPORTED:
            return {}  # one for embeddings or reranking alone
        raise
    if not isinstance(completion, dict):
        raise ProtocolError("POST /completion: the answer is not a JSON object")
    return completion


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
