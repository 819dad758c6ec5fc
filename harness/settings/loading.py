"""Loading: how the model file comes into memory, and whether it is fitted to the devices first."""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

from harness.flags.arguments import Argument
from harness.flags.families import CPU_EXPERTS, FIT, N_CPU_EXPERTS, Family
from harness.settings.base import EffectiveState
from harness.settings.observation import Observation, Probed
from harness.settings.said import LinePattern, Said
from harness.settings.value import (
    ANYTHING,
    Reading,
    ValueSetting,
    at,
    integer,
    logged,
    probed,
    switch,
    word,
)

_MMAP: Final = Family(
    flags=("--mmap",),
    variables=("LLAMA_ARG_MMAP",),
    negations=("--no-mmap",),
    negating_variables=("LLAMA_ARG_NO_MMAP",),
)
_DIRECT: Final = Family(
    flags=("--direct-io", "-dio"),
    variables=("LLAMA_ARG_DIO",),
    negations=("--no-direct-io", "-ndio"),
    negating_variables=("LLAMA_ARG_NO_DIO",),
)
_MLOCK: Final = Family(flags=("--mlock",), variables=("LLAMA_ARG_MLOCK",))
_MODE: Final = Family(flags=("--load-mode", "-lm"), variables=("LLAMA_ARG_LOAD_MODE",))
"""In place of the three others: they are deprecated since b10105 and gone since b10878."""
_WARMUP: Final = Family(flags=("--warmup",), negations=("--no-warmup",))
_FIT_TARGET: Final = Family(flags=("--fit-target", "-fitt"), variables=("LLAMA_ARG_FIT_TARGET",))
_ADAPTERS: Final = Family(flags=("--lora",))
_SCALED_ADAPTERS: Final = Family(flags=("--lora-scaled",))
_PROJECTOR: Final = Family(
    flags=("--mmproj", "-mm"),
    variables=("LLAMA_ARG_MMPROJ",),
    negations=("--no-mmproj",),
    negating_variables=("LLAMA_ARG_NO_MMPROJ",),
)

_FIT_SINCE: Final = 7407
"""The first build that fits (ggml-org/llama.cpp PR 16653); nothing of it is logged before."""

_OVERRIDES: Final = Family(
    flags=("--override-tensor", "-ot"), variables=("LLAMA_ARG_OVERRIDE_TENSOR",)
)
_OVERRIDDEN: Final = LinePattern(
    r"tensor (?P<tensor>\S+) \(.*buffer type overridden to (?P<buffer>\S+)"
)
_LAYERS: Final = LinePattern(r"print_info: n_layer +=\s+(\d+)")
_EXPERTS: Final = re.compile(r"^blk\.(\d+)\.ffn_\w+exps\.")
_CPU: Final = "CPU"
_OF_HOST: Final = "_Host"
_ALL: Final = "all"
_EXPERT_BLOCKS: Final = 2
"""Of the tiny model that has experts."""
_LOADING: Final = "loading model tensors"
_BUFFER: Final = LinePattern(r"load_tensors: +(CPU\w*|\w+_Host|\w+_Mapped) model buffer size")
"""One of the host's memory: what lies in a device's has been copied there, mapped or not."""
_MAPPED: Final = "_Mapped"


class _Asks:
    """What an argument asks of one part of the load mode, in either generation of spelling."""

    def __init__(self, part: str, family: Family) -> None:
        self._part = part
        self._family = family

    def __call__(self, argument: Argument) -> bool | str | None:
        """True or false; anything for ``auto``."""
        if not _MODE.is_set_by(argument):
            return switch(self._family)(argument)
        return ANYTHING if argument.value == "auto" else self._part in argument.value.split("+")


def _part(part: str, old: str) -> Reading:
    """A witness: one part of the load mode as it was logged when the model itself was loaded."""
    modern = LinePattern(r"\(load_mode = ([\w+-]+)\)")
    former = LinePattern(rf"\b{old} = (true|false)")

    def read(observation: Observation) -> bool | None:
        mode = observation.main.last(modern)
        if mode is not None:
            return part in mode[1].split("+")
        loads = [line for line in observation.main.lines if _LOADING in line]
        told = Said.of(loads).last(former)
        return None if told is None else told[1] == "true"

    return Reading(witness="startup-log", read=read)


def _mapped(observation: Observation) -> bool | None:
    """Whether a buffer of the model is mapped from its file; None where all of it is on devices."""
    place = observation.main.text.rfind(_LOADING)
    buffers = observation.main.since(place).all(_BUFFER) if place >= 0 else ()
    return any(found[1].endswith(_MAPPED) for found in buffers) if buffers else None


def _warmed(observation: Observation) -> bool | None:
    if observation.fork or not observation.main.text:
        return None
    return "warming up the model" in observation.startup


def _fitted(observation: Observation) -> bool | None:
    if observation.fork or (observation.build_number or 0) < _FIT_SINCE:
        return None
    return "fitting params to device memory" in observation.main


def _asks_adapters(argument: Argument) -> list[str] | None:
    """Names of files, each with its scale."""
    if not all(argument.values):
        return None
    if len(argument.values) > 1:  # before 2026 --lora-scaled takes a file and a scale
        return [_adapter(*argument.values[:2])]
    files = [word for word in argument.value.split(",") if word]
    if _SCALED_ADAPTERS.is_set_by(argument):
        return [_adapter(file, scale) for file, _, scale in (one.rpartition(":") for one in files)]
    return [_adapter(file, 1) for file in files]


