"""What ``nvidia-smi --query-gpu`` can be asked of a card, and its answers.

Names, order of magnitude and units are those of driver 550 (``nvidia-smi --help-query-gpu``); what
a card of a data centre answers was compared with an H100 under driver 580.
"""

from dataclasses import dataclass

from harness.environments.machine import Card, SpoofedMachine

NOT_AVAILABLE = "[N/A]"

_ALIASES = {
    "gpu_name": "name",
    "gpu_serial": "serial",
    "gpu_uuid": "uuid",
    "gpu_bus_id": "pci.bus_id",
    "clocks.gr": "clocks.current.graphics",
    "clocks.sm": "clocks.current.sm",
    "clocks.mem": "clocks.current.memory",
    "clocks.video": "clocks.current.video",
    "clocks.applications.gr": "clocks.applications.graphics",
    "clocks.applications.mem": "clocks.applications.memory",
    "clocks.max.gr": "clocks.max.graphics",
    "clocks.max.mem": "clocks.max.memory",
    "pcie.link.gen.gpucurrent": "pcie.link.gen.current",
    "pcie.link.gen.gpumax": "pcie.link.gen.max",
}
"""Other spellings of a field; the header of the answer shows the canonical one."""

_REASONS = (
    "supported",
    "active",
    "gpu_idle",
    "applications_clocks_setting",
    "sw_power_cap",
    "hw_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
    "sw_thermal_slowdown",
    "sync_boost",
)


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """Clocks in MHz."""

    sm: int
    memory: int
    video: int


def idle_clocks(card: Card) -> Clocks:
    """What a card's clocks fall back to; those of a data centre keep their memory at full speed."""
    if card.ecc:
        return Clocks(sm=345, memory=card.max_memory_clock_mhz, video=765)
    return Clocks(sm=210, memory=405, video=525)


def current_link_generation(card: Card) -> int:
    """An idle link falls back to the first generation, but for cards of a data centre."""
    return card.pcie_generation if card.ecc else 1


def bar1_mib(card: Card) -> int:
    """The window onto the card's memory, all of it for cards of a data centre."""
    if not card.ecc:
        return 256
    return 1 << (card.memory_total_mib - 1).bit_length()


def is_recent(machine: SpoofedMachine) -> bool:
    """Whether the driver answers and lays out its texts as 580 does (seen: 580.159; else 550)."""
    major = machine.driver_version.partition(".")[0]
    return major.isdecimal() and int(major) >= _SINCE_580


_SINCE_580 = 580


