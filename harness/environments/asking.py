"""Asks every layer of the host it runs on which GPUs there are, and prints the answers as JSON.

It runs as a program of its own inside an environment, since libraries read their variables once:
``python asking.py`` needs nothing but the standard library, and uses ``pynvml`` and ``torch``
where the interpreter has them.
"""

import ctypes
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

_MIB = 1024 * 1024
_TIMEOUT_S = 60
_NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

Cards = list[dict[str, Any]]


class AbsentError(Exception):
    """The layer is not there; the message says how that shows."""


def _card(*, uuid: str, name: str, total: int, free: int, capability: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "memory_total_mib": total // _MIB,
        "memory_free_mib": free // _MIB,
        "compute_capability": capability,
    }


def _smi_output(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AbsentError(str(error)) from error
    no_devices = 6
    if done.returncode == no_devices:
        return ""
    if done.returncode:
        raise AbsentError(f"exit {done.returncode}: {done.stdout.strip().partition('. ')[0]}")
    return done.stdout


def ask_nvidia_smi() -> Cards:
    """Read ``nvidia-smi --query-gpu``, held against ``-L``."""
    fields = "uuid,name,memory.total,memory.free,compute_cap"
    text = _smi_output(f"--query-gpu={fields}", "--format=csv,noheader,nounits")
    cards = []
    for line in text.splitlines():
        uuid, name, total, free, capability = (cell.strip() for cell in line.split(","))
        cards.append(
            _card(
                uuid=uuid,
                name=name,
                total=int(total) * _MIB,
                free=int(free) * _MIB,
                capability=capability,
            )
        )
    listed = _smi_output("-L").splitlines()
    expected = [f"{card['name']} (UUID: {card['uuid']})" for card in cards]
    if [line.partition(": ")[2] for line in listed] != expected:
        raise AssertionError(f"nvidia-smi -L lists {listed}, --query-gpu {expected}")
    return cards


def _load(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise AbsentError(str(error)) from error


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def _nvml(code: int, call: str) -> None:
    driver_not_loaded = 9
    if code == driver_not_loaded:
        raise AbsentError(f"{call}: driver not loaded")
    if code:
        raise AssertionError(f"{call} returned {code}")


def ask_nvml() -> Cards:
    """Call NVML through ctypes."""
    library = _load(_NVML)
    _nvml(library.nvmlInit_v2(), "nvmlInit_v2")
    count = ctypes.c_uint()
    _nvml(library.nvmlDeviceGetCount_v2(ctypes.byref(count)), "nvmlDeviceGetCount_v2")
    cards = []
    for index in range(count.value):
        handle, memory = ctypes.c_void_p(), _Memory()
        text = {call: ctypes.create_string_buffer(96) for call in ("Name", "UUID")}
        major, minor = ctypes.c_int(), ctypes.c_int()
        library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
        for call, buffer in text.items():
            _nvml(getattr(library, f"nvmlDeviceGet{call}")(handle, buffer, 96), call)
        _nvml(library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)), "memory")
        capability = library.nvmlDeviceGetCudaComputeCapability
        _nvml(capability(handle, ctypes.byref(major), ctypes.byref(minor)), "capability")
        cards.append(
            _card(
                uuid=text["UUID"].value.decode(),
                name=text["Name"].value.decode(),
                total=memory.total,
                free=memory.free,
                capability=f"{major.value}.{minor.value}",
            )
        )
    library.nvmlShutdown()
    return cards


def ask_pynvml() -> Cards:
    """Call NVML through the package ``nvidia-ml-py``."""
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise AbsentError(str(error)) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise AbsentError(str(error)) from error
    cards = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        cards.append(
            _card(
                uuid=pynvml.nvmlDeviceGetUUID(handle),
                name=pynvml.nvmlDeviceGetName(handle),
                total=memory.total,
                free=memory.free,
                capability=f"{major}.{minor}",
            )
        )
    pynvml.nvmlShutdown()
    return cards


