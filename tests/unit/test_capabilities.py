"""Facts per build, read from the recorded help texts, and the parser's corners."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ProbeError
from harness.flags.capabilities import Capabilities, diff, parse_help, probe
from harness.model import Flavour

HELP = Path(__file__).parents[2] / "fixtures" / "help"

LEGACY = ("--draft-max", "--draft-min", "--draft")
NGRAM = {"none", "ngram-cache", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod"}
MTP_ERA = NGRAM | {"draft-simple", "draft-eagle3", "draft-mtp"}


def recorded(build: str) -> Capabilities:
    return parse_help((HELP / f"{build}.txt").read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class Facts:
    flavour: Flavour
    types: set[str]
    takes_list: bool
    mtp: str | None
    spec_default: bool
    length_flag: str
    removed: tuple[str, ...]
    options: int


FACTS = {
    "py0.3.16": Facts(
        flavour=Flavour.LEGACY,
        types=set(),
        takes_list=False,
        mtp=None,
        spec_default=False,
        length_flag="--draft-max",
        removed=(),
        options=175,
    ),
    "b8929": Facts(
        flavour=Flavour.LEGACY,
        types=NGRAM,
        takes_list=False,
        mtp=None,
        spec_default=True,
        length_flag="--draft",
        removed=(),
        options=214,
    ),
    "b9093": Facts(
        flavour=Flavour.RENAMED,
        types=NGRAM,
        takes_list=False,
        mtp=None,
        spec_default=True,
        length_flag="--spec-draft-n-max",
        removed=LEGACY,
        options=238,
    ),
    "b9246": Facts(
        flavour=Flavour.RENAMED,
        types=MTP_ERA,
        takes_list=True,
        mtp="draft-mtp",
        spec_default=True,
        length_flag="--spec-draft-n-max",
        removed=LEGACY,
        options=241,
    ),
    "b9464": Facts(
        flavour=Flavour.RENAMED,
        types=MTP_ERA,
        takes_list=True,
        mtp="draft-mtp",
        spec_default=True,
        length_flag="--spec-draft-n-max",
        removed=LEGACY,
        options=241,
    ),
    "b10435": Facts(
        flavour=Flavour.RENAMED,
        types=MTP_ERA | {"draft-dflash", "draft-dspark"},
        takes_list=True,
        mtp="draft-mtp",
        spec_default=True,
        length_flag="--spec-draft-n-max",
        removed=LEGACY,
        options=247,
    ),
    "b11434": Facts(
        flavour=Flavour.RENAMED,
        types=MTP_ERA | {"draft-dflash", "draft-dspark"},
        takes_list=True,
        mtp="draft-mtp",
        spec_default=True,
        length_flag="--spec-draft-n-max",
        removed=LEGACY,
        options=256,
    ),
}


@pytest.mark.parametrize("build", FACTS)
def test_facts_of_a_recorded_build(build: str) -> None:
    capabilities, facts = recorded(build), FACTS[build]
    assert capabilities.flavour is facts.flavour
    assert set(capabilities.speculative_types) == facts.types
    assert len(capabilities.speculative_types) == len(facts.types)
    assert capabilities.takes_type_list is facts.takes_list
    assert capabilities.mtp_token == facts.mtp
    assert capabilities.mtp_switch is None
    assert capabilities.spec_default is facts.spec_default
    assert capabilities.draft_length_flag == facts.length_flag
    assert all(capabilities.removed(flag) for flag in facts.removed)
    assert not any(capabilities.offers(flag) for flag in facts.removed)
    assert len(capabilities.options) == facts.options


@pytest.mark.parametrize("build", FACTS)
def test_what_every_build_offers(build: str) -> None:
    capabilities = recorded(build)
    for flag in ("-m", "--host", "--port", "-c", "-ngl", "--model-draft", "--cache-type-k"):
        assert capabilities.offers(flag), flag
        assert not capabilities.removed(flag), flag
    assert capabilities.canonical("-md") == capabilities.canonical("--model-draft") is not None
    assert capabilities.canonical("--ctx-size") == "-c"
    assert "q8_0" in capabilities.option("-ctk").choices  # type: ignore[union-attr]
    assert not capabilities.offers("--no-such-flag")
    assert not capabilities.removed("--no-such-flag")
    assert capabilities.canonical("--no-such-flag") is None


@pytest.mark.parametrize("build", FACTS)
def test_every_line_that_starts_with_a_flag_becomes_an_option(build: str) -> None:
    text = (HELP / f"{build}.txt").read_text(encoding="utf-8")
    heads = [line for line in text.splitlines() if line.startswith("-") and line[1:2] != " "]
    heads = [line for line in heads if not line.startswith("-----")]
    options = parse_help(text).options
    assert len(options) == len(heads)
    for option, head in zip(options, heads, strict=True):
        assert option.spellings
        assert all(spelling in head for spelling in option.spellings)
        assert option.description


@pytest.mark.parametrize(
    ("build", "takes_value", "default"),
    [("py0.3.16", False, "disabled"), ("b8929", True, "auto"), ("b11434", True, "auto")],
)
def test_flash_attention_became_a_value(build: str, takes_value: bool, default: str) -> None:
    option = recorded(build).option("-fa")
    assert option is not None
    assert option.takes_value is takes_value
    assert option.default == default
    assert option.choices == (("on", "off", "auto") if takes_value else ())


def test_one_option_in_all_its_parts() -> None:
    option = recorded("b9246").option("-md")
    assert option is not None
    assert option.spellings == ("--spec-draft-model", "-md", "--model-draft")
    assert option.placeholder == "FNAME"
    assert option.description == "draft model for speculative decoding (default: unused)"
    assert option.env == "LLAMA_ARG_SPEC_DRAFT_MODEL"
    assert option.default == "unused"
    assert not option.removed


def test_a_removed_option_keeps_its_spellings_and_variable() -> None:
    option = recorded("b9246").option("--draft-n")
    assert option is not None
    assert option.removed
    assert option.spellings == ("--draft", "--draft-n", "--draft-max")
    assert option.env == "LLAMA_ARG_DRAFT_MAX"
    assert option.description.endswith("use --spec-draft-n-max or --spec-ngram-mod-n-max")


@pytest.mark.parametrize("build", FACTS)
def test_a_flag_in_prose_is_no_option(build: str) -> None:
    spellings = [s for option in recorded(build).options for s in option.spellings]
    assert len(spellings) == len(set(spellings))
    # Both stand in descriptions: "--spec-ngram-*-size-n", "see --override-kv KEY=..." and so on.
    assert not any("*" in spelling or "=" in spelling for spelling in spellings)


def test_a_description_that_names_flags_gives_none() -> None:
    capabilities = parse_help(
        "--port PORT                             port to listen; see\n"
        "                                        --draft-max N  and --spec-type draft-mtp\n"
        "                                        --metrics\n"
    )
    assert [option.spellings for option in capabilities.options] == [("--port",)]
    assert capabilities.flavour is None
    assert capabilities.mtp_token is None
    assert capabilities.draft_length_flag is None


IK = """usage: llama-server [options]

