"""Makes an imported ``torch`` report the cards of the spoofed machine.

Only what tells about cards is replaced; a tensor cannot be put on one.
"""

import json
import os
import uuid as uuids
from types import ModuleType, SimpleNamespace
from typing import Any

from spoofed_visibility import visible_indices  # type: ignore[import-not-found]

_MIB = 1024 * 1024
_BFLOAT16_SINCE = 8


def patch(torch: ModuleType) -> None:
    """Replace what ``torch.cuda`` and ``torch.version`` say about the machine."""
    cuda = SpoofedCuda(torch)
    for name in (name for name in vars(SpoofedCuda) if not name.startswith("_")):
        setattr(torch.cuda, name, getattr(cuda, name))
    torch.version.cuda = _machine()["cuda_version"]
    torch.backends.cuda.is_built = lambda: True


def _machine() -> dict[str, Any]:
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "machine.json")
    with open(path, encoding="utf-8") as file:
        machine: dict[str, Any] = json.load(file)
    return machine


class SpoofedCuda:
    """The functions of ``torch.cuda`` that tell about cards, under their own names."""

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch
        self._current = 0
        machine = _machine()
        self._cards = [] if machine["no_driver"] else machine["cards"]

    def _visible(self) -> list[dict[str, Any]]:
        order = visible_indices(
            os.environ.get("CUDA_VISIBLE_DEVICES"), [card["uuid"] for card in self._cards]
        )
        return [self._cards[index] for index in order]

    def _ordinal(self, device: Any) -> int:
        if isinstance(device, str):
            device = self._torch.device(device)
        index = getattr(device, "index", device)
        return self._current if index is None else int(index)

    def _card(self, device: Any) -> dict[str, Any]:
        cards, number = self._visible(), self._ordinal(device)
        if not cards:
            raise RuntimeError("No CUDA GPUs are available")
        if not 0 <= number < len(cards):
            raise AssertionError("Invalid device id")
        return cards[number]

    def is_available(self) -> bool:
        return bool(self._visible())

    def device_count(self) -> int:
        return len(self._visible())

    def init(self) -> None:
        self._card(None)

    def current_device(self) -> int:
        self._card(None)
        return self._current

    def set_device(self, device: Any) -> None:
        self._card(device)
        self._current = self._ordinal(device)

    def synchronize(self, device: Any = None) -> None:
        self._card(device)

    def get_device_name(self, device: Any = None) -> str:
        return str(self._card(device)["name"])

    def get_device_capability(self, device: Any = None) -> tuple[int, int]:
        major, minor = self._card(device)["compute_capability"].split(".")
        return int(major), int(minor)

    def get_device_properties(self, device: Any = None) -> SimpleNamespace:
        card = self._card(device)
        major, minor = self.get_device_capability(device)
        address = card["pci_bus_id"].partition(".")[0].split(":")
        domain, bus, slot = (int(part, 16) for part in address)
        return SimpleNamespace(
            name=card["name"],
            major=major,
            minor=minor,
            total_memory=self._memory(card)[1],
            multi_processor_count=card["multiprocessors"],
            L2_cache_size=card["l2_cache_kib"] * 1024,
            warp_size=32,
            is_integrated=0,
            is_multi_gpu_board=0,
            uuid=uuids.UUID(card["uuid"].removeprefix("GPU-")),
            pci_domain_id=domain,
            pci_bus_id=bus,
            pci_device_id=slot,
        )

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        return self._memory(self._card(device))

    def _memory(self, card: dict[str, Any]) -> tuple[int, int]:
        # As CUDA counts it: without the driver's share, and free inside a context.
        total = card["memory_total_mib"] - card["memory_reserved_mib"]
        free = total - card["memory_used_mib"] - card["context_mib"]
        free = max(free, card["cuda_floor_mib"])
        return max(0, free) * _MIB, total * _MIB

    def is_bf16_supported(self, including_emulation: bool = True) -> bool:
        return including_emulation or self.get_device_capability()[0] >= _BFLOAT16_SINCE

    def get_arch_list(self) -> list[str]:
        return ["sm_" + card["compute_capability"].replace(".", "") for card in self._visible()]
