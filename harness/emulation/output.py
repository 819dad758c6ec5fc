"""What the emulated server says: log lines, and the answers of its HTTP interface."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from harness.emulation.command_line import ServerSettings
from harness.emulation.eras import Era
from harness.emulation.generation import Generation, Implementation, draft_lengths

_CLOCK: Final = "0.00.000.000 I "
TEXT: Final = "a"


def startup_lines(
    settings: ServerSettings, era: Era, announced: Sequence[Implementation]
) -> Iterator[str]:
    """The log until the server listens."""
    yield from settings.warnings
    if settings.draft_model:
        yield f"{_prefix(era)}srv    load_model: loading draft model '{settings.draft_model}'"
    if era.tells_setup:
        for one in announced:
            yield f"{_CLOCK}spec common_specu: adding speculative implementation '{one.name}'"
            if one.name == "ngram-mod":
                numbers = f"n_match={one.n_match}, n_max={one.n_max}, n_min={one.n_min}"
            elif one.name.startswith("draft-"):
                numbers = f"n_max={one.n_max}, n_min={one.n_min}, p_min=0.00"
            else:
                numbers = "size_n=12, size_m=48, min_hits=1"
            yield f"{_CLOCK}spec common_specu: - {numbers}"
    yield f"{_prefix(era)}{era.listening} http://127.0.0.1:{settings.port}"
    yield f"{_prefix(era)}srv  update_slots: all slots are idle"


def generation_lines(era: Era, generation: Generation) -> Iterator[str]:
    """The log of one generation."""
    slot = f"{_prefix(era)}slot update_slots: id  0 | task 0 | "
    for limit in generation.limits:
        yield f"{slot}max possible draft: {limit}"
    for size in generation.steps:
        if era.tells_steps == "debug":
            yield f"{slot}accepted {size}/{size} draft tokens, new n_tokens = 0"
        else:
            yield f"{slot}accepted {size:2}/{size:2} draft tokens"
    for one in generation.implementations:
        drafts, tokens = len(one.lengths), sum(one.lengths)
        name = one.name if era.tells_setup else one.name.replace("-", "_")
        yield (
            f"{_prefix(era)}statistics {name}: #calls(b,g,a) = 1 {drafts} {drafts}, "
            f"#gen drafts = {drafts}, #acc drafts = {drafts}, #gen tokens = {tokens}, "
            f"#acc tokens = {tokens}"
        )
    yield f"{_prefix(era)}srv  update_slots: all slots are idle"


def completion(
    settings: ServerSettings, era: Era, generation: Generation, tokens: int
) -> Mapping[str, Any]:
    """The answer of ``/completion``."""
    accepted = sum(generation.steps)
    speculation = {"draft_n": generation.drafted, "draft_n_accepted": accepted} if accepted else {}
    return {
        "content": TEXT * tokens,
        "tokens_predicted": tokens,
        "generation_settings": generation_settings(settings, era),
        "timings": {"predicted_n": tokens, "predicted_ms": 1.0, **speculation},
    }


def generation_settings(settings: ServerSettings, era: Era) -> Mapping[str, Any]:
    """What the HTTP interface tells of the settings."""
    if era.types_over_http == "speculative.types":
        return {era.types_over_http: ",".join(["none", *settings.types])}
    if len(settings.types) > 1:
        told = {"speculative.types": ",".join(settings.types)}
    else:
        told = {era.types_over_http: (settings.types or ["none"])[-1].replace("-", "_")}
    if not era.lengths_over_http:
        return told
    n_max, n_min = draft_lengths(settings, era)
    return {**told, "speculative.n_max": n_max, "speculative.n_min": n_min}


def slots(settings: ServerSettings, active: Sequence[Implementation]) -> list[Mapping[str, Any]]:
    """The answer of ``/slots``."""
    return [
        {
            "id": 0,
            "n_ctx": settings.context,
            "speculative": bool(active),
            "is_processing": False,
        }
    ]


def metrics(era: Era, generation: Generation | None) -> str:
    """The answer of ``/metrics``."""
    lines = ["llamacpp:requests_processing 0"]
    if era.metrics:
        steps = generation.steps if generation else ()
        lines.append(f"llamacpp:spec_decode_num_drafts_total {len(steps)}")
        lines.append(f"llamacpp:spec_decode_num_draft_tokens_total {sum(steps)}")
        positions = max(
            (one.n_max for one in generation.implementations) if generation else (), default=0
        )
        for position in range(positions):
            accepted = sum(size > position for size in steps)
            lines.append(
                "llamacpp:spec_decode_num_accepted_tokens_per_pos_total"
                f'{{position="{position}"}} {accepted}'
            )
    return "\n".join(lines) + "\n"


def _prefix(era: Era) -> str:
    return _CLOCK if era.clock else ""