def _adapter(file: str, scale: object) -> str:
    try:
        return f"{PurePath(file).name}:{float(str(scale)):g}"
    except ValueError:
        return f"{PurePath(file).name}:{scale}"


def _adapters(tried: Probed) -> list[str] | None:
    if tried.adapters is None:
        return None
    return [_adapter(str(one.get("path")), one.get("scale")) for one in tried.adapters]


def _sees(observation: Observation) -> bool | None:
    """Whether there is anything but text that it takes."""
    kinds = at(observation.properties, "modalities")
    return any(kinds.values()) if isinstance(kinds, Mapping) else None


def _loaded_projector(observation: Observation) -> bool | None:
    if not observation.main.text:
        return None
    return "loaded multimodal model" in observation.startup


def _overridden(observation: Observation) -> list[str] | None:
    """Tensors and the buffers that they were sent to."""
    found = observation.main.all(_OVERRIDDEN)
    tensors = {f"{one['tensor']}={one['buffer']}" for one in found}
    return sorted(tensors) or None


def _experts_on_cpu(observation: Observation) -> int | str | None:
    """Blocks whose experts were sent to the CPU: the first ones, or all."""
    found = (_EXPERTS.match(tensor) for tensor in _overridden(observation) or ())
    blocks = {int(one[1]) for one in found if one}
    layers = observation.main.last(_LAYERS)
    if not blocks or blocks != {*range(len(blocks))} or layers is None:
        return None
    return _ALL if len(blocks) == int(layers[1]) else len(blocks)


def _asks_override(argument: Argument) -> list[str] | None:
    return [word for word in argument.value.split(",") if "=" in word] or None


def _grants_override(asked: list[str], seen: list[str], _: EffectiveState) -> bool:
    """Whether each pattern sent a tensor where it wants them.

    What is sent to the CPU lies in memory that a device reads fast, where there is a device.
    """
    pairs = [tensor.rpartition("=") for tensor in seen]
    wishes = [wish.rpartition("=") for wish in asked]
    return all(
        any(
            (buffer == wanted or (wanted == _CPU and buffer.endswith(_OF_HOST)))
            and re.search(pattern, tensor)
            for tensor, _, buffer in pairs
        )
        for pattern, _, wanted in wishes
    )


def _grants_experts(asked: int | str, seen: int | str, _: EffectiveState) -> bool:
    """A model has as many blocks as it has."""
    return asked == seen or (seen == _ALL and isinstance(asked, int) and asked >= _EXPERT_BLOCKS)


SETTINGS: Final = (
    ValueSetting(
        name="mmap",
        families=(_MMAP, _MODE),
        asks=_Asks("mmap", _MMAP),
        readings=(_part("mmap", "mmap"), Reading(witness="buffers", read=_mapped)),
    ),
    ValueSetting(
        name="direct_io",
        families=(_DIRECT, _MODE),
        asks=_Asks("dio", _DIRECT),
        readings=(_part("dio", "direct_io"),),
    ),
    ValueSetting(
        name="mlock",
        families=(_MLOCK, _MODE),
        asks=_Asks("mlock", _MLOCK),
        readings=(
            Reading(
                witness="locked-memory",
                read=lambda seen: seen.probed.locked if seen.probed else None,
            ),
            logged(r"\(load_mode = ([\w+-]+)\)", lambda mode: "mlock" in mode.split("+")),
        ),
    ),
    ValueSetting(
        name="load_mode",
        families=(_MODE,),
        asks=lambda argument: ANYTHING if argument.value == "auto" else word(argument),
        readings=(logged(r"\(load_mode = ([\w+-]+)\)"),),
    ),
    ValueSetting(
        name="warmup",
        families=(_WARMUP,),
        asks=switch(_WARMUP),
        readings=(Reading(witness="startup-log", read=_warmed),),
    ),
    ValueSetting(
        name="fit",
        families=(FIT,),
        asks=switch(FIT),
        readings=(Reading(witness="startup-log", read=_fitted),),
    ),
    ValueSetting(
        name="fit_target",
        families=(_FIT_TARGET,),
        asks=lambda argument: int(argument.value) if argument.value.isdecimal() else None,
        readings=(logged(r"common_\w*fit\w*: will leave \d+ >= (\d+) MiB", int),),
    ),
    ValueSetting(
        name="lora",
        families=(_ADAPTERS, _SCALED_ADAPTERS),
        asks=_asks_adapters,
        adds_up=True,
        readings=(probed(_adapters, "lora-adapters"),),
    ),
    ValueSetting(
        name="multimodal",
        families=(_PROJECTOR,),
        asks=lambda argument: not _PROJECTOR.is_negated_by(argument),
        readings=(
            Reading(witness="props", read=_sees),
            Reading(witness="startup-log", read=_loaded_projector),
        ),
    ),
    ValueSetting(
        name="tensor_overrides",
        families=(_OVERRIDES,),
        asks=_asks_override,
        adds_up=True,
        readings=(Reading(witness="startup-log", read=_overridden),),
        grants=_grants_override,
    ),
    ValueSetting(
        name="experts_on_cpu",
        families=(CPU_EXPERTS, N_CPU_EXPERTS),
        asks=lambda argument: integer(argument) if N_CPU_EXPERTS.is_set_by(argument) else _ALL,
        readings=(Reading(witness="startup-log", read=_experts_on_cpu),),
        grants=_grants_experts,
    ),
)
