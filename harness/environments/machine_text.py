"""Writes a machine as the plain text that the C libraries read."""

from harness.environments.machine import Card, SpoofedMachine

_ARCHITECTURES = ((100, 10), (90, 9), (89, 8), (80, 7), (75, 6), (70, 5), (60, 4), (50, 3))
"""NVML's number of a generation, by the lowest compute capability (times ten) that has it."""

_BRANDS = {"Quadro": 1, "Tesla": 2, "GeForce": 5, "Titan": 6, "NVIDIA RTX": 12, "NVIDIA": 14}
"""NVML's number of a product brand."""


def machine_text(machine: SpoofedMachine, *, no_driver: bool, unmasked_smi: bool) -> str:
    """Return one ``key value`` line per fact, each card's after a line ``card``."""
    lines = [
        f"driver_version {machine.driver_version}",
        f"cuda_version {machine.cuda_version}",
        f"no_driver {int(no_driver)}",
        f"unmasked_smi {int(unmasked_smi)}",
    ]
    for card in machine.cards:
        lines.append("card")
        lines += [f"{key} {value}" for key, value in _card_facts(card).items()]
    return "\n".join(lines) + "\n"


def _card_facts(card: Card) -> dict[str, str | int]:
    major, _, minor = card.compute_capability.partition(".")
    capability = int(major) * 10 + int(minor)
    plain = {
        name: int(value) if isinstance(value, bool) else value
        for name in card.__struct_fields__
        if isinstance(value := getattr(card, name), int | str)
    }
    return plain | {
        "nvml_architecture": next(
            (number for lowest, number in _ARCHITECTURES if capability >= lowest), 2
        ),
        "nvml_brand": _BRANDS.get(card.brand, 0),
        "power_limit_mw": round(card.power_limit_w * 1000),
        "idle_power_mw": round(card.idle_power_w * 1000),
    }
