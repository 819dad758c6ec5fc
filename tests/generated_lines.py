"""Command lines made of what a build's help text offers, with values that it takes."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

from harness.flags.capabilities import Capabilities, Option, parse_help
from harness.subjects.command_lines import CommandLine
from harness.upgrade.era import Era

HELP: Final = Path(__file__).parents[1] / "fixtures" / "help"
FORK: Final = "ik-2026-04"
NUMBERS: Final = {"py0.3.16": 6170, FORK: 8700}
BUILDS: Final = ("py0.3.16", "b8929", "b9093", "b9246", "b9464", "b10435", "b11434")
MOST: Final = 6
"""Options of a command line."""

_ENDS: Final = frozenset(
    {"--help", "--version", "--license", "--list-devices", "--cache-list", "--completion-bash"}
)
"""Print something and end."""
_ELSEWHERE: Final = frozenset(
    {"--model", "--host", "--port", "--hf-repo", "--hf-file", "--hf-token", "--model-url",
     "--docker-repo", "--hf-repo-draft", "--spec-draft-hf", "--hf-repo-v", "--hf-file-v",
     "--model-vocoder", "--mmproj-url", "--models-dir", "--models-preset", "--rpc", "--mmproj",
     "--lora", "--lora-scaled", "--control-vector", "--control-vector-scaled", "--grammar-file",
     "--json-schema-file", "--chat-template-file", "--api-key-file", "--ssl-key-file",
     "--ssl-cert-file", "--lookup-cache-static", "--mcp-servers-config", "--mcp-servers-json",
     "--ui-config", "--ui-config-file", "--webui-config", "--webui-config-file", "--tools-runtime",
     "--control-vector-layer-range", "--video-ffmpeg-dir", "--mmproj-device", "--device",
     "--device-draft", "--spec-draft-device", "--tensor-split", "--override-tensor-draft",
     "--spec-draft-override-tensor", "--override-kv", "--logit-bias"}
)  # fmt: skip
"""Need files, devices or a network of their own."""
_VALUES: Final = {
    "--ctx-size": ("512", "2048", "0"),
    "--parallel": ("1", "2", "4"),
    "--batch-size": ("64", "512"),
    "--ubatch-size": ("64", "128"),
    "--predict": ("-1", "32"),
    "--keep": ("0", "16"),
    "--temp": ("0.2", "0"),
    "--top-k": ("5", "0"),
    "--top-p": ("0.5", "1.0"),
    "--min-p": ("0.1", "0"),
    "--repeat-last-n": ("16", "-1"),
    "--dry-penalty-last-n": ("32", "-1"),
    "--cache-ram": ("0", "16"),
    "--gpu-layers": ("0", "99", "auto", "all"),
    "--spec-draft-ngl": ("0", "99"),
    "--gpu-layers-draft": ("0", "99"),
    "--verbosity": ("0", "1", "3", "4"),
    "--flash-attn": ("on", "off", "auto"),
    "--fit": ("on", "off"),
    "--cache-type-k": ("f16", "q8_0"),
    "--cache-type-v": ("f16", "q8_0"),
    "--log-colors": ("on", "off", "auto"),
    "--reasoning": ("on", "off", "auto"),
    "--reasoning-format": ("none", "deepseek"),
    "--reasoning-budget": ("0", "-1"),
    "--chat-template": ("chatml", "llama3"),
    "--chat-template-kwargs": ('{"enable_thinking": false}',),
    "--samplers": ("top_k;temperature", "min_p"),
    "--sampling-seq": ("kt",),
    "--tools": ("read_file", "read_file,write_file"),
    "--spec-draft-model": ("draft.gguf",),
    "--model-draft": ("draft.gguf",),
    "--alias": ("a", "a,b"),
    "--tags": ("x",),
    "--api-key": ("k-1",),
    "--api-prefix": ("/x",),
    "--host": ("127.0.0.1",),
    "--override-tensor": ("attn=CPU",),
    "--grammar": ('root ::= "a"',),
    "--json-schema": ("{}",),
    "--numa": ("distribute", "isolate"),
    "--timeout": ("60",),
    "--threads": ("1",),
    "--threads-batch": ("1",),
    "--slot-save-path": (".",),
    "--log-file": ("server.log",),
    "--dry-sequence-breaker": ("none",),
    "--cpu-range": ("0-1",),
    "--cpu-range-batch": ("0-1",),
    "--cpu-range-draft": ("0-1",),
    "--spec-draft-cpu-range": ("0-1",),
    "--load-mode": ("none", "mmap", "mlock", "mmap+mlock", "dio"),
}


def era(build: str) -> Era:
    """A build as its recorded help text has it."""
    capabilities = parse_help((HELP / f"{build}.txt").read_text(encoding="utf-8"))
    fork = "ik_llama.cpp" if build == FORK else ""
    number = NUMBERS.get(build) or int(build.removeprefix("b"))
    return Era(id=build, number=number, capabilities=capabilities, fork=fork)


def options_of(capabilities: Capabilities) -> list[Option]:
    """Live options that a server of the harness can be started with."""
    return [
        option
        for option in capabilities.options
        if not option.removed
        and capabilities.option(option.spellings[0]) is option
        and _ENDS.isdisjoint(option.spellings)
        and _ELSEWHERE.isdisjoint(option.spellings)
        and not any(one.endswith("-default") for one in option.spellings[:1])
    ]


def values_of(option: Option) -> Sequence[tuple[str, ...]]:
    """Values that an option takes, as far as its text tells; the empty one for a switch."""
    if not option.takes_value:
        return [()]
    told = next((_VALUES[flag] for flag in option.spellings if flag in _VALUES), option.choices)
    known = told or (option.default if option.default and _is_number(option.default) else "1",)
    words = (option.placeholder or "").split()
    several = len(words) if len(words) > 1 and all(word.isupper() for word in words) else 1
    return [(value,) * several for value in known]


def lacks_flash_attention(line: CommandLine, capabilities: Capabilities) -> bool:
    """Whether every build refuses it: a quantised V cache, and flash attention off."""
    cache = capabilities.option("--cache-type-v")
    flash = capabilities.option("--flash-attn")
    assert cache is not None
    assert flash is not None
    quantised = any(value.startswith(("q", "iq")) for value in _given(line, cache))
    given = _given(line, flash)
    switched_on = bool(given) and given[-1] not in ("off", "0")
    return quantised and not (switched_on or (flash.takes_value and not given))


def _given(line: CommandLine, option: Option) -> list[str]:
    values = [
        value if option.takes_value else "on"
        for flag, value in pairwise((*line.words, ""))
        if flag in option.spellings
    ]
    variable = line.env.get(option.env or "")
    return values or ([variable] if variable is not None else [])


@st.composite
def command_lines(draw: st.DrawFn, capabilities: Capabilities, most: int = MOST) -> CommandLine:
    """Up to so many options of a build, some of them as variables."""
    options = options_of(capabilities)
    chosen = draw(st.lists(st.sampled_from(options), max_size=most, unique_by=id))
    words = ["-m", "model.gguf"]
    env = {}
    for option in chosen:
        values = draw(st.sampled_from(values_of(option)))
        if option.env and len(values) < 2 and draw(st.integers(0, 5)) == 0:
            env[option.env] = values[0] if values else "1"
        else:
            words += (draw(st.sampled_from(option.spellings)), *values)
    return CommandLine(words=tuple(words), env=env)


def pairs() -> Iterator[tuple[str, str]]:
    """Every build with every other."""
    builds = (*BUILDS, FORK)
    return ((one, other) for one in builds for other in builds if one != other)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
