"""What real builds answered and logged, cut to the lines that witnesses read."""

from collections.abc import Mapping
from typing import Any

from harness.settings.observation import Observation

IDLE = "srv  update_slots: all slots are idle"
TOKENS = 128


def observation(
    build_number: int | None,
    *,
    settings: Mapping[str, Any] | None = None,
    drafted: int = 0,
    accepted: int | None = None,
    slot_speculates: bool | None = None,
    startup: str = "",
    run: str = "",
    metrics: str | None = None,
) -> Observation:
    timings: dict[str, Any] = {"predicted_n": TOKENS}
    if drafted:
        timings |= {
            "draft_n": drafted,
            "draft_n_accepted": drafted if accepted is None else accepted,
        }
    return Observation(
        build_number=build_number,
        completion={"generation_settings": dict(settings or {}), "timings": timings},
        slots=() if slot_speculates is None else ({"id": 0, "speculative": slot_speculates},),
        metrics=metrics,
        startup_lines=tuple(startup.strip().splitlines()),
        run_lines=tuple(run.strip().splitlines()),
    )


def positions(*accepted: int) -> str:
    """The counters of ``/metrics``, one for each position of a draft."""
    lines = [
        f'llamacpp:spec_decode_num_accepted_tokens_per_pos_total{{position="{place}"}} {count}'
        for place, count in enumerate(accepted)
    ]
    return "\n".join(
        [
            "# TYPE llamacpp:spec_decode_num_drafts_total counter",
            f"llamacpp:spec_decode_num_drafts_total {max(accepted, default=0)}",
            *lines,
        ]
    )


PY0_3_16_DRAFT = observation(
    6000,
    settings={"speculative.n_max": 5, "speculative.n_min": 0, "speculative.p_min": 0.75},
    drafted=90,
    slot_speculates=True,
    startup=IDLE,
    run=f"""
slot update_slots: id  0 | task 0 | max possible draft: 5
slot update_slots: id  0 | task 0 | accepted 5/5 draft tokens, new n_past = 12
slot update_slots: id  0 | task 0 | max possible draft: 5
slot update_slots: id  0 | task 0 | accepted 5/5 draft tokens, new n_past = 19
{IDLE}
""",
)

B7376_DRAFT = observation(
    7376,
    settings={"speculative.n_max": 3, "speculative.n_min": 0, "speculative.p_min": 0.75},
    drafted=95,
    slot_speculates=True,
    startup=IDLE,
    run=f"""
slot get_n_draft_: id  0 | task 0 | max possible draft: 3
slot update_slots: id  0 | task 0 | accepted 3/0 draft tokens, new n_tokens = 10
slot get_n_draft_: id  0 | task 0 | max possible draft: 3
slot update_slots: id  0 | task 0 | accepted 3/0 draft tokens, new n_tokens = 14
{IDLE}
""",
)

PY0_3_16_OFF = observation(
    6000,
    settings={"speculative.n_max": 16, "speculative.n_min": 0, "speculative.p_min": 0.75},
    slot_speculates=False,
    startup=IDLE,
    run=IDLE,
)

B8929_DRAFT = observation(
    8929,
    settings={
        "speculative.n_max": 5,
        "speculative.n_min": 0,
        "speculative.type": "none",
        "speculative.ngram_size_n": 1024,
    },
    drafted=105,
    slot_speculates=True,
    startup=IDLE,
    run=f"""
slot get_n_draft_: id  3 | task 0 | max possible draft: 5
slot update_slots: id  3 | task 0 | accepted 5/5 draft tokens, new n_tokens = 12
statistics draft: #calls(b,g,a) = 1 21 21, #gen drafts = 21, #acc drafts = 21, #gen tokens = 105, \
#acc tokens = 105, dur(b,g,a) = 0.000, 513.166, 0.023 ms
{IDLE}
""",
)