def display_mode(machine: SpoofedMachine, card: Card) -> str:
    """Whether a display is attached, which recent drivers do not tell any more."""
    if is_recent(machine):
        return "Requested functionality has been deprecated"
    return "Enabled" if card.display_active else "Disabled"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One field of one card.

    Attributes:
        header: Column name without its unit.
        unit: ``MiB``, ``%``, ``W``, ``MHz`` or empty.
        value: The number or text without its unit.
    """

    header: str
    value: str
    unit: str = ""

    @property
    def column(self) -> str:
        """The csv header: the unit is named even where ``nounits`` drops it from the values."""
        return f"{self.header} [{self.unit}]" if self.unit else self.header

    @property
    def with_unit(self) -> str:
        """The csv value as it stands without ``nounits``."""
        has_unit = self.unit and self.value != NOT_AVAILABLE
        return f"{self.value} {self.unit}" if has_unit else self.value


def idle_power_w(card: Card) -> float:
    """What the card draws while it does nothing: a twelfth of its limit."""
    return round(card.power_limit_w / 12, 2)


def card_answers(machine: SpoofedMachine, index: int) -> dict[str, Answer]:
    """Return every field of a card that never changes, under all its spellings.

    ``count`` and ``timestamp`` depend on the moment and are not among them.
    """
    canonical = {answer.header: answer for answer in _answers(machine, index)}
    return canonical | {
        alias: canonical[name] for alias, name in _ALIASES.items() if name in canonical
    }


def _answers(machine: SpoofedMachine, index: int) -> list[Answer]:
    card = machine.cards[index]
    return [
        *_identity(machine, card, index),
        *_link(card),
        *_memory_and_state(machine, card),
        *_ecc(card),
        *_power_and_clocks(card),
    ]


def _text(header: str, value: object) -> Answer:
    return Answer(header=header, value=str(value))


def _absent(*headers: str, unit: str = "") -> list[Answer]:
    return [Answer(header=header, value=NOT_AVAILABLE, unit=unit) for header in headers]


def _switch(header: str, on: bool) -> Answer:
    return _text(header, "Enabled" if on else "Disabled")


def _identity(machine: SpoofedMachine, card: Card, index: int) -> list[Answer]:
    domain, bus, device_function = card.pci_bus_id.split(":")
    device = device_function.split(".")[0]
    return [
        _text("driver_version", machine.driver_version),
        _text("name", card.name),
        _text("index", index),
        _text("uuid", card.uuid),
        _text("serial", card.serial or NOT_AVAILABLE),
        _text("vbios_version", card.vbios_version),
        _text("compute_cap", card.compute_capability),
        _text("pci.bus_id", card.pci_bus_id),
        _text("pci.domain", f"0x{int(domain, 16):04X}"),
        _text("pci.bus", f"0x{bus}"),
        _text("pci.device", f"0x{device}"),
        _text("pci.device_id", f"0x{card.pci_device_id:08X}"),
        _text("pci.sub_device_id", f"0x{card.pci_subsystem_id:08X}"),
    ]


def _link(card: Card) -> list[Answer]:
    return [
        _text("pcie.link.gen.current", current_link_generation(card)),
        _text("pcie.link.gen.max", card.pcie_generation),
        _text("pcie.link.gen.hostmax", card.pcie_generation),
        _text("pcie.link.width.current", card.pcie_width),
        _text("pcie.link.width.max", card.pcie_width),
    ]


def _memory_and_state(machine: SpoofedMachine, card: Card) -> list[Answer]:
    fan = [Answer(header="fan.speed", value="0", unit="%")]
    idle = ["gpu_idle"]
    return [
        Answer(header="memory.total", value=str(card.memory_total_mib), unit="MiB"),
        Answer(header="memory.reserved", value=str(card.memory_reserved_mib), unit="MiB"),
        Answer(header="memory.used", value=str(card.memory_used_mib), unit="MiB"),
        Answer(header="memory.free", value=str(card.memory_free_mib), unit="MiB"),
        _text(
            "display_mode",
            f"[{display_mode(machine, card)}]"
            if is_recent(machine)
            else display_mode(machine, card),
        ),
        _switch("display_active", card.display_active),
        _switch("persistence_mode", card.persistence_mode),
        _switch("accounting.mode", on=False),
        _text("accounting.buffer_size", 4000),
        _text("addressing_mode", "None"),
        _text("compute_mode", "Default"),
        _text("pstate", "P0" if card.ecc else "P8"),
        _text("temperature.gpu", card.temperature_c),
        *_absent("temperature.gpu.tlimit", "temperature.memory"),
        *(fan if card.fan else _absent("fan.speed", unit="%")),
        *(
            Answer(header=f"utilization.{engine}", value="0", unit="%")
            for engine in ("gpu", "memory", "encoder", "decoder", "jpeg", "ofa")
        ),
        _text("encoder.stats.sessionCount", 0),
        _text("encoder.stats.averageFps", 0),
        _text("encoder.stats.averageLatency", 0),
        *_absent("driver_model.current", "driver_model.pending"),
        *_absent("gom.current", "gom.pending"),
        *_absent("inforom.img", "inforom.oem", "inforom.ecc", "inforom.pwr"),
        *(
            [_text("mig.mode.current", "Disabled"), _text("mig.mode.pending", "Disabled")]
            if card.mig
            else _absent("mig.mode.current", "mig.mode.pending")
        ),
        *(
            [_text("gsp.mode.current", "Enabled"), _text("gsp.mode.default", "Enabled")]
            if card.ecc
            else _absent("gsp.mode.current", "gsp.mode.default")
        ),
        *(
            _text(f"{family}.{reason}", _reason(reason, active=reason in idle))
            for family in ("clocks_event_reasons", "clocks_throttle_reasons")
            for reason in _REASONS
        ),
    ]


def _reason(reason: str, *, active: bool) -> str:
    if reason == "supported":
        return "0x00000000000001FF"
    if reason == "active":
        return "0x0000000000000001"
    return "Active" if active else "Not Active"


_COUNTED = ("device_memory", "dram", "sram", "total")
"""Places whose ECC errors are counted apart; the others are part of ``sram``."""


def _ecc(card: Card) -> list[Answer]:
    places = ("device_memory", "dram", "register_file", "l1_cache", "l2_cache", "texture_memory")
    counters = [
        f"ecc.errors.{kind}.{span}.{place}"
        for kind in ("corrected", "uncorrected")
        for span in ("volatile", "aggregate")
        for place in (*places, "cbu", "sram", "total")
    ]
    retired = [
        "retired_pages.single_bit_ecc.count",
        "retired_pages.double_bit.count",
        "retired_pages.pending",
    ]
    if not card.ecc:
        return _absent("ecc.mode.current", "ecc.mode.pending", *counters, *retired)
    return [
        _switch("ecc.mode.current", on=True),
        _switch("ecc.mode.pending", on=True),
        *(
            _text(counter, 0 if counter.endswith(_COUNTED) else NOT_AVAILABLE)
            for counter in counters
        ),
        *_absent(*retired),
    ]


def _power_and_clocks(card: Card) -> list[Answer]:
    def watts(header: str, value: float) -> Answer:
        return Answer(header=header, value=f"{value:.2f}", unit="W")

    def megahertz(header: str, value: int) -> Answer:
        return Answer(header=header, value=str(value), unit="MHz")

    draw, limit, idle = idle_power_w(card), card.power_limit_w, idle_clocks(card)
    return [
        _switch("power.management", on=True),
        *(watts(f"power.draw{span}", draw) for span in ("", ".average", ".instant")),
        *(
            watts(header, limit)
            for header in (
                "power.limit",
                "enforced.power.limit",
                "power.default_limit",
                "power.max_limit",
            )
        ),
        watts("power.min_limit", round(limit / 3, 2)),
        megahertz("clocks.current.graphics", idle.sm),
        megahertz("clocks.current.sm", idle.sm),
        megahertz("clocks.current.memory", idle.memory),
        megahertz("clocks.current.video", idle.video),
        *(
            Answer(
                header=f"clocks.{kind}.{domain}",
                value=str(clock) if card.ecc else NOT_AVAILABLE,
                unit="MHz",
            )
            for kind in ("applications", "default_applications")
            for domain, clock in (
                ("graphics", card.max_sm_clock_mhz),
                ("memory", card.max_memory_clock_mhz),
            )
        ),
        megahertz("clocks.max.graphics", card.max_sm_clock_mhz),
        megahertz("clocks.max.sm", card.max_sm_clock_mhz),
        megahertz("clocks.max.memory", card.max_memory_clock_mhz),
    ]
