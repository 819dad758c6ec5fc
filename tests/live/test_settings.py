"""Every setting on a real command line: its value and its witnesses, and each turned by another."""

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.flags.capabilities import Capabilities
from harness.gguf_models.writer import write_adapter, write_projector
from harness.model import Cell, CellResult, DemandedBy, LoadRequest
from harness.settings.base import EFFECT
from harness.settings.state import SETTINGS
from harness.subjects.command_lines import StaticSubject, server_arguments

pytestmark = pytest.mark.live

OLD, B8929, B9246, B9464, NEW = BUILDS = ("py0.3.16", "b8929", "b9246", "b9464", "b11434")
EARLIER = {OLD, B8929, B9246, B9464}

OF_THE_HOST = {"host", "threads", "threads_batch"}
"""Settings whose value the harness replaces on every command line, and says so."""
ELSEWHERE = {"speculation", "port", "model", "models", "model_ids"}
"""In ``test_witness_eras``, and below the table."""

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
SIMPLE = "--spec-type draft-simple"
"""What a draft model needs since b9464."""
UNTOLD = None
"""The harness switches the endpoint on itself where a command line does not."""
BUILT_IN_BREAKERS = {name: ["\n", ":", '"', "*"] for name in EARLIER}
NO_BIAS: Mapping[str, list[str]] = {name: [] for name in EARLIER}
WITH_SIMPLE = (f"--draft-p-min 0.3 {SIMPLE}", f"--draft-p-min 0.4 {SIMPLE}")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One setting that a command line sets, and a mutant of it.

    Attributes:
        value: What is then effective.
        other: What the mutant has in place of the words.
        became: What is effective then.
        witnesses: Those that tell it, on every build but those of ``witnessed``.
        spelled: By build, other words and those of the mutant.
        absent: Builds that offer no such flag.
        dies: Builds that need another model for it than the harness has.
        aborts: Builds that end by it, whatever the model.
        untold: Builds where nothing tells it.
        vain: Builds that take it and do nothing of it, with what is effective there.
    """

    setting: str
    words: str
    value: Any
    other: str
    became: Any
    witnesses: str
    witnessed: Mapping[str, str] = field(default_factory=dict)
    spelled: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    dies: frozenset[str] = frozenset()
    aborts: frozenset[str] = frozenset()
    untold: frozenset[str] = frozenset()
    vain: Mapping[str, Any] = field(default_factory=dict)

    def line(self, build: str, *, mutant: bool) -> str:
        return self.spelled.get(build, (self.words, self.other))[mutant]

    def flag(self, build: str, *, mutant: bool) -> str | None:
        """What it is set by; None where that is the flag of another setting."""
        return next(iter(self.line(build, mutant=mutant).split()), None)

    def told_by(self, build: str) -> set[str]:
        return set(self.witnessed.get(build, self.witnesses).split())


def case(  # noqa: PLR0917 - a row of a table
    setting: str, words: str, value: Any, other: str, became: Any, witnesses: str, **rest: Any
) -> Case:
    for name in ("absent", "dies", "aborts", "untold"):
        rest[name] = frozenset(rest.get(name, ()))
    return Case(
        setting=setting, words=words, value=value, other=other, became=became,
        witnesses=witnesses, **rest,
    )  # fmt: skip


def pair(setting: str, flag: str, value: Any, became: Any, witnesses: str, **rest: Any) -> Case:
    """One flag with two values that are effective as they are written."""
    return case(setting, f"{flag} {value}", value, f"{flag} {became}", became, witnesses, **rest)


BOTH = "props request"
GROUPS: Mapping[str, tuple[str, tuple[Case, ...]]] = {
    "sampling": (
        "-c 512",
        (
            pair("temperature", "--temp", 0.3, 0.4, BOTH),
            pair("top_k", "--top-k", 7, 8, BOTH),
            pair("top_p", "--top-p", 0.5, 0.6, BOTH),
            pair("min_p", "--min-p", 0.2, 0.3, BOTH),
            pair("top_n_sigma", "--top-nsigma", 2, 3, BOTH, absent={OLD}),
            pair("xtc_probability", "--xtc-probability", 0.3, 0.4, BOTH),
            pair("xtc_threshold", "--xtc-threshold", 0.2, 0.3, BOTH),
            pair("typical_p", "--typical", 0.5, 0.6, BOTH),
            pair("repeat_last_n", "--repeat-last-n", 33, 34, BOTH),
            pair("repeat_penalty", "--repeat-penalty", 1.3, 1.4, BOTH),
            pair("presence_penalty", "--presence-penalty", 0.3, 0.4, BOTH),
            pair("frequency_penalty", "--frequency-penalty", 0.3, 0.4, BOTH),
            pair("dry_multiplier", "--dry-multiplier", 0.3, 0.4, BOTH),
            pair("dry_base", "--dry-base", 1.5, 1.6, BOTH),
            pair("dry_allowed_length", "--dry-allowed-length", 3, 4, BOTH),
            pair("dry_penalty_last_n", "--dry-penalty-last-n", 33, 34, BOTH),
            # A request that names none has the built-in ones, whatever the command line says.
            case("dry_sequence_breakers", "--dry-sequence-breaker x", ["x"],
                 "--dry-sequence-breaker y", ["y"], "request", vain=BUILT_IN_BREAKERS),
            pair("adaptive_target", "--adaptive-target", 0.3, 0.4, BOTH,
                 absent={OLD}, untold={B8929, B9246, B9464}),
            pair("adaptive_decay", "--adaptive-decay", 0.3, 0.4, BOTH,
                 absent={OLD}, untold={B8929, B9246, B9464}),
            pair("dynatemp_range", "--dynatemp-range", 0.3, 0.4, BOTH),
            pair("dynatemp_exponent", "--dynatemp-exp", 1.3, 1.4, BOTH),
            pair("mirostat", "--mirostat", 1, 2, BOTH),
            pair("mirostat_tau", "--mirostat-ent", 4, 3, BOTH),
            pair("mirostat_eta", "--mirostat-lr", 0.2, 0.3, BOTH),
            case("samplers", "--samplers top_k;min_p", ["top_k", "min_p"],
                 "--samplers top_k;top_p", ["top_k", "top_p"], BOTH),
            pair("seed", "--seed", 42, 43, BOTH),
            pair("n_predict", "-n", 77, 78, "request slots",
                 witnessed={OLD: "slots", NEW: "request"}),
            case("ignore_eos", "--ignore-eos", True, "", False, BOTH),
            case("logit_bias", "--logit-bias 65+1", ["65+1"], "--logit-bias 66-2", ["66-2"],
                 "request",
                 vain=NO_BIAS),
            case("grammar", "--grammar 'root ::= \"a\"*'", 'root ::= "a"*',
                 "--grammar 'root ::= \"a\"+'", 'root ::= "a"+', "request"),
            case("stop", "--reverse-prompt zz", ["zz"], "--reverse-prompt yy", ["yy"],
                 "completion"),
            pair("keep", "--keep", 5, 6, "completion request"),
            case("tensor_overrides", "-ot ffn_up=CPU", ["blk.0.ffn_up.weight=CPU"],
                 "-ot ffn_down=CPU", ["blk.0.ffn_down.weight=CPU"], "startup-log"),
            case("direct_io", "-dio", True, "", False, "startup-log", absent={OLD},
                 spelled={NEW: ("-lm dio", "-lm mmap")}),
        ),
    ),
    "memory": (
        "-np 2",
        (
            pair("context", "-c", 1024, 2048, "startup-log"),
            pair("slots", "-np", 4, 2, "props slots startup-log"),
            case("kv_unified", "-kvu", True, "", False, "startup-log"),
            case("rope_freq_base", "--rope-freq-base 20000", 2e4, "--rope-freq-base 3e4", 3e4,
                 "startup-log"),
            case("rope_freq_scale", "--rope-freq-scale 0.5", 0.5, "--rope-scale 4", 0.25,
                 "startup-log"),
            pair("batch", "-b", 256, 128, "startup-log"),
            pair("ubatch", "-ub", 64, 32, "startup-log"),
            pair("cache_type_k", "-ctk", "q8_0", "q4_0", "startup-log"),
            pair("cache_type_v", "-ctv", "bf16", "f32", "startup-log"),
            pair("flash_attention", "-fa", "on", "off", "startup-log",
                 spelled={OLD: ("-fa", "")}),
            pair("prompt_cache", "--cache-ram", 100, 0, "startup-log", absent={OLD}),
            case("prompts_cached", "--no-cache-prompt", False, "", True, "request", absent={OLD}),
            pair("context_checkpoints", "--ctx-checkpoints", 5, 6, "startup-log",
                 spelled={OLD: ("--swa-checkpoints 5", "--swa-checkpoints 6")},
                 untold={OLD, B8929, B9246}),
            case("checkpoint_spacing", "--checkpoint-min-step 100", 100,
                 "--checkpoint-min-step 99", 99,
                 "startup-log", absent={OLD, B8929, B9246}),
            case("mmap", "--no-mmap", False, "", True, "startup-log buffers",
                 spelled={NEW: ("-lm none", "-lm mmap")}),
            case("warmup", "--no-warmup", False, "", True, "startup-log"),
            pair("fit_target", "-fitt", 512, 256, "startup-log", absent={OLD}),
            case("context_trained", "--override-kv llama.context_length=int:4096", 4096, "", 8192,
                 "startup-log"),
        ),
    ),
    "context": (
        "-c 512 -np 1",
        (
            case("context_per_slot", "-c 768", 768, "-c 512", 512,
                 "slots props refusal full-prompt",
                 witnessed={OLD: "slots props full-prompt"}),
            case("context_shift", "--context-shift", True, "--no-context-shift", False,
                 "full-prompt",
                 spelled={OLD: ("", "--no-context-shift")}),
            pair("cache_reuse", "--cache-reuse", 64, 65, "run-log"),
            pair("slot_similarity", "-sps", 0.3, 0.4, "run-log", untold={OLD}),
            case("slot_saving", "--slot-save-path {folder}", True, "", False, "request"),
            case("fit", "-fit off", False, "", True, "startup-log", absent={OLD}),
            case("backend_sampling", "--backend-sampling", True, "", False, BOTH, absent={OLD}),
            case("jinja", "--no-jinja", False, "--jinja", True, "request-with-tools",
                 spelled={OLD: ("", "--jinja")}),
            case("prefill", "--no-prefill-assistant", False, "", True, "template"),
            case("template", "--chat-template-file {folder}/one.jinja", digest(TEMPLATE),
                 "--chat-template-file {folder}/two.jinja", digest(TEMPLATE + "!"), "props"),
            case("reasoning_format", "--reasoning-format none", "none",
                 "--reasoning-format deepseek", "deepseek", "completion request"),
            case("lora", "--lora {folder}/one.gguf", ["one.gguf:1"],
                 "--lora {folder}/two.gguf --lora-scaled {folder}/one.gguf:0.5",
                 ["two.gguf:1", "one.gguf:0.5"], "lora-adapters",
                 spelled={OLD: ("--lora {folder}/one.gguf",
                                "--lora {folder}/two.gguf --lora-scaled {folder}/one.gguf 0.5")}),
        ),
    ),
    "serving": (
        "-c 512 --jinja",
        (
            pair("model_id", "--alias", "one", "two", "models props",
                 witnessed={OLD: "models"}),
            case("aliases", "", ["one"], "", ["two"], "models", untold={OLD}),
            case("auth", "--api-key secret", True, "", False, "request-without-key"),
            # With a prefix before it, no path is open to who has no key.
            case("auth_models", "", True, "", False, "request-without-key"),
            pair("api_prefix", "--api-prefix", "/x", "/y", "request"),
            case("metrics", "--metrics", True, "", UNTOLD, "request"),
            case("slots_endpoint", "--no-slots", False, "--slots", True, "request"),
            case("props_endpoint", "--props", True, "", False, "request props",
                 witnessed={OLD: "request"}),
            case("ui", "--no-webui", False, "", True, "props", witnessed={OLD: "request"}),
            # The harness's own file stands for one outside the launch's directory.
            case("log_file", "--log-file {folder}/one.log", "server.log", "", UNTOLD, "open-files"),
            pair("threads_http", "--threads-http", 5, 6, "startup-log"),
            pair("pooling", "--pooling", "mean", "cls", "startup-log", untold={OLD}),
            case("tags", "--tags b,a", ["a", "b"], "--tags c", ["c"], "models", absent={OLD}),
            case("tools", "--tools read_file", ["read_file"], "--tools edit_file,read_file",
                 ["edit_file", "read_file"], "request", absent={OLD}),
            case("mcp_proxy", "--webui-mcp-proxy", True, "", False, "props", absent={OLD},
                 untold={B8929}),
            case("mlock", "--mlock", True, "", False, "locked-memory",
                 spelled={NEW: ("-lm mlock", "-lm mmap")},
                 witnessed={NEW: "locked-memory startup-log"}),
            case("multimodal", "--mmproj {folder}/projector.gguf", True, "", False,
                 "props startup-log"),
        ),
    ),
    "embeddings": (
        "-c 512",
        (
            case("embeddings", "--embeddings", True, "", False, "request"),
            pair("verbosity", "-lv", 5, 4, "startup-log", untold={OLD, B8929}),
            pair("load_mode", "-lm", "mmap+mlock", "none", "startup-log",
                 absent=EARLIER),
        ),
    ),
    "reranking": (
        "-c 512",
        (case("reranking", "--reranking", True, "", False, "request", dies={OLD}),),
    ),
    "ngrams": (
        "-c 512 --spec-type ngram-mod",
        (
            pair("ngram_match", "--spec-ngram-mod-n-match", 20, 21, "startup-log", absent={OLD},
                 spelled={B8929: ("--spec-ngram-size-n 20", "--spec-ngram-size-n 21")}),
            pair("ngram_min", "--spec-ngram-mod-n-min", 40, 41, "startup-log", absent={OLD, B8929}),
        ),
    ),
    "drafts": (
        "-c 512 -md draft.gguf",
        (
            pair("draft_min", "--spec-draft-n-min", 2, 1, "startup-log",
                 witnessed=dict.fromkeys((OLD, B8929), "completion"),
                 spelled=dict.fromkeys((OLD, B8929), ("--draft-min 2", "--draft-min 1"))),
            pair("draft_p_min", "--draft-p-min", 0.3, 0.4, "startup-log",
                 witnessed=dict.fromkeys((OLD, B8929), "completion"),
                 spelled=dict.fromkeys((B9464, NEW), WITH_SIMPLE)),
            pair("draft_cache_type_k", "-ctkd", "q8_0", "f32", "startup-log"),
            pair("draft_cache_type_v", "-ctvd", "bf16", "f32", "startup-log"),
        ),
    ),
    "tiny-moe": (
        "-c 512 --jinja",
        (
            case("thinking", "--reasoning off", False, "--reasoning on", True,
                 "startup-log template",
                 absent={OLD}),
            case("template_variables",
                 """--chat-template-kwargs '{"preserve_thinking":true,"clear_thinking":true}'""",
                 {"preserve_thinking=true", "clear_thinking=true"},
                 """--chat-template-kwargs '{"preserve_thinking":false,"clear_thinking":false}'""",
                 {"preserve_thinking=false", "clear_thinking=false"}, "template"),
            case("reasoning_effort", "--reasoning-effort high", "high", "--reasoning-effort low",
                 "low",
                 "template", absent=EARLIER),
            pair("reasoning_budget", "--reasoning-budget", 77, 0, "run-log",
                 untold={OLD}, spelled={OLD: ("--reasoning-budget 0", "--reasoning-budget -1")}),
            case("verbose", "-v", True, "", False, "request-with-tools"),
            case("experts_on_cpu", "--cpu-moe", "all", "--n-cpu-moe 1", 1, "startup-log"),
        ),
    ),
    "one card": (
        "-c 512",
        (
            case("devices", "-dev CUDA1", ["CUDA1"], "-dev CUDA0", ["CUDA0"],
                 "startup-log buffers"),
            pair("gpu_layers", "-ngl", "2/2", "1/2", "startup-log layers",
                 spelled=dict.fromkeys(BUILDS, ("-ngl 99", "-ngl 1"))),
        ),
    ),
    "two cards": (
        "-c 512 -ngl 99",
        (
            case("split_mode", "-sm none", "one device", "-sm layer", "layer", "startup-log"),
            case("kv_placement", "-nkvo", ["CPU"], "", ["CUDA0"], "startup-log"),
            case("main_gpu", "-mg 1", "CUDA1", "-mg 0", UNTOLD, "startup-log"),
            case("fit_outcome", "-fit on", "nothing changed", "-fit off", UNTOLD, "startup-log",
                 absent={OLD}),
        ),
    ),
    "shares of cards": (
        "-c 512 -ngl 99",
        (case("tensor_split", "-ts 3,1", [2, 0], "-ts 1,1", [1, 1], "layers"),),
    ),
    "drafts on cards": (
        "-c 512 -md draft.gguf",
        (
            case("draft_devices", "-devd CUDA1", ["CUDA1"], "", ["CUDA0", "CUDA1"],
                 "startup-log buffers", aborts={B9246},
                 spelled=dict.fromkeys((B9464, NEW), (f"-devd CUDA1 {SIMPLE}", SIMPLE))),
            case("draft_gpu_layers", "-ngld 1", "1/2", "-ngld 99", "2/2", "startup-log layers"),
        ),
    ),
}  # fmt: skip

OF_TWO_SETTINGS = {"-fit"}
"""Flags that are seen by another setting where one is not told."""

ENVIRONMENTS = dict.fromkeys(
    ("one card", "two cards", "shares of cards", "drafts on cards"), "cuda-spoof:two-gpus"
)
"""Where a group is launched, where that is not ``cpu``."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files")
    write_adapter(path / "one.gguf")
    write_adapter(path / "two.gguf")
    write_projector(path / "projector.gguf")
    (path / "one.jinja").write_text(TEMPLATE)
    (path / "two.jinja").write_text(TEMPLATE + "!")
    return path


