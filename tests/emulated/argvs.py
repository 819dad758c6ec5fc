"""Generated command lines, each era's own mix of what it knows, once knew and never will."""

import random
from collections.abc import Iterator, Sequence
from typing import Final

from harness.flags.capabilities import Capabilities

DRAFT: Final = "{draft}"
"""Stands for the path of the draft model."""

_LENGTHS: Final = ("0", "1", "2", "3", "5", "7", "16", "48", "64", "100")
_ODD_NUMBERS: Final = (
    "",
    "abc",
    "5x",
    " 7",
    "+4",
    "1.5",
    "99999999999",
    "-",
    "0x10",
    "--spec-type",
)
_SIZES: Final = ("1", "4", "12", "16", "24", "40", "1024", "1025", "-1")
_TYPES: Final = (
    "none", "ngram-mod", "ngram-simple", "ngram-cache", "draft-simple", "draft", "draft-mtp",
    "mtp", "draft-eagle3", "draft-dflash", "ngram", "NGRAM-MOD", "ngram_mod", " ngram-mod", "",
    "ngram-mod,",
    "ngram-mod,draft-mtp", "draft-mtp,ngram-mod", "ngram-mod,ngram-mod", "none,ngram-mod",
    "ngram-mod,none", "ngram-mod,bogus", "ngram-simple,ngram-mod", "ngram-map-k,bogus",
)  # fmt: skip
_SPECULATIVE: Final = (
    ("--spec-type", _TYPES),
    ("--spec-type", ("ngram-mod", "ngram-mod", "draft-mtp", "ngram-mod,draft-mtp", "draft-simple")),
    ("--spec-default", None),
    ("-md", (DRAFT,)),
    ("--model-draft", (DRAFT,)),
    ("--spec-draft-model", (DRAFT,)),
    ("--draft-max", (*_LENGTHS, *_ODD_NUMBERS)),
    ("--draft", _LENGTHS),
    ("--draft-n", _LENGTHS),
    ("--draft-min", (*_LENGTHS, *_ODD_NUMBERS)),
    ("--draft-n-min", _LENGTHS),
    ("--draft-p-min", ("0.0", "0.5", ".3", "1e-2", "abc", "")),
    ("--spec-draft-p-min", ("0.0", "0.5", "x")),
    ("--draft-p-split", ("0.1", "nope")),
    ("--spec-draft-n-max", (*_LENGTHS, *_ODD_NUMBERS)),
    ("--spec-draft-n-max", _LENGTHS),
    ("--spec-draft-n-min", (*_LENGTHS, *_ODD_NUMBERS)),
    ("--spec-ngram-size-n", (*_SIZES, *_ODD_NUMBERS)),
    ("--spec-ngram-size-m", _SIZES),
    ("--spec-ngram-min-hits", ("1", "2", "0", "x")),
    ("--spec-ngram-mod-n-match", (*_SIZES, *_ODD_NUMBERS)),
    ("--spec-ngram-mod-n-min", (*_LENGTHS, "-1", "1025", "abc")),
    ("--spec-ngram-mod-n-max", (*_LENGTHS, "-1", "1025", "abc")),
    ("--spec-ngram-simple-size-n", _SIZES),
    ("--spec-ngram-map-k-size-m", _SIZES),
    ("--spec-ngram-map-k4v-min-hits", ("0", "1", "x")),
    ("--ctx-size-draft", ("0", "512", "x")),
    ("-ngld", ("0", "99", "auto", "all", "x")),
    ("-ctkd", ("f16", "bf16", "f61")),
    ("--spec-draft-type-v", ("f16", "q99")),
    ("--spec-replace", ("a", "b")),
    ("-td", ("1", "x")),
    ("--spec-draft-sampling", ("greedy", "maybe")),
)  # fmt: skip
_COMMON: Final = (
    ("-fa", ("on", "off", "auto", "true", "0", "maybe")),
    ("--flash-attn", ("on", "enabled")),
    ("-ngl", ("0", "99", "auto", "all", "many")),
    ("--n-gpu-layers", ("5", "5x")),
    ("-ctk", ("f16", "bf16", "f17")),
    ("--cache-type-v", ("f16", "Q8_0")),
    ("--temp", ("0.5", "hot", "1e-1")),
    ("--top-k", ("40", "4.5", "few")),
    ("--top-p", ("0.9", "0,9", "p")),
    ("--seed", ("1", "-1", "seed")),
    ("-t", ("1", "one")),
    ("--no-mmap", None),
    ("--jinja", None),
    ("--no-jinja", None),
    ("--no-slots", None),
    ("--metrics", None),
    ("--no-warmup", None),
    ("--alias", ("name", "")),
    ("--prio", ("0", "9", "x")),
    ("-ncmoe", ("0", "-1", "x")),
    ("--rope-scaling", ("none", "linear", "yarm")),
    ("--rope-freq-scale", ("1.0", "one")),
    ("--load-mode", ("none", "mmap", "bogus")),
    ("--split-mode", ("layer", "diagonal")),
    ("--pooling", ("sum",)),
    ("--numa", ("nearby",)),
    ("--reasoning-budget", ("-1", "-2", "x")),
    ("--cont-batching", None),
    ("--bogus", None),
    ("--spec", ("ngram-mod",)),
    ("-spec-type", ("ngram-mod",)),
    ("ngram-mod", None),
    ("--draft-tokens", ("5",)),
)  # fmt: skip

Piece = tuple[str, ...]


def generated_argvs(era: str, capabilities: Capabilities, count: int) -> Iterator[Piece]:
    """``count`` different argument lists; the same ones on every run."""
    dice = random.Random(f"argvs of {era}")
    known = [one for one in _SPECULATIVE if capabilities.option(one[0]) is not None]
    live = [one for one in known if capabilities.offers(one[0])]
    seen: set[Piece] = set()
    while len(seen) < count:
        pool = dice.choices((live, known, _SPECULATIVE), (7, 2, 1))[0]
        pieces = [_piece(dice.choice(pool), dice) for _ in range(dice.randint(1, 4))]
        if dice.random() < 0.35:
            pieces.append(_piece(dice.choice(_COMMON), dice))
        if dice.random() < 0.12:
            pieces.append(dice.choice(pieces))
        dice.shuffle(pieces)
        argv = tuple(_respelled(word, dice) for piece in pieces for word in piece)
        if dice.random() < 0.05:
            argv = argv[:-1]
        if argv and argv not in seen:
            seen.add(argv)
            yield argv


def _piece(option: tuple[str, Sequence[str] | None], dice: random.Random) -> Piece:
    flag, values = option
    return (flag,) if values is None else (flag, dice.choice(values))


def _respelled(word: str, dice: random.Random) -> str:
    if not word.startswith("--") or dice.random() > 0.06:
        return word
    return dice.choice((word.replace("-", "_").replace("__", "--", 1), f"{word}=5", word.upper()))
