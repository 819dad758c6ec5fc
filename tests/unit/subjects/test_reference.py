"""What the generator writes on each era, and what holds of everything that it writes."""

import itertools
import re
import sys
from pathlib import Path

import pytest

from harness.environments import open_environment
from harness.errors import SubjectError, UsageError
from harness.flags.capabilities import parse_help
from harness.gguf_models import ensure_models
from harness.model import HostProfile, LaunchTarget, LoadRequest, Mode
from harness.subjects import Subject, open_subject
from harness.subjects.reference import ReferenceSubject
from harness.subjects.reference.flags import SpeculativeFlags
from harness.subjects.reference.model_facts import ModelFacts
from tests.unit.subjects.reference_plans import (
    BUILDS,
    CPU,
    GPU,
    MTP_1B,
    MTP_4B,
    MTP_UNKNOWN,
    PLAIN,
    capabilities_of,
    emitted,
    plan,
    speculative,
)

NGRAM_LEGACY = "--spec-type ngram-mod --spec-ngram-size-n 24 --draft-min 48 --draft-max 64"
NGRAM_SETTINGS = "--spec-ngram-mod-n-match 24 --spec-ngram-mod-n-min 48 --spec-ngram-mod-n-max 64"
NGRAM_RENAMED = f"--spec-type ngram-mod {NGRAM_SETTINGS}"
DRAFT = str(Path("/models/draft.gguf"))


@pytest.mark.parametrize(
    ("build", "mode", "n", "flags", "resolved"),
    [
        ("b9246", "mtp", 5, "--spec-type draft-mtp --spec-draft-n-max 5", Mode.MTP),
        ("b9246", "mtp", None, "--spec-type draft-mtp --spec-draft-n-max 3", Mode.MTP),
        ("b11434", "mtp", 16, "--spec-type draft-mtp --spec-draft-n-max 16", Mode.MTP),
        ("fork", "mtp", 1, "--spec-type mtp --draft-max 1", Mode.MTP),
        ("b9246", "ngram", 5, NGRAM_RENAMED, Mode.NGRAM),
        ("b9093", "ngram", None, NGRAM_RENAMED, Mode.NGRAM),
        ("b8929", "ngram", 5, NGRAM_LEGACY, Mode.NGRAM),
        ("fork", "ngram", 5, NGRAM_LEGACY, Mode.NGRAM),
        (
            "b9246",
            "mtp+ngram",
            5,
            f"--spec-type ngram-mod,draft-mtp --spec-draft-n-max 5 {NGRAM_SETTINGS}",
            Mode.MTP_NGRAM,
        ),
        (
            "fork",
            "mtp+ngram",
            2,
            "--spec-type ngram-mod,mtp --draft-max 2 --spec-ngram-size-n 24",
            Mode.MTP_NGRAM,
        ),
        ("b9246", "ngram-simple", 5, "--spec-type ngram-simple", Mode.NGRAM_SIMPLE),
        ("b8929", "ngram-simple", None, "--spec-type ngram-simple", Mode.NGRAM_SIMPLE),
        ("py0.3.16", "draft", 5, f"--model-draft {DRAFT} --draft-max 5", Mode.DRAFT),
        ("b8929", "draft", None, f"--model-draft {DRAFT} --draft-max 3", Mode.DRAFT),
        ("b9093", "draft", 5, f"--model-draft {DRAFT} --spec-draft-n-max 5", Mode.DRAFT),
        (
            "b11434",
            "draft",
            5,
            f"--model-draft {DRAFT} --spec-draft-n-max 5 --spec-type draft-simple",
            Mode.DRAFT,
        ),
        ("b9246", "off", 5, "", Mode.OFF),
        ("b9246", " NONE ", None, "", Mode.OFF),
        ("py0.3.16", "disabled", None, "", Mode.OFF),
    ],
)
def test_what_is_asked_is_given(
    build: str, mode: str, n: int | None, flags: str, resolved: Mode
) -> None:
    answer = plan(build, mode, n)
    assert speculative(answer) == flags
    assert answer.resolved_mode is resolved
    assert answer.reason is None


