"""What the log tells of devices, in the words of a server on a real card."""

from collections.abc import Sequence
from typing import Any

import pytest

from harness.flags.arguments import Argument
from harness.settings.base import DisagreementError
from harness.settings.observation import Observation
from harness.settings.state import SETTINGS

LISTED = (
    "0.00.1 I cmn  common_param:   - {name}   : NVIDIA H100 80GB HBM3 (81079 MiB, 80552 MiB free)"
)
FOUND = "0.00.1 I ggml_cuda_init: found {count} CUDA devices (Total VRAM: 81079 MiB):"
USING = "I llama_prepare_model_devices: using device {name} (NVIDIA H100 80GB HBM3) (0000:00:06.0) - 80552 MiB free"  # noqa: E501
LOADING = "I load_tensors: loading model tensors, this can take a while... (load_mode = mmap)"
DRAFT = "I srv    load_model: loading draft model 'draft.gguf'"


def assigned(*names: str) -> list[str]:
    return [
        f"D load_tensors: layer {number:3} assigned to device {name}, is_swa = 0"
        for number, name in enumerate(names)
    ]


def offloaded(count: int, total: int) -> str:
    return f"I load_tensors: offloaded {count}/{total} layers to GPU"


def weights(*names: str) -> list[str]:
    return [f"I load_tensors: {name:>12} model buffer size =     4.88 MiB" for name in names]


def kept(*names: str) -> list[str]:
    return [f"I llama_kv_cache: {name:>10} KV buffer size =    32.00 MiB" for name in names]


def loaded(
    used: Sequence[str], layers: Sequence[str], buffers: Sequence[str], kv: Sequence[str]
) -> list[str]:
    on_devices = sum(name != "CPU" for name in layers)
    return [
        *(USING.format(name=name) for name in used),
        LOADING,
        *assigned(*layers),
        offloaded(on_devices, len(layers)),
        *weights(*buffers),
        *kept(*kv),
    ]


def seen(lines: Sequence[str], visible: Sequence[str] = ("CUDA0", "CUDA1")) -> Observation:
    told = [LISTED.format(name=name) for name in visible]
    return Observation(
        build_number=11434, completion={}, slots=(), metrics=None,
        startup_lines=(*told, *lines), run_lines=(),
    )  # fmt: skip


def told(name: str, observation: Observation) -> Any:
    return SETTINGS[name].agree(SETTINGS[name].testify(observation))


def argument(flag: str, *values: str) -> Argument:
    return Argument(flag=flag, values=values, option=None)


def granted(observation: Observation, *words: str) -> dict[str, bool]:
    """By flag, whether what is effective is what it asks for; those that something tells."""
    arguments = [argument(*one.split()) for one in words]
    state = {name: value for name in SETTINGS if (value := told(name, observation)) is not None}
    return {
        demand.argument.flag: all(
            check.ok for check in SETTINGS[name].compare(demand, state, arguments)
        )
        for name in state
        if (demand := SETTINGS[name].asked(arguments)) is not None
    }


BOTH = ("CUDA0", "CUDA1")
SPLIT = loaded(BOTH, ["CUDA0"] * 7 + ["CUDA1"] * 2, ("CPU_Mapped", *BOTH), BOTH)
"""``-ngl 99 -ts 3,1`` with nine layers."""
PARTIAL = loaded(("CUDA0",), ["CPU"] * 5 + ["CUDA0"] * 4, ("CPU_Mapped", "CUDA0"), ("CPU", "CUDA0"))
"""``-dev CUDA0 -ngl 4``."""
NONE = [LOADING, *assigned(*["CPU"] * 9), offloaded(9, 9), *weights("CPU_Mapped"), *kept("CPU")]
"""``-dev none``: the sum is wrong, on a real card too."""


def test_two_cards() -> None:
    observation = seen(SPLIT)
    assert told("devices", observation) == ["CUDA0", "CUDA1"]
    assert told("gpu_layers", observation) == "9/9"
    assert told("split_mode", observation) == "layer"
    assert told("tensor_split", observation) == [7, 2]
    assert told("kv_placement", observation) == ["CUDA0", "CUDA1"]
    assert told("main_gpu", observation) is None
    assert granted(observation, "-ngl 99", "-sm layer", "-ts 3,1", "-kvo", "-dev CUDA0,CUDA1") == {
        "-ngl": True, "-sm": True, "-ts": True, "-kvo": True, "-dev": True,
    }  # fmt: skip
    assert not any(
        granted(observation, "-ngl 4", "-sm row", "-ts 1,1", "-nkvo", "-dev CUDA1").values()
    )


