"""What command lines wish, and every flag and variable of every era that says so.

The one table of spellings: what is asked for, who is to blame and what to write instead are read
from it. Most were renamed in b8955 (ggml-org/llama.cpp PR 22397).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from harness.flags.arguments import Argument


@dataclass(frozen=True, kw_only=True)
class Family:
    """One wish.

    Attributes:
        flags: Every spelling, the newest first.
        variables: Every environment variable, the newest first.
        negations: Spellings that wish the opposite.
        negating_variables: Variables that wish the opposite, whatever their value: builds look
            only whether they are set.
    """

    flags: tuple[str, ...]
    variables: tuple[str, ...] = ()
    negations: tuple[str, ...] = ()
    negating_variables: tuple[str, ...] = ()

    @property
    def all_variables(self) -> tuple[str, ...]:
        """Those that wish the opposite as well."""
        return (*self.variables, *self.negating_variables)

    def __contains__(self, flag: object) -> bool:
        return flag in self.flags or flag in self.negations

    def is_set_by(self, argument: Argument) -> bool:
        """Whether an argument or variable is of this family, in any spelling of its option."""
        return not self.words.isdisjoint(argument.all_spellings)

    @cached_property
    def words(self) -> frozenset[str]:
        """Every flag and variable of the family."""
        return frozenset((*self.flags, *self.negations, *self.all_variables))

    def is_negated_by(self, argument: Argument) -> bool:
        """Whether an argument or variable of this family wishes the opposite."""
        return argument.spelling in {*self.negations, *self.negating_variables}


SPEC_TYPE: Final = Family(flags=("--spec-type",), variables=("LLAMA_ARG_SPEC_TYPE",))
SPEC_DEFAULT: Final = Family(flags=("--spec-default",))
MTP_SWITCH: Final = Family(flags=("--multi-token-prediction", "-mtp"))
"""In ik_llama.cpp."""

DRAFT_MAX: Final = Family(
    flags=("--spec-draft-n-max", "--draft-max", "--draft-n", "--draft"),
    variables=("LLAMA_ARG_SPEC_DRAFT_N_MAX", "LLAMA_ARG_DRAFT_MAX"),
)
DRAFT_MIN: Final = Family(
    flags=("--spec-draft-n-min", "--draft-min", "--draft-n-min"),
    variables=("LLAMA_ARG_SPEC_DRAFT_N_MIN", "LLAMA_ARG_DRAFT_MIN"),
)
DRAFT_P_MIN: Final = Family(
    flags=("--spec-draft-p-min", "--draft-p-min"),
    variables=("LLAMA_ARG_SPEC_DRAFT_P_MIN", "LLAMA_ARG_DRAFT_P_MIN"),
)
NGRAM_MOD_MAX: Final = Family(flags=("--spec-ngram-mod-n-max",))
NGRAM_MOD_MIN: Final = Family(flags=("--spec-ngram-mod-n-min",))
NGRAM_MOD_MATCH: Final = Family(flags=("--spec-ngram-mod-n-match", "--spec-ngram-size-n"))

MODEL: Final = Family(flags=("--model", "-m"), variables=("LLAMA_ARG_MODEL",))
REMOTE_MODEL: Final = Family(
    flags=("--hf-repo", "-hf", "-hfr", "--model-url", "-mu", "--docker-repo", "-dr"),
    variables=("LLAMA_ARG_HF_REPO", "LLAMA_ARG_MODEL_URL", "LLAMA_ARG_DOCKER_REPO"),
)
HUB_MODEL: Final = Family(flags=("--hf-repo", "-hf", "-hfr"), variables=("LLAMA_ARG_HF_REPO",))
"""Those of ``REMOTE_MODEL`` that name a model as ``user/model[:quant]``."""
DRAFT_MODEL: Final = Family(
    flags=("--model-draft", "--spec-draft-model", "-md", "--draft-model"),
    variables=("LLAMA_ARG_SPEC_DRAFT_MODEL", "LLAMA_ARG_MODEL_DRAFT"),
)
REMOTE_DRAFT_MODEL: Final = Family(
    flags=("--spec-draft-hf-repo", "--hf-repo-draft", "-hfrd", "-hfd")
)
GPU_LAYERS: Final = Family(
    flags=("--gpu-layers", "--n-gpu-layers", "-ngl"), variables=("LLAMA_ARG_N_GPU_LAYERS",)
)
CONTEXT_SHIFT: Final = Family(
    flags=("--context-shift",),
    variables=("LLAMA_ARG_CONTEXT_SHIFT",),
    negations=("--no-context-shift",),
    negating_variables=("LLAMA_ARG_NO_CONTEXT_SHIFT",),
)
FIT: Final = Family(flags=("--fit", "-fit"), variables=("LLAMA_ARG_FIT",))
CPU_EXPERTS: Final = Family(flags=("--cpu-moe", "-cmoe"), variables=("LLAMA_ARG_CPU_MOE",))
N_CPU_EXPERTS: Final = Family(flags=("--n-cpu-moe", "-ncmoe"), variables=("LLAMA_ARG_N_CPU_MOE",))
REASONING: Final = Family(flags=("--reasoning", "-rea"), variables=("LLAMA_ARG_REASONING",))
REASONING_EFFORT: Final = Family(
    flags=("--reasoning-effort",), variables=("LLAMA_ARG_REASONING_EFFORT",)
)
REASONING_BUDGET: Final = Family(
    flags=("--reasoning-budget",), variables=("LLAMA_ARG_THINK_BUDGET",)
)
TEMPLATE_VARIABLES: Final = Family(
    flags=("--chat-template-kwargs",),
    variables=("LLAMA_ARG_CHAT_TEMPLATE_KWARGS", "LLAMA_CHAT_TEMPLATE_KWARGS"),
)
HTTP_THREADS: Final = Family(flags=("--threads-http",), variables=("LLAMA_ARG_THREADS_HTTP",))
OF_EXPERTS_AND_THINKING: Final = (
    CPU_EXPERTS,
    N_CPU_EXPERTS,
    REASONING,
    REASONING_EFFORT,
    REASONING_BUDGET,
    TEMPLATE_VARIABLES,
)
"""What only a model tells that has experts, and a template that can think."""

MAIN_DEVICE: Final = Family(flags=("--device", "-dev"), variables=("LLAMA_ARG_DEVICE",))
DRAFT_DEVICE: Final = Family(flags=("--spec-draft-device", "--device-draft", "-devd"))
SPLIT_MODE: Final = Family(flags=("--split-mode", "-sm"), variables=("LLAMA_ARG_SPLIT_MODE",))
TENSOR_SPLIT: Final = Family(flags=("--tensor-split", "-ts"), variables=("LLAMA_ARG_TENSOR_SPLIT",))
MAIN_GPU: Final = Family(flags=("--main-gpu", "-mg"), variables=("LLAMA_ARG_MAIN_GPU",))
KV_OFFLOAD: Final = Family(
    flags=("--kv-offload", "-kvo"),
    variables=("LLAMA_ARG_KV_OFFLOAD",),
    negations=("--no-kv-offload", "-nkvo"),
    negating_variables=("LLAMA_ARG_NO_KV_OFFLOAD",),
)
DRAFT_GPU_LAYERS: Final = Family(
    flags=("--spec-draft-ngl", "--gpu-layers-draft", "--n-gpu-layers-draft", "-ngld"),
    variables=("LLAMA_ARG_N_GPU_LAYERS_DRAFT",),
)
DEVICES: Final = (
    *(GPU_LAYERS, MAIN_DEVICE, SPLIT_MODE, TENSOR_SPLIT, MAIN_GPU, KV_OFFLOAD),
    *(DRAFT_DEVICE, DRAFT_GPU_LAYERS),
    Family(flags=("--op-offload",), negations=("--no-op-offload",)),
    Family(
        flags=("--mmproj-offload",),
        variables=("LLAMA_ARG_MMPROJ_OFFLOAD",),
        negations=("--no-mmproj-offload",),
        negating_variables=("LLAMA_ARG_NO_MMPROJ_OFFLOAD",),
    ),
    Family(flags=("--rpc",), variables=("LLAMA_ARG_RPC",)),
)
"""What has its effect on a device besides the CPU."""

PORT: Final = Family(flags=("--port",), variables=("LLAMA_ARG_PORT",))
HOST: Final = Family(flags=("--host",), variables=("LLAMA_ARG_HOST",))
THREADS: Final = Family(
    flags=(
        *("--threads", "-t", "--threads-batch", "-tb", "--spec-draft-threads", "--threads-draft"),
        *("-td", "--spec-draft-threads-batch", "--threads-batch-draft", "-tbd"),
    ),
    variables=("LLAMA_ARG_THREADS", "LLAMA_ARG_THREADS_BATCH"),
)

FLASH: Final = Family(
    flags=("--flash-attn", "-fa"),
    variables=("LLAMA_ARG_FLASH_ATTN",),
    negations=("--no-flash-attn", "-no-fa"),
)
PRESETS: Final = Family(
    flags=("--models-preset", "--models-dir"),
    variables=("LLAMA_ARG_MODELS_PRESET", "LLAMA_ARG_MODELS_DIR"),
)
DEVICE: Final = Family(
    flags=(*MAIN_DEVICE.flags, *DRAFT_DEVICE.flags), variables=MAIN_DEVICE.variables
)
RPC: Final = Family(flags=("--rpc",), variables=("LLAMA_ARG_RPC",))
TEMPLATES: Final = Family(
    flags=("--chat-template", "--chat-template-kwargs", "--grammar", "--json-schema", "-j"),
    variables=(
        *("LLAMA_ARG_CHAT_TEMPLATE", "LLAMA_ARG_CHAT_TEMPLATE_KWARGS"),
        "LLAMA_CHAT_TEMPLATE_KWARGS",
    ),
)
"""Their values may hold braces of their own."""
WRITTEN: Final = Family(flags=("--log-file",), variables=("LLAMA_ARG_LOG_FILE", "LLAMA_LOG_FILE"))
"""A file that the server writes."""
PLACES: Final = Family(
    flags=("--slot-save-path", "--path", "--media-path", "--log-prompts-dir"),
    variables=("LLAMA_ARG_SLOT_SAVE_PATH", "LLAMA_ARG_STATIC_PATH"),
)
"""Directories."""
FILES: Final = Family(
    flags=(
        *("--mmproj", "-mm", "--lora", "--lora-scaled", "--control-vector"),
        *("--control-vector-scaled", "--grammar-file", "--json-schema-file", "-jf"),
        *("--chat-template-file", "--api-key-file", "--ssl-key-file", "--ssl-cert-file"),
        *("--model-vocoder", "-mv", "--mmproj-url", "-mmu", "--mcp-servers-config"),
        *("--ui-config-file", "--webui-config-file", "--lookup-cache-static", "-lcs"),
    ),
    variables=(
        *("LLAMA_ARG_MMPROJ", "LLAMA_ARG_MMPROJ_URL", "LLAMA_ARG_CHAT_TEMPLATE_FILE"),
        *("LLAMA_ARG_API_KEY_FILE", "LLAMA_ARG_SSL_KEY_FILE", "LLAMA_ARG_SSL_CERT_FILE"),
        *("LLAMA_ARG_MCP_SERVERS_CONFIG", "LLAMA_ARG_UI_CONFIG_FILE"),
    ),
)
"""Files that the server reads."""

ONCE_TWO_VALUES: Final = frozenset({"--lora-scaled", "--control-vector-scaled"})
"""Take one value with a colon since Nov 2025."""

SPECULATION_SWITCHES: Final = (SPEC_TYPE, SPEC_DEFAULT, DRAFT_MODEL, MTP_SWITCH)
"""What turns speculation on."""


def is_of_devices(word: str) -> bool:
    """Whether a flag or variable has its effect on a device besides the CPU."""
    return any(word in family or word in family.all_variables for family in DEVICES)


def written(wishes: Sequence[Family], arguments: Sequence[Argument]) -> str | None:
    """The last flag of some families as a command line spells it; None where it has none."""
    return next(
        (
            argument.flag
            for argument in reversed(arguments)
            if any(wish.is_set_by(argument) for wish in wishes)
        ),
        None,
    )
