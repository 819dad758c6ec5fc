"""A router looked at: which models it offers, whether each loads, and what it is set to then."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

from harness.server.failure import reason_in, refused_in
from harness.server.http import ProtocolError, ServerClient

_ANSWER_S: Final = 10.0
_LOADING_S: Final = 20.0
_SAID_S: Final = 3.0
"""The router hands on what a model's own server says, which may come after that it failed."""
_ENDED: Final = "exited with status"
"""What the router says after all that a model's own server said."""
_POLL_S: Final = 0.02
_MODEL_FLAGS: Final = frozenset({"--model", "-m", "--hf-repo", "-hf", "--model-url", "-mu"})


class Lines(Protocol):
    """A log so far."""

    def lines(self) -> list[str]:
        """Its lines, in order."""


@dataclass(frozen=True, kw_only=True)
class RoutedModel:
    """One model of a router.

    Attributes:
        loads: Whether it became ready; None for an entry that names no file.
        words: The arguments that the router starts it with.
        blame: The key at fault where it does not load.
        why: What was said of that.
        properties: The answer of ``/props`` for it.
        slots: The entries of ``/slots`` for it.
    """

    loads: bool | None
    words: tuple[str, ...] = ()
    blame: str | None = None
    why: str = ""
    properties: Mapping[str, Any] | None = None
    slots: Sequence[Mapping[str, Any]] = ()


def is_router(properties: object) -> bool:
    """Whether the answer of ``/props`` is that of a router."""
    return isinstance(properties, Mapping) and properties.get("role") == "router"


def look_at_router(client: ServerClient, log: Lines) -> Mapping[str, RoutedModel]:
    """Each model of a router, loaded and looked at one after the other.

    Raises:
        ProtocolError: The router does not answer.
    """
    return {name: _look_at(name, entry, client, log) for name, entry in _entries(client).items()}


def _entries(client: ServerClient) -> Mapping[str, Mapping[str, Any]]:
    answer = client.json("/v1/models", _ANSWER_S)
    entries = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(entries, list):
        raise ProtocolError("GET /v1/models: the answer lists no models")
    return {str(one["id"]): one for one in entries if isinstance(one, Mapping) and "id" in one}


def _status(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    status = entry.get("status")
    return status if isinstance(status, Mapping) else {}


def _look_at(name: str, entry: Mapping[str, Any], client: ServerClient, log: Lines) -> RoutedModel:
    given = _status(entry).get("args")
    words = tuple(map(str, given)) if isinstance(given, list) else ()
    if words and _MODEL_FLAGS.isdisjoint(words):
        return RoutedModel(loads=None, words=words, why="it names no model file")
    before = len(log.lines())
    client.reply("/models/load", {"model": name}, _ANSWER_S)
    if not _loaded(name, client, log, before):
        blame, why = _reason(log, before)
        return RoutedModel(loads=False, words=words, blame=blame, why=why)
    query = f"?model={quote(name, safe='')}"
    properties = client.json(f"/props{query}", _ANSWER_S)
    slots = client.json(f"/slots{query}", _ANSWER_S)
    _unload(name, client)
    return RoutedModel(
        loads=True,
        words=words,
        properties=properties if isinstance(properties, Mapping) else None,
        slots=tuple(one for one in slots if isinstance(one, Mapping))
        if isinstance(slots, list)
        else (),
    )


def _unload(name: str, client: ServerClient) -> None:
    """Make room for the next: a router may have room for one."""
    client.reply("/models/unload", {"model": name}, _ANSWER_S)
    deadline = time.monotonic() + _ANSWER_S
    while _status(_entries(client).get(name, {})).get("value") == "loaded":
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_S)


def _own(line: str) -> str:
    """A line of a model's own server, without the port that the router puts before it."""
    return line.partition("] ")[2] if line.startswith("[") and "] " in line else line


def _loaded(name: str, client: ServerClient, log: Lines, before: int) -> bool:
    """Whether a model loads, once that is settled.

    Where a model's own server ends at once, routers of b9246 may say for ever that it is loading;
    its last words tell.

    Raises:
        ProtocolError: It is neither loaded nor failed; another may have been in its way.
    """
    deadline = time.monotonic() + _LOADING_S
    while time.monotonic() < deadline:
        status = _status(_entries(client).get(name, {}))
        if status.get("value") == "loaded" or status.get("failed"):
            return status.get("value") == "loaded"
        if refused_in(_said(log, before)):
            return False
        time.sleep(_POLL_S)
    if reason_in(_said(log, before)):
        return False
    raise ProtocolError(f"the router has not loaded {name} within {_LOADING_S:.0f} s, nor says why")


def _said(log: Lines, before: int) -> list[str]:
    """What a model's own server said since."""
    return [_own(line) for line in log.lines()[before:]]


def _reason(log: Lines, before: int) -> tuple[str | None, str]:
    """The key at fault and what is said of it, by the lines that came since."""
    deadline = time.monotonic() + _SAID_S
    while True:
        lines = _said(log, before)
        refused = refused_in(lines)
        if refused:
            return refused.argument.lstrip("-") if refused.argument else None, refused.message
        ended = any(_ENDED in line for line in lines)
        if ended or time.monotonic() > deadline:
            return None, reason_in(lines) or "it does not load"
        time.sleep(_POLL_S)