@pytest.mark.parametrize(
    ("shares", "layers", "ok"),
    [
        ("1,1", [5, 4], True),
        ("1", [9, 0], True),
        ("0,0", [5, 4], True),
        ("1,2", [3, 6], True),
        ("1,2", [4, 5], False),
        ("3,1", [6, 3], False),
        ("1,0", [9, 0], True),
        ("0,1", [0, 9], True),
        ("1,1,1", [5, 4], True),
    ],
)
def test_shares_divide_layers_as_builds_do(shares: str, layers: list[int], ok: bool) -> None:
    names = [name for name, count in zip(BOTH, layers, strict=True) for _ in range(count)]
    observation = seen(loaded(BOTH, names, BOTH, BOTH))
    assert granted(observation, f"-ts {shares}") == {"-ts": ok}


def test_a_part_of_the_model_on_one_of_two_cards() -> None:
    observation = seen(PARTIAL)
    assert told("devices", observation) == ["CUDA0"]
    assert told("gpu_layers", observation) == "4/9"
    assert told("split_mode", observation) == "one device"
    assert told("main_gpu", observation) == "CUDA0"
    assert told("kv_placement", observation) == ["CPU", "CUDA0"]
    assert told("tensor_split", observation) is None
    assert granted(observation, "-ngl 4", "-sm none", "-mg 0", "-kvo") == {
        "-ngl": True, "-sm": True, "-mg": True, "-kvo": True,
    }  # fmt: skip
    assert not any(granted(observation, "-ngl 5", "-sm row", "-mg 1", "-nkvo").values())
    assert granted(seen(PARTIAL), "-ngl all") == {"-ngl": False}


def test_no_device_is_used_though_there_are_some() -> None:
    observation = seen(NONE)
    assert told("devices", observation) == []
    assert told("gpu_layers", observation) is None
    assert told("kv_placement", observation) == ["CPU"]
    assert told("split_mode", observation) is None
    assert granted(observation, "-dev none", "-nkvo", "-ngl 99") == {"-dev": True, "-nkvo": True}
    assert granted(observation, "-dev CUDA0", "-kvo") == {"-dev": False, "-kvo": False}


@pytest.mark.parametrize("lines", [SPLIT, NONE], ids=["split", "none"])
def test_a_server_without_a_device_says_nothing_of_them(lines: list[str]) -> None:
    quiet = [line for line in lines if "using device" not in line]
    observation = seen(quiet, visible=())
    assert {told(name, observation) for name in OF_DEVICES} == {None}


OF_DEVICES = (
    *("devices", "gpu_layers", "split_mode", "tensor_split", "main_gpu", "kv_placement"),
    *("fit_outcome", "draft_devices", "draft_gpu_layers"),
)


def test_what_was_found_is_told_in_either_place() -> None:
    for line in (LISTED.format(name="CUDA0"), FOUND.format(count=1)):
        assert told("devices", seen([line, *NONE], visible=())) == []
    assert told("devices", seen([FOUND.format(count=0), *NONE], visible=())) is None


def test_rows_and_tensors() -> None:
    rows = seen(loaded(BOTH, ["CUDA0"] * 5 + ["CUDA1"] * 4, ("CUDA0_Split", "CUDA1_Split"), BOTH))
    assert told("split_mode", rows) == "row"
    assert told("devices", rows) == ["CUDA0", "CUDA1"]
    tensors = seen(loaded(("Meta()",), ["Meta()"] * 9, ("CPU_Mapped", "Meta()"), ("Meta()",)))
    assert told("split_mode", tensors) == "tensor"
    assert told("devices", tensors) is None
    assert told("main_gpu", tensors) is None
    assert granted(tensors, "-sm tensor", "-ngl 99") == {"-sm": True, "-ngl": True}


