"""``python -m tests.unit.settings.record BUILD…``: what real builds show, cut to what is read.

``BUILD:NAME`` records one command line alone.

Each build gets one file in ``recorded/``: for each command line below the arguments that the build
offers of it, and all that the witnesses read of the server it started.
"""

import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench, open_workbench
from harness.flags.capabilities import Capabilities
from harness.model import Cell, DemandedBy, LoadRequest
from harness.settings.observation import Observation, Probed
from harness.settings.state import Seen, testify
from harness.subjects.command_lines import CommandLine, StaticSubject

RECORDED: Final = Path(__file__).with_name("recorded")
KEY: Final = "secret"
TEMPLATE: Final = "{{ messages[0].content }}"

_SAMPLING: Final = (
    ("--temp", "0.5"), ("--top-k", "7"), ("--top-p", "0.75"), ("--min-p", "0.25"),
    ("--top-nsigma", "2"), ("--xtc-probability", "0.125"), ("--xtc-threshold", "0.25"),
    ("--typical", "0.875"), ("--repeat-last-n", "32"), ("--repeat-penalty", "1.25"),
    ("--presence-penalty", "0.25"), ("--frequency-penalty", "0.5"), ("--dry-multiplier", "0.75"),
    ("--dry-base", "2.5"), ("--dry-allowed-length", "3"), ("--dynatemp-range", "0.375"),
    ("--dynatemp-exp", "1.5"), ("--mirostat", "2"), ("--mirostat-ent", "4.5"),
    ("--mirostat-lr", "0.25"), ("--samplers", "top_k;temperature"), ("--seed", "42"), ("-n", "17"),
)  # fmt: skip

LINES: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "plain": (),
    "asked": (
        ("-c", "1024"), ("-np", "2"), ("-b", "256"), ("-ub", "128"), ("-ctk", "q8_0"),
        ("-ctv", "q8_0"), ("-fa", "on"), ("--cache-ram", "512"), ("--swa-checkpoints", "3"),
        ("--no-mmap",), ("--direct-io",), ("--load-mode", "dio"), ("--no-warmup",),
        ("--fit", "off"), ("--kv-unified",), ("--context-shift",), ("--rope-freq-base", "20000"),
        ("--rope-freq-scale", "0.5"), ("--chat-template", TEMPLATE), ("--jinja",),
        ("--reasoning-format", "none"), *_SAMPLING,
    ),
    "served": (
        ("-c", "512"), ("-np", "1"), ("--alias", "one,two"), ("--api-key", KEY),
        ("--api-prefix", "/v"), ("--metrics",), ("--slots",), ("--props",), ("--no-webui",),
        ("-lv", "5"), ("-t", "1"), ("-tb", "1"), ("--mlock",), ("--load-mode", "mlock"),
        ("--no-jinja",), ("--chat-template", "llama2"), ("-fa", "off"), ("--cache-ram", "0"),
        ("--no-context-shift",), ("--no-kv-unified",), ("--reasoning-format", "deepseek"),
    ),
    "managed": (
        ("-c", "512"), ("-np", "1"), ("--keep", "5"), ("-sps", "0.25"), ("--slot-save-path", "."),
        ("--checkpoint-min-step", "64"), ("--no-cache-prompt",), ("-v",),
        ("--log-file", "server.log"), ("--threads-http", "3"), ("--tags", "b,a"), ("--agent",),
        ("--tools", "all"), ("--ui-mcp-proxy",), ("--webui-mcp-proxy",), ("--fit-target", "512"),
        ("--adaptive-target", "0.25"), ("--adaptive-decay", "0.75"), ("--ignore-eos",),
        ("--logit-bias", "71+1"), ("-r", "STOP"), ("--dry-penalty-last-n", "33"),
        ("--dry-sequence-breaker", "x"),
    ),
    "chat": (
        ("-c", "512"), ("-np", "1"), ("--jinja",), ("--reasoning", "on"),
        ("--chat-template-kwargs", '{"preserve_thinking":true}'), ("--reasoning-effort", "low"),
        ("--reasoning-budget", "7"), ("--no-prefill-assistant",), ("--cpu-moe",),
        ("--grammar", 'root ::= "a"+'),
    ),
    "experts": (
        ("-c", "512"), ("-np", "1"), ("--n-cpu-moe", "1"), ("--reasoning", "off"),
        ("-ot", "output_norm=CPU"), ("--backend-sampling",), ("--kv-unified-per-slot", "256"),
        ("--cache-reuse", "16"),
    ),
    "unlimited": (("-c", "0"), ("-np", "3"), ("--cache-ram", "-1"), ("--no-slots",)),
    "embedding": (
        ("--embedding",), ("--pooling", "mean"), ("-c", "256"), ("-np", "1"), ("-ub", "128"),
    ),
    "reranking": (("--reranking",), ("-c", "256"), ("-np", "1"), ("-ub", "128")),
    "drafting": (("-md", "draft"), ("--spec-type", "draft-simple"), ("-c", "512"), ("-np", "1"),
                 ("-ctk", "q8_0"), ("-fa", "on"), ("-ctkd", "q4_0"), ("-ctvd", "q5_1"),
                 ("--draft-p-min", "0.5"), ("--draft-min", "1"), ("--spec-draft-n-min", "1")),
    "ngram": (("--spec-type", "ngram-mod"), ("-c", "512"), ("-np", "1"), ("--draft-max", "60"),
              ("--draft-min", "40"), ("--spec-ngram-size-n", "20"),
              ("--spec-ngram-mod-n-max", "60"), ("--spec-ngram-mod-n-min", "40"),
              ("--spec-ngram-mod-n-match", "20")),
    "card": (("-c", "512"), ("-np", "1"), ("-ngl", "1"), ("-dev", "CUDA1"), ("-sm", "none"),
             ("-mg", "0"), ("-nkvo",), ("-fit", "on"), ("-ot", "output_norm=CPU")),
    "cards": (("-c", "512"), ("-np", "1"), ("-ngl", "99"), ("-dev", "CUDA0,CUDA1"),
              ("-sm", "layer"), ("-ts", "3,1"), ("-kvo",), ("-fit", "on"), ("-md", "draft"),
              ("--spec-type", "draft-simple"), ("-devd", "CUDA1"), ("-ngld", "1")),
}  # fmt: skip
"""What is asked for, by the name of the recording."""

