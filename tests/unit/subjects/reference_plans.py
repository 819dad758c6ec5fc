"""Plans of the reference subject on the recorded builds and on a fork that never was released."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from harness.flags.capabilities import Capabilities, parse_help
from harness.model import Gpu, HostProfile, LaunchPlan, LaunchTarget, LoadRequest, TinyModel
from harness.subjects.reference.model_facts import ModelFacts
from harness.subjects.reference.variants import variant

CPU = HostProfile()
GPU = HostProfile(gpus=(Gpu(index=0, name="GPU", memory_total_mib=8192, memory_free_mib=8000),))

MTP_4B = ModelFacts(has_mtp=True, parameters=4_000_000_000)
MTP_1B = ModelFacts(has_mtp=True, parameters=1_000_000_000)
MTP_UNKNOWN = ModelFacts(has_mtp=True, parameters=None)
PLAIN = ModelFacts(has_mtp=False, parameters=8_000_000_000)

HELP = Path(__file__).parents[3] / "fixtures" / "help"
BUILDS = ("py0.3.16", "b8929", "b9093", "b9246", "b9464", "b10435", "b11434", "fork")
"""``fork``: legacy flags with an ``mtp`` token and a type list."""

DRAFT = Path("/models/draft.gguf")


@cache
def capabilities_of(build: str) -> Capabilities:
    fork = Path(__file__).parent / "legacy_fork_help.txt"
    path = fork if build == "fork" else HELP / f"{build}.txt"
    return parse_help(path.read_text(encoding="utf-8"))


def plan(
    build: str,
    mode: str | None,
    n: int | None = None,
    *,
    host: HostProfile = CPU,
    model: ModelFacts = MTP_4B,
    extra_args: tuple[str, ...] = (),
    cache_type: str | None = None,
    chat_template: str | None = None,
    draft: Path | None = DRAFT,
    variant_of: str = "",
) -> LaunchPlan:
    request = LoadRequest(
        model="m",
        mode=mode,
        draft_n_max=n,
        extra_args=extra_args,
        cache_type=cache_type,
        chat_template=chat_template,
    )
    target = LaunchTarget(
        binary=Path("/llama-server"),
        model=TinyModel(
            name="m",
            path=Path("/models/m.gguf"),
            has_mtp=model.has_mtp,
            parameters=0,
            draft_path=draft,
        ),
        port=4321,
        env={},
    )
    return variant(variant_of).plan_for(
        request, target, capabilities=capabilities_of(build), host=host, model=model
    )


BASE = ("-m", str(Path("/models/m.gguf")), "--host", "127.0.0.1", "--port", "4321", "-c", "512")


def speculative(plan: LaunchPlan) -> str:
    """What follows the base flags, as one line."""
    assert plan.argv[: len(BASE)] == BASE
    return " ".join(plan.argv[len(BASE) :])


def emitted(argv: Sequence[str], capabilities: Capabilities) -> list[str]:
    """The flags of a command line whose options are known, by whether they take a value."""
    flags, words = [], list(argv)
    while words:
        flag = words.pop(0)
        flags.append(flag)
        option = capabilities.option(flag)
        if option is not None and option.takes_value:
            words.pop(0)
    return flags
