"""What is asked of a server, and where its log is cut, upstream and for ik_llama.cpp."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from harness.server.http import ProtocolError, ServerClient
from harness.settings.observation import FORK_TOKENS, TOKENS, observe

UPSTREAM = ("srv init: loading", "srv update_slots: all slots are idle")
FORK = (
    'INFO [ main] build info | tid="1" timestamp=1',
    'INFO [ update_slots] all slots are idle | tid="1" timestamp=2',
)


@dataclass
class PaperServer:
    """Answers and logs as told; it is its own log and client."""

    startup: Sequence[str]
    pid: int = 0
    of_each: Sequence[str] = ()
    answer: object = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.written += self.startup

    @property
    def log(self) -> "PaperServer":
        return self

    @property
    def client(self) -> ServerClient:
        return cast("ServerClient", self)

    def lines(self) -> list[str]:
        return list(self.written)

    def wait_for(self, seen: Callable[[str], bool], *, after: int, timeout_s: float) -> int:
        del timeout_s
        found = (place for place in range(after, len(self.written)) if seen(self.written[place]))
        return next(found, len(self.written) - 1) + 1

    def post(self, path: str, body: Mapping[str, Any], timeout_s: float) -> object:
        del path, timeout_s
        self.asked.append(body["n_predict"])
        self.written += self.of_each
        return self.answer

    def json(self, path: str, timeout_s: float) -> object:
        del path, timeout_s
        return [{"id": 0}]

    def text(self, path: str, timeout_s: float) -> str | None:
        del path, timeout_s
        return None


def test_the_log_is_cut_where_the_server_is_first_idle() -> None:
    server = PaperServer(UPSTREAM, of_each=("accepted 5/5 draft tokens", UPSTREAM[-1]))
    seen = observe(server, 9246)
    assert server.asked == [TOKENS]
    assert seen.startup_lines == UPSTREAM
    assert seen.run_lines == ("accepted 5/5 draft tokens", UPSTREAM[-1])
    assert seen.slot == {"id": 0}
    assert not seen.fork


def test_the_fork_generates_more_and_once_again_to_flush_its_log() -> None:
    server = PaperServer(FORK, of_each=("       total time = 1 ms",))
    seen = observe(server, None)
    assert server.asked == [FORK_TOKENS, 1]
    assert seen.startup_lines == FORK
    assert len(seen.run_lines) == 2
    assert seen.fork


def test_an_answer_that_is_no_object_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not a JSON object"):
        observe(PaperServer(UPSTREAM, answer=[]), 9246)
