"""Makes an imported ``pynvml`` report the spoofed machine where NVML itself cannot be spoofed.

That is where our library is not to be had: on macOS, and without a compiler.
Only the calls that find cards and read their identity and memory are replaced.
"""

import json
import os
from types import ModuleType, SimpleNamespace
from typing import Any

from spoofed_visibility import visible_indices  # type: ignore[import-not-found]

_MIB = 1024 * 1024


def patch(pynvml: ModuleType) -> None:
    """Replace the calls of ``pynvml``."""
    spoofed = SpoofedNvml(pynvml)
    for name in (name for name in vars(SpoofedNvml) if name.startswith("nvml")):
        setattr(pynvml, name, getattr(spoofed, name))


class SpoofedNvml:
    """NVML's calls under their own names; a handle is a card of the machine."""

    def __init__(self, pynvml: ModuleType) -> None:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "machine.json")
        with open(path, encoding="utf-8") as file:
            self._machine: dict[str, Any] = json.load(file)
        self._error = pynvml.NVMLError
        self._invalid = pynvml.NVML_ERROR_INVALID_ARGUMENT
        self._not_found = pynvml.NVML_ERROR_NOT_FOUND
        self._no_driver = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
        self._uninitialized = pynvml.NVML_ERROR_UNINITIALIZED
        self._cards: list[dict[str, Any]] | None = None

    def _visible(self) -> list[dict[str, Any]]:
        if self._cards is None:
            raise self._error(self._uninitialized)
        return self._cards

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        if self._machine["no_driver"]:
            raise self._error(self._no_driver)
        cards = [dict(card, index=index) for index, card in enumerate(self._machine["cards"])]
        setting = os.environ.get("CUDA_VISIBLE_DEVICES")
        if self._machine["unmasked_smi"]:
            setting = None
        visible = visible_indices(setting, [card["uuid"] for card in cards])
        self._cards = [cards[index] for index in sorted(visible)]

    def nvmlInitWithFlags(self, flags: int) -> None:  # noqa: N802, ARG002
        self.nvmlInit()

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._visible()
        self._cards = None

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return str(self._machine["driver_version"])

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        major, minor = self._machine["cuda_version"].split(".")
        return int(major) * 1000 + int(minor) * 10

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return self.nvmlSystemGetCudaDriverVersion()

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self._visible())

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:  # noqa: N802
        cards = self._visible()
        if not 0 <= index < len(cards):
            raise self._error(self._invalid)
        return cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str | bytes) -> dict[str, Any]:  # noqa: N802
        wanted = uuid.decode() if isinstance(uuid, bytes) else uuid
        for card in self._visible():
            if card["uuid"] == wanted:
                return card
        raise self._error(self._not_found)

    def nvmlDeviceGetIndex(self, handle: dict[str, Any]) -> int:  # noqa: N802
        return int(handle["index"])

    def nvmlDeviceGetName(self, handle: dict[str, Any]) -> str:  # noqa: N802
        return str(handle["name"])

    def nvmlDeviceGetUUID(self, handle: dict[str, Any]) -> str:  # noqa: N802
        return str(handle["uuid"])

    def nvmlDeviceGetMemoryInfo(  # noqa: N802
        self, handle: dict[str, Any], version: int | None = None
    ) -> SimpleNamespace:
        total, reserved = handle["memory_total_mib"] * _MIB, handle["memory_reserved_mib"] * _MIB
        used = handle["memory_used_mib"] * _MIB
        free = total - reserved - used
        if version is None:
            return SimpleNamespace(total=total, free=free, used=total - free)
        return SimpleNamespace(
            version=version, total=total, reserved=reserved, free=free, used=used
        )

    def nvmlDeviceGetCudaComputeCapability(  # noqa: N802
        self, handle: dict[str, Any]
    ) -> tuple[int, int]:
        major, minor = handle["compute_capability"].split(".")
        return int(major), int(minor)

    def nvmlDeviceGetUtilizationRates(self, handle: dict[str, Any]) -> SimpleNamespace:  # noqa: N802, ARG002
        return SimpleNamespace(gpu=0, memory=0)

    def nvmlDeviceGetTemperature(self, handle: dict[str, Any], sensor: int) -> int:  # noqa: N802, ARG002
        return int(handle["temperature_c"])
