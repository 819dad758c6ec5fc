"""The load requests that a random session makes, as Hypothesis strategies.

Each strategy names its simplest value first, which is what a failure shrinks to.
"""

from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st

from harness.cells.names import DEFAULT_MODEL
from harness.flags.capabilities import Capabilities
from harness.model import LoadRequest

MODES: Final = (
    "auto",
    "mtp",
    "ngram",
    "mtp+ngram",
    "off",
    "draft",
    "ngram-simple",
    None,
    "default",
    "draft-mtp",
    "ngram-mod",
    "none",
    "disable",
    " MTP ",
    "Auto",
    "ngram-mod,draft-mtp",
    "draft-mtp,ngram-mod",
    "unheard-of",
)
"""Every canonical mode, aliases, odd spellings, nothing, and a word that means nothing."""

MODELS: Final = (DEFAULT_MODEL, "tiny-llama", "tiny-mtp-1b")
CONTEXTS: Final = (512, 1024)
CACHE_TYPES: Final = (None, "q8_0")
OWN_TYPES: Final = ("none", "ngram-mod", "ngram-simple", "draft-mtp")
"""Types that the witnesses tell apart on every build; a model without MTP refuses the last one."""
LONGEST: Final = 16

Change = tuple[str, object]
"""A field of a load request and its new value."""

Wish = LoadRequest | Change | None
"""What is asked for next; None for the same once more."""

FIRST: Final = LoadRequest(model=DEFAULT_MODEL, mode=MODES[0])
"""Stands for the last request where there is none yet."""


def draft_lengths() -> st.SearchStrategy[int | None]:
    """Not given, or 1 to 16."""
    return st.none() | st.integers(1, LONGEST)


def extra_arguments(capabilities: Capabilities) -> st.SearchStrategy[tuple[str, ...]]:
    """Mostly none; else a harmless flag, or a ``--spec-type`` that the build offers."""
    own = [("--spec-type", name) for name in OWN_TYPES if name in capabilities.speculative_types]
    return st.sampled_from([*[()] * 8, ("--no-warmup",), *own])


def modes() -> st.SearchStrategy[str | None]:
    """Any mode; those that MTP comes of more often than the others."""
    return st.sampled_from([*["auto"] * 12, *["mtp"] * 6, *MODES])


def models() -> st.SearchStrategy[str]:
    """Any model; the one with an MTP head that pays more often than the others."""
    return st.sampled_from([*[DEFAULT_MODEL] * 4, *MODELS])


def requests(capabilities: Capabilities) -> st.SearchStrategy[LoadRequest]:
    """Any request."""
    return st.builds(
        LoadRequest,
        model=models(),
        mode=modes(),
        draft_n_max=draft_lengths(),
        extra_args=extra_arguments(capabilities),
        context_length=st.sampled_from(CONTEXTS),
        cache_type=st.sampled_from(CACHE_TYPES),
    )


def changes(capabilities: Capabilities) -> st.SearchStrategy[Change]:
    """One field of a request, changed; most often the draft length, where the bugs were."""
    values: dict[str, st.SearchStrategy[Any]] = {
        "draft_n_max": draft_lengths(),
        "mode": modes(),
        "model": models(),
        "extra_args": extra_arguments(capabilities),
        "context_length": st.sampled_from(CONTEXTS),
        "cache_type": st.sampled_from(CACHE_TYPES),
    }
    return st.sampled_from([*["draft_n_max"] * 6, *values]).flatmap(
        lambda field: st.tuples(st.just(field), values[field])
    )


def wishes(capabilities: Capabilities) -> st.SearchStrategy[Wish]:
    """The last request with one field changed, or a whole one, or the last one once more."""
    kinds: dict[str, st.SearchStrategy[Wish]] = {
        "change": changes(capabilities),
        "request": requests(capabilities),
        "repeat": st.none(),
    }
    # Repeated in a list for their weight: one_of would count equal strategies once.
    return st.sampled_from([*["change"] * 5, *kinds]).flatmap(lambda kind: kinds[kind])


def request_for(wish: Wish, last: LoadRequest) -> LoadRequest:
    """The request that a wish makes of the last one."""
    if wish is None:
        return last
    if isinstance(wish, LoadRequest):
        return wish
    field, value = wish
    return replace(last, **{field: value})  # type: ignore[arg-type]