def ask_driver() -> Cards:
    """Call the CUDA driver library through ctypes."""
    library = _load(_DRIVER)
    no_device, named_twice = 100, 101
    code = library.cuInit(0)
    if code in {no_device, named_twice}:
        return []
    if code:
        raise AssertionError(f"cuInit returned {code}")
    count = ctypes.c_int()
    library.cuDeviceGetCount(ctypes.byref(count))
    return [_driver_card(library, ordinal) for ordinal in range(count.value)]


def _driver_card(library: ctypes.CDLL, ordinal: int) -> dict[str, Any]:
    device, context = ctypes.c_int(), ctypes.c_void_p()
    name, uuid = ctypes.create_string_buffer(96), (ctypes.c_ubyte * 16)()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    numbers = {75: ctypes.c_int(), 76: ctypes.c_int()}
    codes = [
        library.cuDeviceGet(ctypes.byref(device), ordinal),
        library.cuDeviceGetName(name, 96, device),
        library.cuDeviceGetUuid(uuid, device),
        *(
            library.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
            for attribute, number in numbers.items()
        ),
        library.cuDevicePrimaryCtxRetain(ctypes.byref(context), device),
        library.cuCtxSetCurrent(context),
        library.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)),
        library.cuDevicePrimaryCtxRelease_v2(device),
    ]
    if any(codes):
        raise AssertionError(f"driver calls on device {ordinal} returned {codes}")
    digits = bytes(uuid).hex()
    cuts = (0, 8, 12, 16, 20, 32)
    parts = [digits[start:end] for start, end in itertools.pairwise(cuts)]
    return _card(
        uuid="GPU-" + "-".join(parts),
        name=name.value.decode(),
        total=total.value,
        free=free.value,
        capability=f"{numbers[75].value}.{numbers[76].value}",
    )


def ask_torch() -> Cards:
    """Ask ``torch.cuda``."""
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise AbsentError(str(error)) from error
    cards = []
    for ordinal in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(ordinal)
        free, _ = torch.cuda.mem_get_info(ordinal)
        cards.append(
            _card(
                uuid=f"GPU-{properties.uuid}",
                name=torch.cuda.get_device_name(ordinal),
                total=properties.total_memory,
                free=free,
                capability="{}.{}".format(*torch.cuda.get_device_capability(ordinal)),
            )
        )
    if torch.cuda.is_available() != bool(cards):
        raise AssertionError("torch.cuda.is_available and device_count differ")
    return cards


LAYERS: dict[str, Callable[[], Cards]] = {
    "nvidia-smi": ask_nvidia_smi,
    "nvml": ask_nvml,
    "nvidia-ml-py": ask_pynvml,
    "cuda-driver": ask_driver,
    "torch": ask_torch,
}


def driver_attributes(wanted: list[int]) -> list[dict[int, int]]:
    """Return the wanted attributes of every card the CUDA driver library sees."""
    try:
        library = _load(_DRIVER)
    except AbsentError:
        return []
    count = ctypes.c_int()
    if library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count)):
        return []
    found = []
    for ordinal in range(count.value):
        values = {attribute: ctypes.c_int() for attribute in wanted}
        for attribute, value in values.items():
            library.cuDeviceGetAttribute(ctypes.byref(value), attribute, ordinal)
        found.append({attribute: value.value for attribute, value in values.items()})
    return found


def main() -> None:
    """Print for each layer its cards, or why it is absent, or what went wrong.

    With numbers as arguments print these attributes of the driver library's cards instead.
    """
    if sys.argv[1:]:
        print(json.dumps(driver_attributes([int(argument) for argument in sys.argv[1:]])))
        return
    answers: list[dict[str, Any]] = []
    for name, ask in LAYERS.items():
        try:
            answers.append({"layer": name, "cards": ask()})
        except AbsentError as absent:
            answers.append({"layer": name, "absent": str(absent)})
        except Exception as error:  # noqa: BLE001 - the asker reports, its caller judges
            answers.append({"layer": name, "error": f"{type(error).__name__}: {error}"})
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