def test_the_load_that_fits_does_not_count() -> None:
    tried = loaded(BOTH, ["CUDA0", "CUDA1"], BOTH, BOTH)
    observation = seen([*tried, *PARTIAL])
    assert told("devices", observation) == ["CUDA0"]
    assert told("kv_placement", observation) == ["CPU", "CUDA0"]
    assert told("gpu_layers", observation) == "4/9"


def test_the_draft_model_has_devices_of_its_own() -> None:
    draft = loaded(("CUDA1",), ["CUDA1", "CUDA1"], ("CUDA1",), ("CUDA1",))
    observation = seen([*PARTIAL, DRAFT, *draft])
    assert told("devices", observation) == ["CUDA0"]
    assert told("draft_devices", observation) == ["CUDA1"]
    assert told("draft_gpu_layers", observation) == "2/2"
    assert granted(observation, "-devd CUDA1", "-ngld 99") == {"-devd": True, "-ngld": True}
    assert not any(granted(observation, "-devd CUDA0", "-ngld 1").values())


def test_layers_that_are_counted_otherwise_than_they_are_summed_up() -> None:
    lines = [
        *(USING.format(name="CUDA0"), LOADING, *assigned("CPU", "CUDA0"), offloaded(2, 2)),
        *weights("CUDA0"),
    ]
    with pytest.raises(DisagreementError, match="gpu_layers is 2/2 by startup-log, 1/2 by layers"):
        told("gpu_layers", seen(lines))


def test_a_card_that_holds_nothing_is_told_by_one_witness_alone() -> None:
    lines = loaded(BOTH, ["CUDA0"] * 9, ("CUDA0",), ("CUDA0",))
    speaking = [one.witness for one in SETTINGS["devices"].testify(seen(lines)) if one.speaks]
    assert speaking == ["startup-log"]


FITTED = "I common_params_fit_impl: "


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        (["will leave 80522 >= 1024 MiB of free device memory, no changes needed"],
         "nothing changed"),
        (["targets for free memory can be met on all devices, no changes needed"],
         "nothing changed"),
        (["context size reduced from 8192 to 4096 -> need 28 MiB less memory in total",
          "entire model can be fit by reducing context"], "context 4096"),
        (["context size reduced from 8192 to 4096 -> need 28 MiB less memory in total",
          "filling dense layers back-to-front:",
          "  - CUDA0 (NVIDIA H100 80GB HBM3):  0 layers,     16 MiB used,  80536 MiB free"],
         "context 4096 and 0 layers on CUDA0"),
        (["  - CUDA0 (NVIDIA H100 80GB HBM3):  5 layers ( 1 overflowing),  16 MiB used, 9 MiB free",
          "  - CUDA1 (NVIDIA H100 80GB HBM3):  9 layers,    115 MiB used,  80434 MiB free"],
         "5 layers on CUDA0 and 9 layers on CUDA1"),
        (["failed to fit params to free device memory: not implemented for SPLIT_MODE_TENSOR"],
         "failed"),
        (["encountered an error while trying to fit params to free device memory: no"], "failed"),
        ([], None),
    ],
)  # fmt: skip
def test_what_fitting_came_to(lines: list[str], outcome: str | None) -> None:
    observation = seen([*(FITTED + line for line in lines), *PARTIAL])
    assert told("fit_outcome", observation) == outcome


def test_what_is_sent_to_the_cpu_lies_where_a_card_reads_it() -> None:
    line = "D tensor blk.0.ffn_up.weight (1 MiB f32) buffer type overridden to {buffer}"
    for buffer, ok in (("CUDA_Host", True), ("CPU", True), ("CUDA0", False)):
        observation = seen([*PARTIAL, line.format(buffer=buffer)])
        assert granted(observation, "-ot ffn_.*=CPU") == {"-ot": ok}


@pytest.mark.parametrize(
    ("buffers", "mapped"),
    [(("CPU_Mapped", "CUDA0"), True), (("CUDA_Host", "CUDA0"), False), (("CUDA0",), None)],
)
def test_only_what_stays_with_the_host_tells_whether_it_is_mapped(
    buffers: tuple[str, ...], mapped: bool | None
) -> None:
    observation = seen(loaded(("CUDA0",), ["CUDA0"], buffers, ("CUDA0",)))
    by_buffers = [one for one in SETTINGS["mmap"].testify(observation) if one.witness == "buffers"]
    assert [one.value for one in by_buffers] == [mapped]
