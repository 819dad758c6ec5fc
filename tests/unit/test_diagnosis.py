from pathlib import Path

import pytest

from harness.builds import load_catalogue
from harness.flags.arguments import read_arguments
from harness.flags.capabilities import Capabilities, parse_help
from harness.flags.diagnosis import diagnose_lack, diagnose_refusal, replacement
from harness.gguf_models.fitting import fitting_model
from harness.model import DraftRange, Failure, FailureKind, Speculation
from harness.report.command_line import flag_ranges
from harness.settings.speculation.asked import asked_for
from harness.settings.speculation.comparison import missing
from harness.settings.speculation.contract import ExpectedDraft

HELP = Path(__file__).parents[2] / "fixtures" / "help"


def build(name: str) -> Capabilities:
    return parse_help((HELP / f"{name}.txt").read_text())


@pytest.mark.parametrize(
    ("flag", "line", "on", "became"),
    [
        ("--draft-max", "-md x --draft-max 5", "b9246", "--spec-draft-n-max 5"),
        ("--draft-max", "--spec-type ngram-mod --draft-max 5", "b9246", "--spec-ngram-mod-n-max 5"),
        ("--draft-min", "--spec-type ngram-mod --draft-min 5", "b9246", "--spec-ngram-mod-n-min 5"),
        ("--spec-ngram-size-n", "", "b9246", "--spec-ngram-mod-n-match"),
        ("--spec-draft-n-max", "", "b8929", "--draft-max"),
        ("--spec-ngram-mod-n-match", "", "b8929", "--spec-ngram-size-n"),
        ("--spec-type", "", "py0.3.16", None),
        ("--draft-model", "", "b9246", "--model-draft"),
        ("--no-such-thing-at-all", "", "b9246", None),
    ],
)
def test_the_spelling_that_a_build_accepts(
    flag: str, line: str, on: str, became: str | None
) -> None:
    capabilities = build(on)
    assert replacement(flag, line.split(), capabilities) == became
    assert became is None or capabilities.offers(became.split()[0])


@pytest.mark.parametrize(
    ("line", "kind", "argument", "on", "said"),
    [
        (
            "--spec-type ngram-mod --draft-max 5",
            FailureKind.REMOVED_ARGUMENT,
            "--draft-max",
            "b9246",
            (
                "b9246 has removed --draft-max (since b8955, #22397); write "
                "--spec-ngram-mod-n-max 5 instead"
            ),
        ),
        (
            "-c 1 --no-mmap",
            FailureKind.UNKNOWN_ARGUMENT,
            "--no-mmap",
            "b11434",
            (
                "b11434 does not know --no-mmap (gone after b10867, by b10878, #28334); write "
                "--load-mode none instead"
            ),
        ),
        (
            "-c 1 --load-mode none",
            FailureKind.UNKNOWN_ARGUMENT,
            "--load-mode",
            "b9246",
            (
                "b9246 does not know --load-mode (comes with b10105, #20834); write --no-mmap "
                "instead"
            ),
        ),
        (
            "--spec-type draft-mtp",
            FailureKind.BAD_VALUE,
            "--spec-type",
            "b8929",
            (
                "b8929: boom; it takes none, ngram-cache, ngram-simple, ngram-map-k, "
                "ngram-map-k4v, ngram-mod; draft-mtp comes with b9180, #22673"
            ),
        ),
        (
            "--spec-type ngram-mod",
            FailureKind.UNKNOWN_ARGUMENT,
            "--spec-type",
            "py0.3.16",
            "py0.3.16 does not know --spec-type (comes with b7864, #18471); leave it out",
        ),
        (
            "--flash-attn --ctx-size 16",
            FailureKind.BAD_VALUE,
            "--flash-attn",
            "b8929",
            (
                "--flash-attn takes a value on b8929 ([on|off|auto]), and took '--ctx-size' for "
                "it; write --flash-attn on"
            ),
        ),
        (
            "-c 1 -fa on",
            FailureKind.UNKNOWN_ARGUMENT,
            "on",
            "py0.3.16",
            "-fa is a switch on py0.3.16 and takes no value; leave out 'on'",
        ),
        (
            "-c 1 -fa off",
            FailureKind.UNKNOWN_ARGUMENT,
            "off",
            "py0.3.16",
            "-fa is a switch on py0.3.16 and takes no value; leave out -fa off",
        ),
        (
            "-cb FALSE -c 1",
            FailureKind.UNKNOWN_ARGUMENT,
            "FALSE",
            "b9246",
            "-cb is a switch on b9246 and takes no value; write --no-cont-batching instead",
        ),
        (
            "-c 1",
            FailureKind.BAD_ENVIRONMENT,
            "LLAMA_ARG_DRAFT_MAX",
            "b9246",
            (
                "the variable LLAMA_ARG_DRAFT_MAX stops b9246: boom (removed since b8955, #22397); "
                "write LLAMA_ARG_SPEC_DRAFT_N_MAX instead"
            ),
        ),
        ("-c 1", FailureKind.ABORT, None, "b9246", "b9246 does not start: boom"),
    ],
)
def test_a_refusal_in_one_sentence(
    line: str, kind: FailureKind, argument: str | None, on: str, said: str
) -> None:
    failure = Failure(kind=kind, argument=argument, message="boom")
    number = load_catalogue().get(on).upstream_number
    assert diagnose_refusal(line.split(), failure, on, build(on), number=number) == said


