"""What a generation drafts, token by token, on a model that always continues with one token."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.config.gguf_header import NotGgufError, read_metadata
from harness.emulation.command_line import ServerSettings
from harness.emulation.eras import Era
from harness.errors import ModelError

PROMPT_TOKENS: Final = 6
"""The harness's prompt of five letters, and the token that begins every text."""

DEFAULT_CONTEXT: Final = 4096
_INDEX_STEP: Final = 32
"""ngram-mod takes what was generated into its index when this many tokens have come."""

_HEAD_KEY: Final = ".nextn_predict_layers"
_CACHE_LENGTH: Final = 8
"""Fixed in the server."""

ORDER: Final = (
    "ngram-simple",
    "ngram-map-k",
    "ngram-map-k4v",
    "ngram-mod",
    "ngram-cache",
    "draft-simple",
    "draft-mtp",
)
"""Which implementation is asked first; whatever drafts ends the asking."""

MTP: Final = "draft-mtp"
_NAMES: Final = {"mtp": MTP, "draft": "draft-simple"}
_SILENT: Final = frozenset({"ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-cache"})
"""Set up, but a text of one token never makes them draft."""


class ModelRefusedError(Exception):
    """The server cannot load the model, or not with these settings; its log line."""


@dataclass(kw_only=True)
class Implementation:
    """One speculative implementation in use, with its counters.

    Attributes:
        lengths: Every draft it made, as counted by the server.
    """

    name: str
    n_min: int
    n_max: int
    n_match: int = 0
    lengths: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generation.

    Attributes:
        limits: ``max possible draft`` of each step, where the server bounds and tells it.
        steps: Length of each draft as it was verified.
        drafted: Tokens drafted in all, as the server counts them.
        implementations: With their counters.
    """

    limits: tuple[int, ...]
    steps: tuple[int, ...]
    drafted: int
    implementations: tuple[Implementation, ...]


def has_mtp_head(path: str) -> bool:
    """Whether the model file carries an MTP (nextn) head.

    Raises:
        ModelRefusedError: It cannot be read.
    """
    try:
        metadata = read_metadata(path)
    except NotGgufError as error:
        raise ModelRefusedError("error loading model: invalid magic characters") from error
    except ModelError as error:
        raise ModelRefusedError(f"failed to open GGUF file {path}") from error
    return any(value for key, value in metadata.items() if key.endswith(_HEAD_KEY))


def in_use(
    announced: Sequence[Implementation], settings: ServerSettings, era: Era
) -> list[Implementation]:
    """Of what the log announced as set up, what then serves: all of it, or nothing."""
    named = {_NAMES.get(name, name) for name in settings.types}
    unmakeable = "draft-simple" in named and not settings.draft_model
    return [] if era.draft_model == "named" and unmakeable else list(announced)


def implementations(settings: ServerSettings, era: Era, *, has_mtp: bool) -> list[Implementation]:
    """What the log announces as set up, in the order in which it is asked.

    Raises:
        ModelRefusedError: MTP is wanted and the model has no head for it.
    """
    named = {_NAMES.get(name, name) for name in settings.types}
    if MTP in named and not has_mtp:
        raise ModelRefusedError("context type MTP requested but model doesn't contain MTP layers")
    wanted = named & set(ORDER)
    wanted.discard("draft-simple")
    joins = era.draft_model == "joins" or (
        era.draft_model == "joins-unless-mtp" and MTP not in named
    )
    if settings.draft_model and (joins or "draft-simple" in named):
        wanted.add("draft-simple")
    return [_implementation(name, settings, era) for name in ORDER if name in wanted]


def _implementation(name: str, settings: ServerSettings, era: Era) -> Implementation:
    n_max, n_min = draft_lengths(settings, era)
    if not era.shared_lengths:
        own = {
            "ngram-mod": (settings.ngram_max, settings.ngram_min),
            "ngram-simple": (settings.simple_size, 0),
            "ngram-cache": (_CACHE_LENGTH, 0),
        }
        n_max, n_min = own.get(name, (n_max, n_min))
    return Implementation(name=name, n_min=n_min, n_max=n_max, n_match=settings.ngram_match)


def draft_lengths(settings: ServerSettings, era: Era) -> tuple[int, int]:
    """n_max and n_min of the draft as the server uses them."""
    if not era.clamps_minimum:
        return settings.n_max, settings.n_min
    n_max = max(settings.n_max, 0)
    return n_max, max(min(settings.n_min, n_max), 0)


def generate(
    active: Sequence[Implementation], era: Era, *, tokens: int, context: int
) -> Generation:
    """Generate ``tokens`` tokens after the prompt."""
    limits: list[int] = []
    steps: list[int] = []
    drafted = 0
    length, made = PROMPT_TOKENS, 1
    index = _NgramIndex()
    while made < tokens:
        room = min((context or DEFAULT_CONTEXT) - length - 2, tokens - made - 1)
        if active and era.length_bounds_all:
            room = min(room, max(one.n_max for one in active))
            limits.append(room)
            if room < max(one.n_min for one in active):
                room = 0
        draft, counted = _draft(active, era, index, length, room) if room > 0 else (0, 0)
        if draft:
            steps.append(draft)
        drafted += counted
        made += draft + 1
        length += draft + 1
    return Generation(
        limits=tuple(limits), steps=tuple(steps), drafted=drafted, implementations=tuple(active)
    )


def _draft(
    active: Sequence[Implementation], era: Era, index: "_NgramIndex", length: int, room: int
) -> tuple[int, int]:
    """Tokens to verify, and tokens to count."""
    for one in active:
        size = _ask(one, era, index, length, room)
        if not size:
            continue
        cut = min(size, room)
        bounded = era.length_bounds_all
        one.lengths.append(size if bounded else cut)
        if era.clamps_minimum and era.shared_lengths and cut < one.n_min:
            return 0, 0
        return cut, size if era.counts_whole_drafts else cut
    return 0, 0


def _ask(one: Implementation, era: Era, index: "_NgramIndex", length: int, room: int) -> int:
    if one.name in _SILENT:
        return 0
    if one.name == "ngram-mod":
        found = index.knows(one.n_match, length)
        size = max(one.n_max, 0) if found else 0
        return 0 if era.length_bounds_all and size < one.n_min else size
    size = one.n_max
    if not era.length_bounds_all:
        # The length is looked at after a token was drafted, so there is always one.
        size = max(size, 1)
        if one.name == "draft-simple":
            size = min(size, room)
    return 0 if size < one.n_min else size


class _NgramIndex:
    """Whether ngram-mod has seen its n-gram of the one repeated token."""

    def __init__(self) -> None:
        self._indexed = 0
        self._known = False

    def knows(self, n_match: int, length: int) -> bool:
        """Index what has come, and look up the last ``n_match`` tokens."""
        if length < n_match:
            return False
        if self._indexed + _INDEX_STEP < length:
            self._known = self._known or length - n_match > PROMPT_TOKENS
            self._indexed = length - n_match
        return self._known and length - n_match + 1 >= PROMPT_TOKENS