@pytest.mark.parametrize(
    ("build", "mode", "model", "flags", "resolved", "reason"),
    [
        ("py0.3.16", "mtp", MTP_4B, "", Mode.OFF, "this build has no MTP"),
        ("b8929", "mtp", MTP_4B, "", Mode.OFF, "this build has no MTP"),
        ("b9246", "mtp", PLAIN, "", Mode.OFF, "the model has no MTP head"),
        ("py0.3.16", "ngram", MTP_4B, "", Mode.OFF, "--spec-type is missing"),
        ("py0.3.16", "ngram-simple", PLAIN, "", Mode.OFF, "no ngram-simple"),
        ("py0.3.16", "mtp+ngram", MTP_4B, "", Mode.OFF, "no MTP.*no ngram-mod"),
        ("b8929", "mtp+ngram", MTP_4B, NGRAM_LEGACY, Mode.NGRAM, "ngram alone: .*no MTP"),
        ("b9246", "mtp+ngram", PLAIN, NGRAM_RENAMED, Mode.NGRAM, "no MTP head"),
    ],
)
def test_what_cannot_be_had_is_left_out_and_said(  # noqa: PLR0917 - a row of a table
    build: str, mode: str, model: ModelFacts, flags: str, resolved: Mode, reason: str
) -> None:
    answer = plan(build, mode, 5, model=model)
    assert speculative(answer) == flags
    assert answer.resolved_mode is resolved
    assert answer.reason is not None
    assert re.search(reason, answer.reason)


def test_no_draft_model() -> None:
    answer = plan("b9246", "draft", 5, draft=None)
    assert speculative(answer) == ""
    assert answer.resolved_mode is Mode.OFF
    assert answer.reason == "started without draft: there is no draft model for this model"


MTP_GPU = "-ngl 99 --spec-type draft-mtp --spec-draft-n-max 2"
CHAIN_CPU = f"--spec-type ngram-mod,draft-mtp --spec-draft-n-max 3 {NGRAM_SETTINGS}"


@pytest.mark.parametrize(
    ("build", "model", "host", "flags", "resolved"),
    [
        ("b9246", MTP_4B, GPU, MTP_GPU, Mode.MTP),
        ("b9246", MTP_4B, CPU, CHAIN_CPU, Mode.MTP_NGRAM),
        ("b11434", MTP_UNKNOWN, CPU, CHAIN_CPU, Mode.MTP_NGRAM),
        ("b9246", MTP_1B, GPU, f"-ngl 99 {NGRAM_RENAMED}", Mode.NGRAM),
        ("b8929", MTP_1B, CPU, NGRAM_LEGACY, Mode.NGRAM),
        ("py0.3.16", MTP_1B, CPU, "", Mode.OFF),
        ("b9246", PLAIN, CPU, "--spec-default", Mode.NGRAM),
        ("b8929", PLAIN, GPU, "-ngl 99 --spec-default", Mode.NGRAM),
        ("b8929", MTP_4B, CPU, "--spec-default", Mode.NGRAM),
        ("py0.3.16", PLAIN, GPU, "-ngl 99", Mode.OFF),
        ("fork", PLAIN, CPU, "", Mode.OFF),
    ],
)
@pytest.mark.parametrize("mode", ["auto", None, "turbo"])
def test_auto(  # noqa: PLR0917 - a row of a table
    build: str, model: ModelFacts, host: HostProfile, flags: str, resolved: Mode, mode: str | None
) -> None:
    answer = plan(build, mode, host=host, model=model)
    assert speculative(answer) == flags
    assert answer.resolved_mode is resolved
    assert answer.reason is None


@pytest.mark.parametrize("build", BUILDS)
def test_no_flag_is_dead_or_given_twice_and_no_minimum_exceeds_its_maximum(build: str) -> None:
    capabilities = capabilities_of(build)
    for mode, n, host, model in itertools.product(
        [*Mode, None], [None, 1, 5, 16], [CPU, GPU], [MTP_4B, MTP_1B, PLAIN]
    ):
        answer = plan(build, mode, n, host=host, model=model, cache_type="q8_0")
        flags = emitted(answer.argv, capabilities)
        assert all(capabilities.offers(flag) for flag in flags), answer.argv
        options = [capabilities.canonical(flag) for flag in flags]
        assert len(options) == len(set(options)), answer.argv
        given = dict(itertools.pairwise(answer.argv))
        for low, high in (
            ("--draft-min", "--draft-max"),
            ("--spec-draft-n-min", "--spec-draft-n-max"),
            ("--spec-ngram-mod-n-min", "--spec-ngram-mod-n-max"),
        ):
            assert int(given.get(low, 0)) <= int(given.get(high, 64)), answer.argv


def test_a_builds_own_minimum_above_the_length_is_lowered() -> None:
    help_text = (Path(__file__).parent / "legacy_fork_help.txt").read_text(encoding="utf-8")
    assert "(default: 0)\n" in help_text
    flags = SpeculativeFlags(parse_help(help_text.replace("(default: 0)\n", "(default: 5)\n", 1)))
    assert flags.mtp(2)[1:] == (("--draft-max", "2"), ("--draft-min", "2"))
    assert flags.mtp(5)[1:] == (("--draft-max", "5"),)


@pytest.mark.parametrize("extra", [("--spec-type", "ngram-simple"), ("--spec-default",)])
def test_extra_arguments_that_own_speculation(extra: tuple[str, ...]) -> None:
    answer = plan("b9246", "mtp", 5, extra_args=extra)
    assert speculative(answer) == " ".join(extra)
    assert answer.resolved_mode is None
    assert answer.reason is None