ENVIRONMENTS: Final = dict.fromkeys(("card", "cards"), "cuda-spoof:two-gpus")
"""Where it is asked for, where that is not ``cpu``."""

MODELS: Final = {"chat": "tiny-moe", "experts": "tiny-moe"}
"""What is loaded, where it is not ``tiny-llama``."""

DEADLY: Final[Mapping[str, Sequence[str]]] = {
    "py0.3.16": ("--reranking", "--reasoning-budget"),
    "b9246": ("-devd",),
    "ik-2026-04": ("-np", "-ctkd", "-ctvd", "--adaptive-target", "--adaptive-decay"),
}
"""What a build refuses, or starts with and aborts at the first prompt that is not short."""

_MODEL_PATH: Final = re.compile(r"/[^ '\"]*/(tiny-[\w-]+\.gguf)")
_MARKS: Final = (
    *("loading model tensors", "loading draft model", "creating MTP draft context"),
    "load_model]  | tid=",
    *("initializing slots, n_slots", "initializing, n_slots", "slots are idle", ": - n_max="),
    *("print_info: n_layer ", "chat template, thinking"),
    *("CUDA devices", " MiB free)", "using device", "assigned to device", "layers to GPU"),
    *("model buffer size", "KV buffer size", "RS buffer size", "no changes needed"),
)
"""Lines that say which part of the log follows."""


def main(builds: Sequence[str]) -> int:
    """Record some builds anew."""
    seen: list[Observation] = []
    with open_workbench(share_launches=False) as opened:
        bench = replace(opened, watcher=lambda _, observation: seen.append(observation))
        for wanted in builds:
            build, _, only = wanted.partition(":")
            path = RECORDED / f"{build}.json"
            recordings = json.loads(path.read_text(encoding="utf-8")) if only else {}
            for name, line in LINES.items():
                if only not in {"", name}:
                    continue
                safe = [one for one in line if one[0] not in DEADLY.get(build, ())]
                argv = _offered(safe, bench.capabilities(build))
                cell = Cell(
                    build=build,
                    subject="recorded",
                    environment=ENVIRONMENTS.get(name, "cpu"),
                    request=LoadRequest(model=MODELS.get(name, "tiny-llama"), mode=None),
                    demanded_by=DemandedBy.COMMAND_LINE,
                )
                observation = _observed(cell, argv, bench, seen)
                if observation is None:
                    print(f"{build} {name}: not seen")
                    continue
                recordings[name] = {"argv": shlex.join(argv), **_written(_cut(observation))}
            path.write_text(_as_text(recordings), encoding="utf-8")
    return 0


def _as_text(recordings: Mapping[str, Mapping[str, Any]]) -> str:
    """JSON with a line for each part, and for each line of a log."""
    parts = []
    for name, recording in recordings.items():
        lines = []
        for key, value in recording.items():
            logged = key.endswith("_lines") and value
            lines.append(
                f"  {json.dumps(key)}: "
                + (json.dumps(value, indent=3)[:-1] + "  ]" if logged else json.dumps(value))
            )
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _offered(line: Sequence[tuple[str, ...]], capabilities: Capabilities) -> list[str]:
    argv: list[str] = []
    for flag, *values in line:
        option = capabilities.option(flag)
        if option is None or option.removed:
            continue
        if flag == "--spec-type" and values[0] not in capabilities.speculative_types:
            continue
        argv += [flag, *((values or ["on"]) if option.placeholder else ())]
    return argv


