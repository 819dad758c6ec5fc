"""How llama-server behaves, era by era; ``eras.toml`` holds the eras."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Era:
    """One era's behaviour, where it differs from another's.

    Attributes:
        shared_lengths: ngram-mod has no lengths of its own: it uses the draft's.
        types_add_up: ``--spec-type`` takes a list and adds to what was given before; otherwise it
            takes one type and the last counts.
        draft_model: What ``-md`` alone does: the draft model ``joins`` every type, ``joins``
            unless MTP is on, or drafts only where its type is ``named``.
        clamps_minimum: The draft's minimum is lowered to its maximum; otherwise a draft shorter
            than the minimum is dropped.
        length_bounds_all: The longest length of all implementations bounds every draft, and the
            log tells it as ``max possible draft``.
        counts_whole_drafts: Drafts are counted before the end of the generation cuts them.
        lengths_over_http: ``generation_settings`` tells the draft's lengths.
        types_over_http: The key under which it tells the types.
        tells_setup: The log names each implementation that is set up, with its lengths.
        tells_steps: How the log tells the length of each draft.
        metrics: ``/metrics`` has counters of speculation.
        listening: What the log says once the server listens.
        clock: Log lines start with a clock and a level.
    """

    shared_lengths: bool
    types_add_up: bool
    draft_model: Literal["joins", "joins-unless-mtp", "named"]
    clamps_minimum: bool
    length_bounds_all: bool
    counts_whole_drafts: bool
    lengths_over_http: bool
    types_over_http: str
    tells_setup: bool
    tells_steps: Literal["debug", "trace"]
    metrics: bool
    listening: str
    clock: bool
