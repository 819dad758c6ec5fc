"""The machine that a spoof pretends to be: its NVIDIA cards and their driver, read from TOML.

Every layer of the spoof (``nvidia-smi``, the libraries, torch) is made from one
:class:`SpoofedMachine`, which is why they agree.
"""

from importlib import resources
from pathlib import Path

import msgspec
import tomli_w

from harness.errors import UsageError

DEFAULT_PROFILE = "rtx-4090"

PROFILE_SUFFIX = ".toml"


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One card.

    Attributes:
        name: As ``nvidia-smi -L`` prints it.
        brand: Product brand of ``nvidia-smi -q``, e.g. ``GeForce``.
        architecture: Generation, e.g. ``Ada Lovelace``.
        uuid: ``GPU-`` and 32 hexadecimal digits with hyphens.
        serial: Board serial number; None where the card has none, as consumer cards.
        pci_bus_id: ``DDDDDDDD:BB:DD.F``, hexadecimal.
        pci_device_id: Device in the high 16 bits, vendor (10DE) in the low.
        pci_subsystem_id: The same for the board's maker.
        vbios_version: Firmware of the board.
        compute_capability: ``major.minor``.
        memory_total_mib: What every layer reports as total.
        memory_reserved_mib: Held back by the driver; neither used nor free.
        memory_used_mib: In use by others.
        context_mib: What a CUDA context takes of the free memory that CUDA then reports.
        cuda_floor_mib: What CUDA reports as free at least; 0 of every real card.
        multiprocessors: SM count.
        cores_per_multiprocessor: FP32 lanes of one SM.
        max_sm_clock_mhz: Highest SM clock.
        max_memory_clock_mhz: Highest memory clock.
        memory_bus_bits: Width of the memory bus.
        l2_cache_kib: Size of the L2 cache.
        power_limit_w: Enforced power limit.
        pcie_generation: Highest PCIe generation of the link.
        pcie_width: Lanes of the link.
        temperature_c: Core temperature.
        mig: Whether the card can be partitioned; none of it is.
        ecc: Whether ECC memory is on; cards without ECC report it as not available.
        fan: Whether the card has a fan of its own.
        persistence_mode: Whether the driver stays loaded without clients.
        display_active: Whether a display is driven.
    """

    name: str
    brand: str
    architecture: str
    uuid: str
    pci_bus_id: str
    pci_device_id: int
    pci_subsystem_id: int
    vbios_version: str
    compute_capability: str
    memory_total_mib: int
    memory_reserved_mib: int
    memory_used_mib: int
    multiprocessors: int
    cores_per_multiprocessor: int
    max_sm_clock_mhz: int
    max_memory_clock_mhz: int
    memory_bus_bits: int
    l2_cache_kib: int
    power_limit_w: float
    pcie_generation: int
    pcie_width: int = 16
    temperature_c: int = 35
    serial: str | None = None
    context_mib: int = 0
    cuda_floor_mib: int = 0
    ecc: bool = False
    mig: bool = False
    fan: bool = True
    persistence_mode: bool = False
    display_active: bool = False

    @property
    def memory_free_mib(self) -> int:
        """What is neither reserved nor used."""
        return self.memory_total_mib - self.memory_reserved_mib - self.memory_used_mib

    @property
    def cuda_total_mib(self) -> int:
        """The total as CUDA tells it: without what the driver reserves."""
        return self.memory_total_mib - self.memory_reserved_mib

    @property
    def cuda_free_mib(self) -> int:
        """What is free as CUDA tells it, inside a context, which takes its share."""
        return max(self.cuda_floor_mib, self.memory_free_mib - self.context_mib)

    @property
    def idle_power_w(self) -> float:
        """What the card draws while it does nothing: a twelfth of its limit."""
        return round(self.power_limit_w / 12, 2)


class SpoofedMachine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cards of a machine in index order, and the driver they share.

    Attributes:
        driver_version: Of the kernel driver, e.g. ``550.144.03``.
        cuda_version: The newest CUDA the driver supports, ``major.minor``.
        cards: At least one.
    """

    driver_version: str
    cuda_version: str
    cards: tuple[Card, ...] = msgspec.field(name="gpu")


def shipped_profiles() -> tuple[str, ...]:
    """Names of the profiles that come with the harness."""
    folder = resources.files("harness.environments") / "profiles"
    names = (entry.name for entry in folder.iterdir())
    return tuple(
        sorted(name.removesuffix(PROFILE_SUFFIX) for name in names if name.endswith(PROFILE_SUFFIX))
    )


def load_profile(name_or_path: str = DEFAULT_PROFILE) -> SpoofedMachine:
    """Read a shipped profile by name, or any profile by the path of its TOML file.

    Raises:
        UsageError: There is no such profile, or the file is wrong; the message names the field.
    """
    is_path = name_or_path.endswith(PROFILE_SUFFIX) or "/" in name_or_path or "\\" in name_or_path
    if is_path:
        try:
            text = Path(name_or_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"GPU profile {name_or_path} cannot be read: {error}") from error
    else:
        shipped = (
            resources.files("harness.environments") / "profiles" / (name_or_path + PROFILE_SUFFIX)
        )
        if not shipped.is_file():
            known = ", ".join(shipped_profiles())
            raise UsageError(
                f"no GPU profile is named {name_or_path!r}; shipped are {known}, "
                "or give the path of a .toml file"
            )
        text = shipped.read_text(encoding="utf-8")
    return decode_profile(text, origin=name_or_path)


def decode_profile(text: str, *, origin: str) -> SpoofedMachine:
    """Read a profile from TOML text.

    Raises:
        UsageError: The text is no valid profile; the message names ``origin`` and the field.
    """
    try:
        machine = msgspec.toml.decode(text.encode(), type=SpoofedMachine)
    except msgspec.DecodeError as error:
        raise UsageError(f"GPU profile {origin}: {error}") from error
    _check(machine, origin)
    return machine


def _check(machine: SpoofedMachine, origin: str) -> None:
    if not machine.cards:
        raise UsageError(f"GPU profile {origin}: field 'gpu' lists no card")
    seen: dict[str, int] = {}
    for index, card in enumerate(machine.cards):
        where = f"GPU profile {origin}: gpu {index}"
        major, _, minor = card.compute_capability.partition(".")
        if not (major.isdigit() and minor.isdigit()):
            raise UsageError(f"{where}: compute_capability {card.compute_capability!r} is not N.N")
        if card.memory_free_mib < 0:
            raise UsageError(
                f"{where}: memory_used_mib and memory_reserved_mib exceed memory_total_mib"
            )
        if card.uuid in seen:
            raise UsageError(f"{where}: uuid {card.uuid} is that of gpu {seen[card.uuid]} already")
        seen[card.uuid] = index


def encode_profile(machine: SpoofedMachine) -> str:
    """Write a profile as the TOML text that :func:`decode_profile` reads."""
    facts = msgspec.to_builtins(machine)
    for card in facts["gpu"]:
        if card["serial"] is None:
            del card["serial"]
    return tomli_w.dumps(facts)