def _observed(
    cell: Cell, argv: Sequence[str], bench: Workbench, seen: list[Observation]
) -> Observation | None:
    seen.clear()
    bench.add_subject(StaticSubject(cell.subject, CommandLine(words=tuple(argv))))
    result = run_cell(cell, bench)
    bad = [check.observed for check in result.checks if not check.ok]
    reason = result.failure and result.failure.message
    print(cell.build, result.status.value, reason, *bad, flush=True)
    return seen[0] if seen else None


def _cut(observation: Observation) -> Observation:
    """What is left when all goes that no witness reads."""
    whole = testify(observation)
    startup = tuple(
        line
        for line in observation.startup_lines
        if any(mark in line for mark in _MARKS) or _is_read(observation, "startup_lines", line)
    )
    run = tuple(line for line in observation.run_lines if _is_read(observation, "run_lines", line))
    metrics = observation.metrics
    if metrics is not None:
        metrics = "\n".join(one for one in metrics.splitlines() if "llamacpp:spec_decode" in one)
    cut = replace(observation, startup_lines=startup, run_lines=run, metrics=metrics)
    for part in ("completion", "properties", "slots", "models"):
        shorter: Any = {part: _shortest(cut, part, getattr(cut, part))}
        cut = replace(cut, **shorter)
    if cut.probed is not None:
        said = tuple(line for line in cut.probed.lines if _is_read(cut, "probed", line))
        cut = replace(cut, probed=replace(cut.probed, lines=said, chat=None))
        for part in ("defaults", "prompts", "adapters"):
            shorter = {part: _shortest(cut, part, getattr(cut.probed, part))}
            assert cut.probed is not None
            cut = replace(cut, probed=replace(cut.probed, **shorter))
    read = read_observation(json.loads(_MODEL_PATH.sub(r"/models/\1", json.dumps(_written(cut)))))
    now = testify(read)
    changed = [name for name, told in _values(whole).items() if told != _values(now)[name]]
    assert not changed, f"the cut changed what is read of {changed}"
    return read


def _is_read(observation: Observation, part: str, line: str) -> bool:
    bare = Observation(
        build_number=observation.build_number,
        completion={"timings": {"predicted_n": 128}},
        slots=(),
        metrics=None,
        startup_lines=("loading model tensors",),
        run_lines=(),
        fork=observation.fork,
    )
    if part == "probed":
        changed: Any = {"probed": Probed(lines=(line,))}
        bare = replace(bare, probed=Probed())
    else:
        changed = {part: (*getattr(bare, part), line)}
    return _values(testify(bare)) != _values(testify(replace(bare, **changed)))


def _shortest(observation: Observation, part: str, value: Any) -> Any:
    """A part without the keys that nothing reads."""
    wanted = _values(testify(observation))

    def suffices(new: Any) -> bool:
        changed: Any = {part: new}
        if hasattr(observation.probed, part):
            assert observation.probed is not None
            changed = {"probed": replace(observation.probed, **changed)}
        return _values(testify(replace(observation, **changed))) == wanted

    return _cut_value(value, suffices)


def _cut_value(value: Any, suffices: Callable[[Any], bool]) -> Any:
    if isinstance(value, list | tuple):
        items = list(value)
        for place in range(len(items)):
            items[place] = _cut_value(items[place], partial(_suffices_at, suffices, items, place))
        return items
    if not isinstance(value, Mapping):
        return value
    left = dict(value)
    for key in value:
        less = {name: one for name, one in left.items() if name != key}
        if suffices(less):
            left = less
        else:
            left[key] = _cut_value(left[key], partial(_suffices_at, suffices, left, key))
    return left


def _suffices_at(suffices: Callable[[Any], bool], whole: Any, place: Any, value: Any) -> bool:
    changed = copy(whole)
    changed[place] = value
    return suffices(changed)


def _values(seen: Seen) -> Mapping[str, object]:
    """What is told, but for details."""
    return {name: [replace(one, detail="") for one in told] for name, told in seen.items()}


def _written(observation: Observation) -> dict[str, Any]:
    written = {
        one.name: getattr(observation, one.name)
        for one in fields(Observation)
        if getattr(observation, one.name) != one.default
    }
    endpoints = (name for name in observation.switched_on if "ENDPOINT" in name)
    written["switched_on"] = sorted(endpoints)
    if observation.probed is not None:
        tried = asdict(observation.probed)
        written["probed"] = {
            **tried,
            "written": [f"/{Path(path).name}" for path in observation.probed.written],
        }
    return written


def read_observation(written: Mapping[str, Any]) -> Observation:
    """An observation as it was written."""
    probed = written.get("probed")
    tuples = ("slots", "models", "startup_lines", "run_lines")
    if probed is not None:
        lists = {name: tuple(probed[name]) for name in ("full", "lines") if probed[name]}
        probed = Probed(**{**probed, **lists, "written": frozenset(probed["written"])})
    return Observation(
        **{
            **written,
            **{name: tuple(written.get(name, ())) for name in tuples},
            "switched_on": frozenset(written.get("switched_on", ())),
            "probed": probed,
        }
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
