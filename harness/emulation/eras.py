"""How llama-server behaves, era by era: facts read off real builds, held by a conformance test."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal


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


ERAS: Final = MappingProxyType(
    {
        "b8929": Era(
            shared_lengths=True,
            types_add_up=False,
            draft_model="joins",
            clamps_minimum=True,
            length_bounds_all=True,
            counts_whole_drafts=False,
            lengths_over_http=True,
            types_over_http="speculative.type",
            tells_setup=False,
            tells_steps="debug",
            metrics=False,
            listening="main: server is listening on",
            clock=False,
        ),
        "b9093": Era(
            shared_lengths=False,
            types_add_up=False,
            draft_model="joins",
            clamps_minimum=True,
            length_bounds_all=True,
            counts_whole_drafts=True,
            lengths_over_http=False,
            types_over_http="speculative.type",
            tells_setup=False,
            tells_steps="trace",
            metrics=False,
            listening="main: server is listening on",
            clock=False,
        ),
        "b9246": Era(
            shared_lengths=False,
            types_add_up=True,
            draft_model="joins-unless-mtp",
            clamps_minimum=False,
            length_bounds_all=False,
            counts_whole_drafts=False,
            lengths_over_http=False,
            types_over_http="speculative.types",
            tells_setup=True,
            tells_steps="trace",
            metrics=False,
            listening="main: server is listening on",
            clock=True,
        ),
        "b11434": Era(
            shared_lengths=False,
            types_add_up=True,
            draft_model="named",
            clamps_minimum=False,
            length_bounds_all=False,
            counts_whole_drafts=False,
            lengths_over_http=False,
            types_over_http="speculative.types",
            tells_setup=True,
            tells_steps="trace",
            metrics=True,
            listening="llama_server: listening on",
            clock=True,
        ),
    }
)
"""By the build whose behaviour it is."""
