"""What a running server serves: everything about it that a load request can change."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from harness.model import DraftRange
from harness.server.http import ProtocolError
from harness.settings.observation import Observation, Observed, observe
from harness.settings.speculation.agreement import agree
from harness.settings.speculation.testimony import testify

NOTHING_ON: Final = "no speculation"
NOTHING_LOADED: Final = "nothing loaded"

_ANSWER_S: Final = 10.0
_CACHE: Final = re.compile(r"\bK \((?P<type>\w+)\)")
_DIGEST_LENGTH: Final = 12


@dataclass(frozen=True, kw_only=True)
class Served:
    """One server, as it was seen.

    Attributes:
        effective: Draft range of each speculative implementation that is on, as the witnesses
            agree.
        idle: Implementations that are set up but never draft.
        model: Name of the model file.
        context_length: Tokens of one slot; None where the server does not tell.
        cache_type: Of the K cache, from the log; None where it does not tell.
        chat_template: A digest of the template; None where the server does not tell.
    """

    effective: Mapping[str, DraftRange]
    idle: tuple[str, ...] = ()
    model: str = ""
    context_length: int | None = None
    cache_type: str | None = None
    chat_template: str | None = None


def look_at(server: Observed, build_number: int | None) -> Served:
    """Ask a running server, and have the witnesses agree.

    Raises:
        ProtocolError: It did not answer as a llama-server does.
        DisagreementError: The witnesses contradict each other.
    """
    observation = observe(server, build_number)
    state = agree(testify(observation))
    properties = server.client.json("/props", _ANSWER_S)
    if not isinstance(properties, dict):
        raise ProtocolError("GET /props: the answer is not a JSON object")
    template = properties.get("chat_template")
    slot = observation.slot or {}
    return Served(
        effective=dict(state.implementations),
        idle=state.idle,
        model=PurePath(str(properties.get("model_path", ""))).stem,
        context_length=slot.get("n_ctx"),
        cache_type=_cache_type(observation),
        chat_template=None
        if template is None
        else hashlib.sha256(str(template).encode()).hexdigest()[:_DIGEST_LENGTH],
    )


def _cache_type(observation: Observation) -> str | None:
    # A draft model's cache is logged after the model's own.
    found = (_CACHE.search(line) for line in observation.startup_lines)
    return next((match["type"] for match in found if match), None)


def show_effective(served: Served | None) -> str:
    """The speculation in a few words: ``draft-mtp 0…8``."""
    if served is None:
        return NOTHING_LOADED
    ranges = [f"{name} {_range(length)}" for name, length in sorted(served.effective.items())]
    idle = [f"{name} idle" for name in served.idle]
    return " + ".join([*ranges, *idle]) or NOTHING_ON


def show_served(served: Served | None) -> str:
    """Everything in one line."""
    if served is None:
        return NOTHING_LOADED
    return ", ".join(_parts(served))


def _parts(served: Served) -> Iterator[str]:
    yield show_effective(served)
    yield f"model {served.model}"
    if served.context_length is not None:
        yield f"context {served.context_length}"
    if served.cache_type is not None:
        yield f"cache {served.cache_type}"
    if served.chat_template is not None:
        yield f"template {served.chat_template}"


def _range(length: DraftRange) -> str:
    low = "" if length.n_min is None else str(length.n_min)
    return f"{low}…{'?' if length.n_max is None else length.n_max}"
