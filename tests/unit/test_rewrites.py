"""What to write instead of what a build refuses, by real help texts."""

from pathlib import Path

import pytest

from harness.flags.capabilities import parse_help
from harness.flags.diagnosis import replacement
from harness.flags.rewrites import advice_for

HELP = Path(__file__).parents[2] / "fixtures" / "help"


@pytest.mark.parametrize(
    ("line", "refused", "on", "advice"),
    [
        ("-ctk Q8_0", "-ctk", "b9246", ("-ctk q8_0",)),
        ("-ctv q8", "-ctv", "py0.3.16", ("-ctv q8_0",)),
        ("-ctv nonsense", "-ctv", "b9246", ()),
        ("-fa off -ctv q8_0", "-ctv", "b9246", ("-fa on",)),
        ("-ngl max", "-ngl", "b9246", ("-ngl 99",)),
        ("-ngl off", "-ngl", "b9246", ("-ngl 0",)),
        ("-fa OFF", "-fa", "b9246", ("-fa off",)),
        ("-fa True", "-fa", "b9246", ("-fa on",)),
        ("-fa -1", "-fa", "b9246", ()),
        ("-fa none", "-fa", "b9246", ()),
        ("-fa --jinja", "-fa", "b9246", ("-fa on",)),
        ("--reasoning-budget none", "--reasoning-budget", "b9246", ("--reasoning-budget 0",)),
        ("--reasoning-budget on", "--reasoning-budget", "b9246", ("--reasoning-budget -1",)),
        ("--mmap off", "--mmap", "b11434", ("--load-mode none",)),
        ("--no-mmap 0", "--no-mmap", "b11434", ("--load-mode mmap",)),
        ("--mlock false", "--mlock", "b11434", ()),
        ("--mmap -c 512", "--mmap", "b11434", ("--load-mode mmap",)),
        ("--draft-max 8", "--draft-max", "b9246", ("--spec-draft-n-max 8",)),
        ("--lazy-mode True", "--lazy-mode", "b11434", ("--lazy-mode on",)),
        ("--lazy-mode 0", "--lazy-mode", "b11434", ("--lazy-mode off",)),
        ("--no-flash-attn", "--no-flash-attn", "b9246", ("--flash-attn off",)),
        ("--no-flash-attn", "--no-flash-attn", "py0.3.16", ()),
        ("-ngl99", "-ngl99", "b9246", ("-ngl 99",)),
        ("-c=512", "-c=512", "b9246", ("-c 512",)),
        ("--no-such9", "--no-such9", "b9246", ()),
        ("\u2013ctx-size 512", "\u2013ctx-size", "b9246", ("--ctx-size 512",)),
        ("\u2014no-mmap -c 512", "\u2014no-mmap", "b9246", ("--no-mmap",)),
        ("ctx-size 512", "ctx-size", "b9246", ()),
        ("-lora-scaled x.gguf", "-lora-scaled", "b9246", ("--lora-scaled x.gguf",)),
    ],
)
def test_advice(line: str, refused: str, on: str, advice: tuple[str, ...]) -> None:
    capabilities = parse_help((HELP / f"{on}.txt").read_text())
    assert advice_for(line.split(), (refused,), capabilities) == advice


@pytest.mark.parametrize(
    ("flag", "became"),
    [
        ("-c 512", "-c 512"),
        ("--host 0.0.0.0", "--host 0.0.0.0"),
        ("--no-such 1", None),
        ("--reasoning-effort", None),
        ("--no-flash-attn", "--flash-attn off"),
        ("--no-such", None),
        ("--ctx-sise", "--ctx-size"),
    ],
)
def test_another_wish_is_no_misspelling(flag: str, became: str | None) -> None:
    capabilities = parse_help((HELP / "b9246.txt").read_text())
    assert replacement(flag, (flag,), capabilities) == became