def test_a_fork_is_not_told_upstream_s_dates() -> None:
    failure = Failure(
        kind=FailureKind.UNKNOWN_ARGUMENT, argument="--load-mode", message="invalid argument"
    )
    words = ["--load-mode", "none"]
    said = diagnose_refusal(words, failure, "ik-2026-04", build("ik-2026-04"))
    assert said == "ik-2026-04 does not know --load-mode; write --no-mmap instead"


@pytest.mark.parametrize(
    ("line", "on", "asked"),
    [
        ("--spec-type draft-mtp --spec-draft-n-max 5", "b9246", {"draft-mtp": 5}),
        ("--spec-type ngram-mod --draft-max 48", "b8929", {"ngram-mod": 48}),
        (
            "--spec-type ngram-mod,draft-mtp --spec-draft-n-max 2 --spec-ngram-mod-n-max 64",
            "b9246",
            {"ngram-mod": 64, "draft-mtp": 2},
        ),
        (
            "--spec-type draft-mtp --spec-draft-n-max 3 --spec-type ngram-mod",
            "b9246",
            {"draft-mtp": 3, "ngram-mod": None},
        ),
        ("-md x --draft-max 4", "b8929", {"draft-simple": 4}),
        ("--spec-default", "b9246", {"ngram-mod": 64}),
        ("--spec-type none -c 1", "b9246", {}),
        ("--spec-draft-n-max 4", "b9246", {}),
    ],
)
def test_what_a_command_line_asks_for(line: str, on: str, asked: dict[str, int | None]) -> None:
    arguments = read_arguments(line.split(), build(on))
    assert asked_for(arguments) == {k: ExpectedDraft(n_max=v) for k, v in asked.items()}


def test_what_is_missing() -> None:
    asked = {"draft-mtp": ExpectedDraft(n_max=5), "ngram-mod": ExpectedDraft(n_max=64)}
    short = Speculation(implementations={"draft-mtp": DraftRange(n_min=0, n_max=3)})
    assert missing(asked, short) == (
        "draft-mtp drafts 3 tokens at most, not 5",
        "ngram-mod is asked for and never drafts",
    )
    untold = Speculation(
        implementations={name: DraftRange(n_min=None, n_max=None) for name in asked}
    )
    assert missing(asked, untold) == ()


@pytest.mark.parametrize(
    ("lack", "line", "on", "said"),
    [
        ("draft-simple is asked for", "-md x", "b11434", "add --spec-type draft-simple"),
        (
            "ngram-mod is asked for",
            "--spec-type ngram-mod --spec-type draft-mtp",
            "b9246",
            "give --spec-type once, as a list: --spec-type ngram-mod,draft-mtp",
        ),
        (
            "ngram-mod is asked for",
            "--spec-type ngram-mod --spec-type ngram-simple",
            "b8929",
            "the last of 2 --spec-type wins",
        ),
        ("ngram-mod is asked for", "--spec-type ngram-mod", "b8929", "on b8929, with --spec-type"),
    ],
)
def test_a_silent_lack_in_one_sentence(lack: str, line: str, on: str, said: str) -> None:
    sentence = diagnose_lack(lack, line.split(), on, build(on))
    assert sentence.startswith(lack)
    assert said in sentence


@pytest.mark.parametrize(
    ("line", "model"),
    [
        ("--spec-type draft-mtp", "tiny-mtp"),
        ("-m x -fa on", "tiny-llama"),
        ("-md draft.gguf", "tiny-llama"),
        ("-md mtp.gguf", "tiny-llama"),
    ],
)
def test_the_model_that_fits(line: str, model: str) -> None:
    assert fitting_model(line.split()) == model


def test_where_a_flag_lives() -> None:
    builds = load_catalogue().select(["b8929", "b9246"])
    capabilities = {name: build(name) for name in ("b8929", "b9246")}
    flags = ("--jinja", "--draft-max", "--spec-draft-n-max", "--nope")
    assert flag_ranges(flags, builds, capabilities) == [
        (
            "--draft-max: b4159 … b8954, removed since b8955, #22397 (offered in b8929; removed in "
            "b9246)"
        ),
        "--spec-draft-n-max: b8955 on, #22397 (offered in b9246; unknown in b8929)",
        "--nope: unknown in b8929, b9246",
    ]


def test_builds_that_follow_each_other_are_told_as_a_range() -> None:
    builds = load_catalogue().select(["b8929", "b9093", "b9246", "b11434"])
    capabilities = {one.id: build(one.id) for one in builds}
    (told,) = flag_ranges(["--draft-max"], builds, capabilities)
    assert told == (
        "--draft-max: b4159 … b8954, removed since b8955, #22397 (offered in b8929; removed in "
        "b9093 … b11434)"
    )