general:

  -h,    --help, --usage          print usage and exit
         --verbosity N            set specific verbosity level (default: 0)
  -fa, --flash-attn (auto|on|off|0|1)
                                  set Flash Attention (default: on)
  -mqkv,  --merge-qkv,            merge Q,K,V (default: 0)
  -cram-n-min --cache-ram-n-min N
                                  minimum number of the cached tokens (default: 0).
  -ctk-last,  --cache-type-v-last  TYPE,N
                                  KV cache data type for the last N layers of V  (default: ,-1)
  -m,    --model FNAME            model path
                                  (default: unused)
  -devd,   --device-draft dev1,dev2
                                  comma-separated list of devices
  -mtp, --multi-token-prediction  whether to use multi-token-prediction (default: false)
  --draft-max, --draft, --draft-n N
                                  number of tokens to draft for speculative decoding (default: 16)
  --spec-type Name [none | ngram - cache | ngram - simple | ngram - map - k | ngram - mod]
                                  type of speculative decoding to use (default: 0)

  --spec-ngram-size-n N           ngram size N for ngram-simple/ngram-map (default: 12)


server:

         --host HOST              ip address to listen (default: 127.0.0.1)
         --port PORT              port to listen (default: 8080)
         --embedding(s)           restrict to only support embedding use case