B8929_NGRAM = observation(
    8929,
    settings={
        "speculative.n_max": 64,
        "speculative.n_min": 48,
        "speculative.type": "ngram_mod",
        "speculative.ngram_size_n": 1024,
    },
    drafted=64,
    slot_speculates=True,
    startup=IDLE,
    run=f"""
slot get_n_draft_: id  3 | task 0 | max possible draft: 64
slot update_slots: id  3 | task 0 | accepted 64/64 draft tokens, new n_tokens = 98
slot get_n_draft_: id  3 | task 0 | the max possible draft is too small: 34 < 48 - skipping \
speculative decoding
statistics ngram_mod: #calls(b,g,a) = 1 28 1, #gen drafts = 1, #acc drafts = 1, #gen tokens = 64, \
#acc tokens = 64, dur(b,g,a) = 0.002, 0.046, 0.033 ms
{IDLE}
""",
)

B9093_DRAFT = observation(
    9093,
    settings={"speculative.type": "none"},
    drafted=105,
    slot_speculates=True,
    startup=IDLE,
    run=f"""
slot get_n_draft_: id  3 | task 0 | max possible draft: 5
slot update_slots: id  3 | task 0 | accepted  5/ 5 draft tokens
slot update_slots: id  3 | task 0 | accepted 5/5 draft tokens, new n_tokens = 12
statistics draft: #calls(b,g,a) = 1 21 21, #gen drafts = 21, #acc drafts = 21, #gen tokens = 105, \
#acc tokens = 105, dur(b,g,a) = 0.001, 51.378, 0.004 ms
{IDLE}
""",
)

B9246_MTP = observation(
    9246,
    settings={"speculative.types": "none,draft-mtp"},
    drafted=105,
    slot_speculates=True,
    startup=f"""
0.01.197.743 I common_speculative_impl_draft_mtp: adding speculative implementation 'draft-mtp'
0.01.197.785 I common_speculative_impl_draft_mtp: - n_max=5, n_min=0, p_min=0.00, n_embd=64
0.01.227.339 I {IDLE}
""",
    run=f"""
0.01.288.167 I slot update_slots: id  3 | task 0 | accepted  5/ 5 draft tokens
0.01.967.076 I statistics        draft-mtp: #calls(b,g,a) =    1     21     21, #gen drafts =     \
21, #acc drafts =    21, #gen tokens =    105, #acc tokens =   105, dur(b,g,a) = 0.001 ms
0.01.967.500 I {IDLE}
""",
)

B11434_CHAIN = observation(
    11434,
    settings={"speculative.types": "none,ngram-mod,draft-mtp"},
    drafted=120,
    slot_speculates=True,
    startup=f"""
0.00.845.075 I spec common_specu: adding speculative implementation 'ngram-mod'
0.00.850.910 I spec common_specu: - n_match=24, n_max=64, n_min=48
0.00.850.971 I spec common_specu: adding speculative implementation 'draft-mtp'
0.00.850.997 I spec common_specu: - n_max=5, n_min=0, p_min=0.00, n_embd=64, backend_sampling=1
0.01.557.518 I {IDLE}
""",
    run=f"""
0.02.097.539 I slot   operator(): id  3 | task 0 | accepted  5/ 5 draft tokens
0.02.344.394 I slot   operator(): id  3 | task 0 | accepted 64/64 draft tokens
0.02.388.548 I slot   operator(): id  3 | task 0 | accepted 31/31 draft tokens
0.02.390.923 I spec common_specu: statistics        ngram-mod: #calls(b,g,a) =    1      7      2, \
#gen drafts =      2, #acc drafts =     2, #gen tokens =     95, #acc tokens =    95, #mean acc \
len = 48.50, #acc rate/pos = (1.000, 0.500), dur(b,g,a) = 0.001, 0.025, 0.003 ms
0.02.395.952 I spec common_specu: statistics        draft-mtp: #calls(b,g,a) =    1      5      5, \
#gen drafts =      5, #acc drafts =     5, #gen tokens =     25, #acc tokens =    25, dur = 0.01 ms
0.02.396.072 I {IDLE}
""",
    metrics=positions(*[7] * 5, *[2] * 26, *[1] * 33),
)

B11434_OFF = observation(
    11434,
    settings={"speculative.types": "none"},
    slot_speculates=False,
    startup=f"0.01.557.518 I {IDLE}",
    run=f"0.01.967.500 I {IDLE}",
)