def launch(
    workbench: Workbench,
    build: str,
    words: str,
    model: str = "tiny-llama",
    environment: str = "cpu",
) -> CellResult:
    name = hashlib.sha256(words.encode()).hexdigest()
    workbench.add_subject(StaticSubject(name, server_arguments(shlex.split(words), "test")))
    return run_cell(
        Cell(
            build=build,
            subject=name,
            environment=environment,
            request=LoadRequest(model=model, mode=None),
            demanded_by=DemandedBy.COMMAND_LINE,
        ),
        workbench,
    )


def offered(cases: tuple[Case, ...], build: str, capabilities: Capabilities) -> Iterator[Case]:
    """The cases that a build has a flag for; all others are those that say so."""
    for one in cases:
        flag = one.flag(build, mutant=False) or one.flag(build, mutant=True)
        assert flag is None or capabilities.offers(flag) is (build not in one.absent), (build, flag)
        if build not in one.absent:
            yield one


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("group", GROUPS)
def test_each_setting_is_seen_and_turned(
    workbench: Workbench, folder: Path, group: str, build: str
) -> None:
    common, cases = GROUPS[group]
    there = [*offered(cases, build, workbench.capabilities(build))]
    if not there:
        return
    model = group if group.startswith("tiny-") else "tiny-llama"
    for mutant in (False, True):
        words = " ".join([common, *(one.line(build, mutant=mutant) for one in there)])
        words = words.replace("{folder}", str(folder))
        environment = ENVIRONMENTS.get(group, "cpu")
        if environment != "cpu" and (absent := workbench.layer(build, environment).absent):
            pytest.skip(f"{build} finds no card: {absent}")
        result = launch(workbench, build, words, model, environment)
        if any(build in one.dies | one.aborts for one in there) and not mutant:
            assert result.effective is None
            continue
        assert result.effective is not None, (words, result.failure)
        lacks = {one.argument for one in result.checks if not one.ok and one.name == EFFECT}
        vain = {one.flag(build, mutant=mutant) for one in there if build in one.vain}
        assert lacks == vain, result.checks
        for one in there:
            assert_seen(one, result, mutant=mutant)


