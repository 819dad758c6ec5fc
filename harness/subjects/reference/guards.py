"""Reload guards: is the running server already what this request asks for?

Two, as in an application whose API route asks before it calls the backend, which asks again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.model import LoadRequest, Mode
from harness.subjects.reference.modes import ALIASES, requested_mode

LENGTH_MODES: Final = frozenset({Mode.MTP, Mode.MTP_NGRAM, Mode.DRAFT})
"""Resolved modes in which the draft length of the request takes effect."""


@dataclass(frozen=True, kw_only=True)
class LoadedState:
    """What runs.

    Attributes:
        request: The request it was started for.
        resolved_mode: The mode that the generator settled on then.
    """

    request: LoadRequest
    resolved_mode: Mode | None


@dataclass(frozen=True, kw_only=True)
class Guards:
    """Both guards.

    Attributes:
        aliases: The mode names that requests are read with.
    """

    aliases: Mapping[str, Mode] = field(default_factory=lambda: ALIASES)

    def route_matches(self, request: LoadRequest, loaded: LoadedState) -> bool:
        """The API route's guard: whether a request needs no call of the backend."""
        return self._same_settings(request, loaded) and self._same_length(request, loaded)

    def backend_matches(self, request: LoadRequest, loaded: LoadedState) -> bool:
        """The backend's guard: whether a request needs no new server."""
        return self._same_settings(request, loaded) and self._same_length(request, loaded)

    def _same_settings(self, request: LoadRequest, loaded: LoadedState) -> bool:
        running = loaded.request
        return (
            request.model == running.model
            and request.context_length == running.context_length
            and request.cache_type == running.cache_type
            and request.chat_template == running.chat_template
            and request.extra_args == running.extra_args
            and requested_mode(request, self.aliases) == requested_mode(running, self.aliases)
        )

    def _same_length(self, request: LoadRequest, loaded: LoadedState) -> bool:
        """Whether the lengths agree; "not given" is a value that differs from every number."""
        if loaded.resolved_mode not in LENGTH_MODES:
            return True
        return request.draft_n_max == loaded.request.draft_n_max
