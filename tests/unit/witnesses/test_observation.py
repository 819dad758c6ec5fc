"""What is asked of a server, and where its log is cut, upstream and for ik_llama.cpp."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.server.http import ProtocolError, ServerClient
from harness.settings.observation import (
    FORK_TOKENS,
    ROOM_LEFT,
    TOKENS,
    Observation,
    limit_of,
    observe,
)

UPSTREAM = ("srv init: loading", "srv update_slots: all slots are idle")
FORK = (
    'INFO [ main] build info | tid="1" timestamp=1',
    'INFO [ update_slots] all slots are idle | tid="1" timestamp=2',
)
CONTEXT = 512


@dataclass(kw_only=True)
class PaperServer:
    """Answers and logs as told; it is its own log and client.

    Attributes:
        longest: Tokens that it writes at most once its context is full; it shifts where that is
            more than there is room for.
        limit: What it says is too long for it; None where it reads what it can of a prompt.
        refuses: Paths that it does not serve.
        strangers: By path, the status for somebody without its key.
    """

    startup: Sequence[str] = UPSTREAM
    of_each: Sequence[str] = ()
    answer: object = field(default_factory=dict)
    slots: object = field(default_factory=lambda: [{"id": 0, "n_ctx": CONTEXT}])
    models: object = field(default_factory=lambda: {"data": [{"id": "m"}]})
    properties: object = field(default_factory=lambda: {"total_slots": 1})
    longest: int = ROOM_LEFT
    limit: int | None = CONTEXT
    refuses: frozenset[str] = frozenset()
    tools: str = "{}"
    strangers: Mapping[str, int] = field(default_factory=dict)
    key: str | None = None
    pid: int = 0
    port: int = 8080
    prefix: str = "/v"
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.written += self.startup

    @property
    def log(self) -> "PaperServer":
        return self

    @property
    def client(self) -> ServerClient:
        return cast("ServerClient", self)

    @property
    def generated(self) -> list[int]:
        return [body["n_predict"] for path, body in self.asked if path == "POST"]

    def lines(self) -> list[str]:
        return list(self.written)

    def wait_for(self, seen: Callable[[str], bool], *, after: int, timeout_s: float) -> int:
        del timeout_s
        found = (place for place in range(after, len(self.written)) if seen(self.written[place]))
        return next(found, len(self.written) - 1) + 1

    def post(self, path: str, body: Mapping[str, Any], timeout_s: float) -> object:
        del path, timeout_s
        self.asked.append(("POST", body))
        self.written += self.of_each
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def reply(self, path: str, body: Mapping[str, Any], timeout_s: float) -> tuple[int, object]:
        del timeout_s
        self.asked.append((path, body))
        if path in self.refuses:
            return 501, {"error": {"message": "not supported"}}
        if path == "/v1/chat/completions":
            return 200, self.tools
        prompt = body.get("prompt")
        if not isinstance(prompt, list):
            return 200, {"generation_settings": {"temperature": 0.5}}
        if self.limit is not None and len(prompt) >= self.limit:
            return 400, {"error": {"n_ctx": self.limit}}
        return 200, {
            "tokens_evaluated": len(prompt),
            "tokens_predicted": min(body["n_predict"], self.longest),
        }

    def json(self, path: str, timeout_s: float) -> object:
        del timeout_s
        answers = {"/slots": self.slots, "/v1/models": self.models, "/props": self.properties}
        return answers.get(path)

    def text(self, path: str, timeout_s: float) -> str | None:
        del path, timeout_s
        return None

    @contextmanager
    def asking(self, path: str, timeout_s: float) -> Iterator[Any]:
        yield SimpleNamespace(
            json=lambda: self.json(path, timeout_s), text=lambda: self.text(path, timeout_s)
        )

    def without_key(self) -> "PaperServer":
        return self

    def status(self, path: str, timeout_s: float) -> int:
        del timeout_s
        return self.strangers.get(path, 404)


def probed(server: PaperServer, build_number: int | None = 9246) -> Observation:
    return observe(server, build_number, thorough=True)


def test_the_log_is_cut_where_the_server_is_first_idle() -> None:
    server = PaperServer(of_each=("accepted 5/5 draft tokens", UPSTREAM[-1]))
    seen = observe(server, 9246, switched_on={"LLAMA_ARG_ENDPOINT_SLOTS"})
    assert server.generated == [TOKENS]
    assert seen.startup_lines == UPSTREAM
    assert seen.run_lines == ("accepted 5/5 draft tokens", UPSTREAM[-1])
    assert seen.slot == {"id": 0, "n_ctx": CONTEXT}
    assert (seen.properties, seen.models) == ({"total_slots": 1}, ({"id": "m"},))
    assert (seen.port, seen.prefix, seen.locked) == (8080, "/v", {})
    assert seen.switched_on == {"LLAMA_ARG_ENDPOINT_SLOTS"}
    assert seen.probed is None
    assert not seen.fork


def test_whether_a_router_asks_for_its_key_is_tried() -> None:
    refusal = ProtocolError("POST /completion: status 400", 400)
    server = PaperServer(
        answer=refusal,
        properties={"role": "router"},
        models={"data": []},
        key="k",
        strangers={"/props": 401, "/v1/models": 200},
    )
    seen = observe(server, 9246)
    assert seen.router == {}
    assert seen.locked == {"/props": True, "/v1/models": False}


def test_the_fork_generates_more_and_once_again_to_flush_its_log() -> None:
    server = PaperServer(startup=FORK, of_each=("       total time = 1 ms",))
    seen = observe(server, None)
    assert server.generated == [FORK_TOKENS, 1]
    assert seen.startup_lines == FORK
    assert len(seen.run_lines) == 2
    assert seen.fork


def test_an_answer_that_is_no_object_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not a JSON object"):
        observe(PaperServer(answer=[]), 9246)


def test_a_server_that_completes_nothing_is_seen_all_the_same() -> None:
    server = PaperServer(answer=ProtocolError("not supported", 501))
    seen = observe(server, 9246)
    assert (seen.completion, seen.slots) == ({}, ({"id": 0, "n_ctx": CONTEXT},))
    with pytest.raises(ProtocolError):
        observe(PaperServer(answer=ProtocolError("broken", 500)), 9246)


@pytest.mark.parametrize("odd", [None, {}, "x", 3, [1, "x", None]])
def test_answers_of_an_unknown_shape_are_none(odd: object) -> None:
    seen = observe(PaperServer(slots=odd, models=odd, properties=odd), 9246)
    assert (seen.slots, seen.models, seen.slot) == ((), (), None)
    assert seen.properties == (odd if isinstance(odd, dict) else None)
    assert observe(PaperServer(models={"data": [1, {"id": "m"}]}), 9246).models == ({"id": "m"},)


def test_who_does_not_know_the_key_is_tried_only_where_there_is_one() -> None:
    strangers = {"/props": 401, "/v1/models": 200}
    assert observe(PaperServer(key="k", strangers=strangers), 9246).locked == {
        "/props": True,
        "/v1/models": False,
    }


@pytest.mark.parametrize(
    ("longest", "full"), [(ROOM_LEFT, (508, ROOM_LEFT)), (99, (508, 2 * ROOM_LEFT))]
)
def test_a_full_context_is_tried(longest: int, full: tuple[int, int]) -> None:
    seen = probed(PaperServer(answer={"content": "FF"}, longest=longest))
    assert seen.probed is not None
    assert seen.probed.full == full
    assert seen.probed.limit == CONTEXT
    assert seen.probed.defaults == {"temperature": 0.5}
    assert seen.probed.answers == {"/v1/embeddings": True, "/rerank": True, "/props": True}


def test_a_server_that_cannot_take_what_it_says_reads_nothing_of_it() -> None:
    seen = probed(PaperServer(answer={"content": "FF"}, limit=256))
    assert seen.probed is not None
    assert seen.probed.full == (0, 0)
    assert seen.probed.limit == 256


@pytest.mark.parametrize("build_number", [None, 6000])
def test_builds_that_cut_a_prompt_that_is_too_long_are_not_tried(build_number: int | None) -> None:
    seen = probed(PaperServer(answer={"content": "FF"}, limit=None), build_number)
    assert seen.probed is not None
    assert seen.probed.limit is None
    assert seen.probed.full is not None


@pytest.mark.parametrize("context", [None, 2 * ROOM_LEFT, 4096, "512"])
def test_a_context_that_is_unknown_or_takes_too_long_is_not_filled(context: object) -> None:
    seen = probed(PaperServer(answer={"content": "FF"}, slots=[{"n_ctx": context}], limit=4096))
    assert seen.probed is not None
    assert seen.probed.full is None
    assert seen.probed.limit == (4096 if context == 4096 else None)


@pytest.mark.parametrize(
    ("following", "limited"),
    [
        ({"n_remain": 76, "n_decoded": 2}, 77),
        ([{"n_remain": 76, "n_decoded": 2}], 77),
        ([{"n_remain": 0, "n_decoded": 2}], -1),
        ([{"n_remain": -1, "n_decoded": 0}], None),  # forgotten
        ([], None),
        ("x", None),
    ],
)
def test_what_a_slot_had_left_tells_the_limit(following: object, limited: int | None) -> None:
    plain = {"id_slot": 3, "tokens_predicted": 2}
    assert limit_of(plain, ["x", {"id": 1}, {"id": 3, "next_token": following}]) == limited
    assert limit_of({**plain, "tokens_predicted": 1}, [{"id": 3, "next_token": following}]) is None
    assert limit_of(plain, None) is None


def test_what_a_server_does_not_serve() -> None:
    seen = probed(PaperServer(refuses=frozenset({"/rerank", "/props"})))
    assert seen.probed is not None
    assert seen.probed.answers == {"/v1/embeddings": True, "/rerank": False, "/props": False}
    assert seen.probed.full is None


@pytest.mark.parametrize(
    ("answer", "taken"),
    [("{}", True), ('{"error": "tools param requires --jinja flag"}', False)],
)
def test_tools_need_a_jinja_template(answer: str, taken: bool) -> None:
    seen = probed(PaperServer(tools=answer))
    assert seen.probed is not None
    assert seen.probed.jinja is taken


@pytest.mark.parametrize(
    ("mark", "main"),
    [
        ("load_model: loading draft model 'd.gguf'", 1),
        ("srv: creating MTP draft context", 1),
        ("srv  init: initializing slots, n_slots = 4", 1),
        ("slot init: initializing, n_slots = 4", 1),
        ("nothing of the kind", 3),
    ],
)
def test_lines_of_the_model_itself_end_where_another_is_loaded(mark: str, main: int) -> None:
    seen = observe(PaperServer(startup=("print_info: a", mark, UPSTREAM[-1])), 9246)
    assert len(seen.main.lines) == main