def assert_seen(one: Case, result: CellResult, *, mutant: bool) -> None:
    build, effective = result.build, result.effective or {}
    flag = one.flag(build, mutant=mutant)
    where = (build, one.setting, result.argv)
    wanted = one.vain.get(build, one.became if mutant else one.value)
    if build in one.untold or wanted is UNTOLD:
        assert one.setting not in effective, where
        assert flag is None or flag in result.not_seen or flag in OF_TWO_SETTINGS, where
        return
    if SETTINGS[one.setting].families:
        assert flag not in result.not_seen, where
    seen = effective[one.setting]
    assert wanted <= {*seen} if isinstance(wanted, set) else seen == wanted, (*where, seen)
    assert set(result.witnessed_by[one.setting]) == one.told_by(build), where


@pytest.mark.parametrize("build", BUILDS)
def test_the_model_and_the_port_are_those_of_the_cell(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, build: str
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(workbench, "watcher", lambda _, observation: seen.append(observation))
    for model in ("tiny-llama", "tiny-draft"):
        result = launch(workbench, build, "-c 1111", model)
        assert result.effective is not None
        assert result.effective["model"] == model
        assert result.witnessed_by["model"] == ("props",)
        assert result.witnessed_by["port"] == ("request", "startup-log")
    ports = [[one.value for one in SETTINGS["port"].testify(observation)] for observation in seen]
    assert {len({*told}) for told in ports} == {1}
    assert len({told[0] for told in ports}) == len(ports)


@pytest.mark.parametrize("build", BUILDS)
def test_the_models_of_a_router(workbench: Workbench, tmp_path: Path, build: str) -> None:
    preset = tmp_path / "models.ini"
    words = f"--models-preset {preset}"
    if not workbench.capabilities(build).offers("--models-preset"):
        assert build == OLD
        return
    for sections, temperature in ((("one", "two"), 0.3), (("one",), 0.4)):
        text = "".join(f"[{name}]\nmodel = {name}.gguf\n" for name in sections)
        preset.write_text(f"{text}temp = {temperature}\n")
        result = launch(workbench, build, f"{words} --metrics" if len(sections) > 1 else words)
        assert result.effective is not None, result.failure
        assert result.effective["model_ids"] == [*sections]
        models = result.effective["models"]
        assert {name: models[name]["loads"] for name in models} == dict.fromkeys(sections, True)
        assert models[sections[-1]]["temperature"] == temperature
        assert result.witnessed_by["models"] == ("load-request",)
        assert result.witnessed_by["model_ids"] == ("models",)


def test_no_setting_is_left_out() -> None:
    told = {one.setting for _, cases in GROUPS.values() for one in cases}
    assert told | OF_THE_HOST | ELSEWHERE == SETTINGS.keys()