def test_other_extra_arguments_come_last() -> None:
    answer = plan("b9246", "mtp", 5, extra_args=("--metrics", "-v"))
    assert speculative(answer).endswith("--spec-draft-n-max 5 --metrics -v")
    assert answer.resolved_mode is Mode.MTP


def test_an_option_that_the_user_sets_replaces_the_generators() -> None:
    answer = plan("b9246", "mtp", 5, extra_args=("--spec-draft-n-max", "7", "--ctx-size", "99"))
    assert answer.argv[6:] == (
        *("--spec-type", "draft-mtp"),
        *("--spec-draft-n-max", "7", "--ctx-size", "99"),
    )


@pytest.mark.parametrize("flag", ["--port", "-m", "--model", "--host"])
def test_options_that_the_user_may_not_set(flag: str) -> None:
    with pytest.raises(SubjectError, match=r"extra arguments set --(port|model|host)"):
        plan("b9246", "mtp", extra_args=(flag, "x"))


@pytest.mark.parametrize(
    ("build", "cache_type", "flags"),
    [
        ("b9246", "f16", "--cache-type-k f16 --cache-type-v f16"),
        ("b9246", "q8_0", "--cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on"),
        ("py0.3.16", "q8_0", "--cache-type-k q8_0 --cache-type-v q8_0 --flash-attn"),
    ],
)
def test_cache_type(build: str, cache_type: str, flags: str) -> None:
    answer = plan(build, "off", cache_type=cache_type, chat_template="chatml")
    assert speculative(answer) == f"{flags} --chat-template chatml"
    assert answer.reason is None


def test_a_cache_type_that_the_build_lacks() -> None:
    answer = plan("b9246", "off", cache_type="q2_9")
    assert speculative(answer) == ""
    assert answer.reason == "started with the default KV cache: this build has no q2_9"


@pytest.mark.parametrize("mode", ["mtp", "off", "auto"])
def test_a_length_out_of_range_is_refused(mode: str) -> None:
    with pytest.raises(SubjectError, match="draft length 17 is refused"):
        plan("b9246", mode, 17)


def test_it_probes_the_build_and_the_host_itself(tmp_path: Path) -> None:
    build = fake_build(tmp_path / "llama-server", "b9246")
    model = ensure_models(tmp_path / "models")["tiny-mtp"]
    plans = {}
    with open_subject("reference") as subject:
        for name in ("cpu", "cuda-spoof"):
            with open_environment(name, home=tmp_path / name) as env:
                target = LaunchTarget(binary=build, model=model, port=1, env=env)
                plans[name] = subject.plan(LoadRequest(model="tiny-mtp", mode="mtp"), target)
    assert plans["cpu"].argv[-2:] == ("--spec-draft-n-max", "3")
    assert plans["cuda-spoof"].argv[-2:] == ("--spec-draft-n-max", "2")
    assert "-ngl" in plans["cuda-spoof"].argv
    assert "-ngl" not in plans["cpu"].argv
    assert (tmp_path / "probes").read_text() == "probed\n"


def test_what_cannot_be_probed_or_read_is_a_subjects_error(tmp_path: Path) -> None:
    model = ensure_models(tmp_path / "models")["tiny-llama"]
    request = LoadRequest(model="tiny-llama", mode="off")
    with open_subject("reference") as subject, open_environment("cpu", home=tmp_path) as env:
        target = LaunchTarget(binary=tmp_path / "absent", model=model, port=1, env=env)
        with pytest.raises(SubjectError, match=r"^reference: .*absent cannot be run"):
            subject.plan(request, target)


def fake_build(path: Path, build: str) -> Path:
    """A program that answers ``--help`` as a recorded build does, and counts."""
    if sys.platform == "win32":
        pytest.skip("a script is no program on Windows")
    text = Path(__file__).parents[3] / "fixtures" / "help" / f"{build}.txt"
    path.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"open({str(path.parent / 'probes')!r}, 'a').write('probed\\n')\n"
        f"sys.stdout.write(open({str(text)!r}, encoding='utf-8').read())\n"
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("spec", ["reference", "reference@A", "reference@inverted"])
def test_open_subject(spec: str) -> None:
    with open_subject(spec) as subject:
        opened: Subject = subject
        assert opened.name == spec
        assert isinstance(opened, ReferenceSubject)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "of no known kind"),
        ("referenc", "of no known kind"),
        ("reference2", "of no known kind"),
        ("nothing:at-all", "of no known kind"),
        ("unsloth@2026.5.5", "a release is written unsloth==2026.5.5"),
        ("command:", "nothing follows the colon"),
        ("reference@F", "no such variant; there are reference, reference@A"),
        ("reference==1", "no such variant"),
    ],
)
def test_unknown_specs(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=said), open_subject(spec):
        pass
