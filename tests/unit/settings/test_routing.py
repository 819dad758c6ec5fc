"""What a router is seen doing with its models, where a model's own server ends at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from harness.server.http import ProtocolError, ServerClient
from harness.settings import routing
from harness.settings.routing import look_at_router

REFUSAL = '[4000] error while handling argument "--draft-max": the argument has been removed.'


@dataclass
class Router:
    """A router of one model, as its client and as its log."""

    status: Mapping[str, Any]
    said: list[str]
    _lines: list[str] = field(default_factory=lambda: ["main: router"])

    def lines(self) -> list[str]:
        return self._lines

    def json(self, path: str, timeout_s: float) -> object:
        del timeout_s
        assert path == "/v1/models"
        return {"data": [{"id": "b", "status": self.status}]}

    def reply(self, path: str, body: object, timeout_s: float) -> None:
        del body, timeout_s
        assert path == "/models/load"
        self._lines += self.said


@pytest.mark.parametrize("status", [{"value": "loading"}, {"value": "unloaded", "failed": True}])
def test_a_refused_key_is_blamed_whatever_the_router_says(status: Mapping[str, Any]) -> None:
    router = Router(status=status, said=[REFUSAL])
    found = look_at_router(cast("ServerClient", router), router)["b"]
    assert (found.loads, found.blame) == (False, "draft-max")


def test_a_router_that_says_nothing_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_LOADING_S", 0.1)
    router = Router(status={"value": "loading"}, said=[])
    with pytest.raises(ProtocolError, match="has not loaded b"):
        look_at_router(cast("ServerClient", router), router)


def test_an_error_that_no_flag_is_to_blame_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_LOADING_S", 0.1)
    monkeypatch.setattr(routing, "_SAID_S", 0.1)
    router = Router(status={"value": "loading"}, said=["[4000] error: no room for the model"])
    found = look_at_router(cast("ServerClient", router), router)["b"]
    assert (found.loads, found.blame) == (False, None)
    assert "no room" in found.why