"""


def test_the_forks_layout() -> None:
    capabilities = parse_help(IK)
    assert len(capabilities.options) == 15
    assert capabilities.flavour is Flavour.LEGACY
    assert capabilities.speculative_types == (
        "none",
        "ngram-cache",
        "ngram-simple",
        "ngram-map-k",
        "ngram-mod",
    )
    assert not capabilities.takes_type_list
    assert capabilities.mtp_token is None
    assert capabilities.mtp_switch == "-mtp"
    for flag in ("--merge-qkv", "-cram-n-min", "--cache-ram-n-min", "--embedding", "--embeddings"):
        assert capabilities.offers(flag), flag
    assert capabilities.option("--cache-type-v-last").placeholder == "TYPE,N"  # type: ignore[union-attr]
    assert capabilities.option("-devd").choices == ()  # type: ignore[union-attr]
    assert capabilities.option("-fa").choices == ("auto", "on", "off", "0", "1")  # type: ignore[union-attr]
    assert capabilities.option("--port").default == "8080"  # type: ignore[union-attr]
    assert capabilities.canonical("--draft-n") == "--draft-max"


def test_the_forks_recorded_text() -> None:
    capabilities = recorded("ik-2026-04")
    assert capabilities.flavour is Flavour.LEGACY
    assert set(capabilities.speculative_types) == NGRAM
    assert not capabilities.takes_type_list
    assert capabilities.mtp_token is None
    assert capabilities.mtp_switch == "-mtp"
    assert not capabilities.spec_default
    assert capabilities.draft_length_flag == "--draft-max"
    assert len(capabilities.options) == 256
    # The options of its other programs stand at the end; there -m is shown without a value.
    assert sum("-m" in option.spellings for option in capabilities.options) == 2
    assert capabilities.option("-m").placeholder == "FNAME"  # type: ignore[union-attr]


def test_a_bare_mtp_token_and_a_list_in_legacy_flags() -> None:
    capabilities = parse_help(
        "--draft, --draft-n, --draft-max N       number of tokens to draft (default: 16)\n"
        "--spec-type none,ngram-mod,mtp          comma-separated list of types (default: none)\n"
        "                                        (env: LLAMA_ARG_SPEC_TYPE)\n"
    )
    assert capabilities.flavour is Flavour.LEGACY
    assert capabilities.speculative_types == ("none", "ngram-mod", "mtp")
    assert capabilities.takes_type_list
    assert capabilities.mtp_token == "mtp"


@pytest.mark.parametrize("text", ["", "hello\n", "usage: grep [OPTION]... PATTERNS [FILE]...\n"])
def test_other_texts_have_no_capabilities(text: str) -> None:
    assert parse_help(text).options == ()


@settings(deadline=None)
@given(st.text(alphabet="-abc ,[]{}<>|()\n:.0=\tN", max_size=400))
def test_any_text_is_read(text: str) -> None:
    for option in parse_help(text).options:
        assert option.spellings
        assert all(spelling.startswith("-") for spelling in option.spellings)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 400), st.sampled_from(sorted(FACTS)))
def test_a_text_that_was_cut_off_gives_no_other_options(cut: int, build: str) -> None:
    text = (HELP / f"{build}.txt").read_text(encoding="utf-8")
    lines = text.splitlines()
    part = "\n".join(lines[: len(lines) - cut])
    whole = [option.spellings for option in recorded(build).options]
    assert [option.spellings for option in parse_help(part).options] == whole[
        : len(parse_help(part).options)
    ]


def test_text_that_never_wraps() -> None:
    capabilities = parse_help("-c, --ctx-size N  context size\n--metrics  serve metrics\n")
    assert [(o.spellings, o.placeholder, o.description) for o in capabilities.options] == [
        (("-c", "--ctx-size"), "N", "context size"),
        (("--metrics",), None, "serve metrics"),
    ]


def test_diff_over_the_rename() -> None:
    changes = diff(recorded("b8929"), recorded("b9093"))
    assert {"--spec-draft-n-max", "--spec-ngram-mod-n-match"} <= set(changes.added)
    assert set(changes.stubbed) == {
        "--draft",
        "--draft-n",
        "--draft-max",
        "--draft-min",
        "--draft-n-min",
        "--spec-ngram-size-n",
        "--spec-ngram-size-m",
        "--spec-ngram-min-hits",
    }
    assert not set(changes.stubbed) & set(changes.vanished)


def test_diff_shows_defaults_choices_and_values() -> None:
    changes = diff(recorded("b9093"), recorded("b9246"))
    defaults = {change.flag: (change.before, change.after) for change in changes.defaults}
    assert defaults["--spec-draft-n-max"] == ("16", "3")
    choices = {change.flag: change.after.split(",") for change in changes.choices}
    assert "draft-mtp" in choices["--spec-type"]
    assert "--spec-replace" in changes.vanished

    flash = diff(recorded("py0.3.16"), recorded("b8929")).values
    assert [(c.before, c.after) for c in flash if c.flag == "-fa"] == [("", "[on|off|auto]")]


def test_diff_shows_renamed_variables() -> None:
    changes = diff(recorded("b9246"), recorded("b9464")).variables
    assert ("LLAMA_LOG_VERBOSITY", "LLAMA_ARG_LOG_VERBOSITY") in {
        (change.before, change.after) for change in changes
    }


def test_diff_of_a_build_with_itself_is_empty() -> None:
    assert not diff(recorded("b9246"), recorded("b9246"))
    assert diff(recorded("b9093"), recorded("b9246"))


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


posix = pytest.mark.skipif(sys.platform == "win32", reason="a script is no program on Windows")


@posix
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_probe_reads_either_output(tmp_path: Path, stream: str) -> None:
    text = (HELP / "b9246.txt").read_text(encoding="utf-8")
    (tmp_path / "text").write_text(text, encoding="utf-8")
    program = script(
        tmp_path / "llama-server",
        f"print('noise', file=sys.{'stderr' if stream == 'stdout' else 'stdout'})\n"
        f"sys.{stream}.write(open({str(tmp_path / 'text')!r}, encoding='utf-8').read())",
    )
    assert probe(program, {}) == parse_help(text)
    assert probe(program, {}).mtp_token == "draft-mtp"


@posix
def test_probe_gives_the_program_its_environment_and_nothing_else(tmp_path: Path) -> None:
    program = script(
        tmp_path / "llama-server",
        "import os\n"
        "print('--model F', '--port P', *('--' + name for name in sorted(os.environ)), sep='\\n')",
    )
    capabilities = probe(program, {"ONLY": "1"})
    assert capabilities.offers("--ONLY")
    assert not capabilities.offers("--PATH")
    assert not capabilities.offers("--HOME")


@posix
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('usage: grep'); sys.exit(2)", "ended with 2"),
        ("sys.exit('boom')", "boom"),
        ("time.sleep(60)", "did not end within 0.5 s"),
    ],
)
def test_probe_refuses_other_programs(tmp_path: Path, body: str, said: str) -> None:
    program = script(tmp_path / "program", body)
    with pytest.raises(ProbeError, match=said) as caught:
        probe(program, {}, timeout_s=0.5 if "sleep" in body else 30)
    assert str(program) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_probe_of_what_is_no_program(tmp_path: Path) -> None:
    missing = tmp_path / "absent"
    with pytest.raises(ProbeError, match="cannot be run"):
        probe(missing, {})
    text = tmp_path / "text"
    text.write_text("not a program", encoding="utf-8")
    with pytest.raises(ProbeError, match="cannot be run"):
        probe(text, {})


def test_an_underscore_stands_for_a_dash_and_for_itself() -> None:
    build = parse_help(
        "-c,    --ctx-size N            context\n--scheduler_async           a fork's own"
    )
    assert build.option("--ctx_size") is build.option("--ctx-size") is not None
    assert build.offers("--scheduler_async")
    assert build.option("--scheduler-async") is None
    assert build.option("-c_x") is None
