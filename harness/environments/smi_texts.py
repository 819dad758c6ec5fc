"""The texts that ``nvidia-smi`` prints about whole machines: list, table, ``-q`` and ``-q -x``."""

import re
from collections.abc import Sequence
from typing import TypeAlias

from harness.environments.machine import Card, SpoofedMachine
from harness.environments.smi_fields import (
    bar1_mib,
    current_link_generation,
    display_mode,
    idle_clocks,
    idle_power_w,
    is_recent,
)

_TABLE_WIDTH = 89
_COLUMN_WIDTHS = (41, 24, 22)
_HEADINGS = ("Volatile Uncorr. ECC", "GPU-Util  Compute M.", "MIG M.")
_NA = "N/A"

Entry: TypeAlias = "tuple[str, str | Sequence[Entry]]"
"""A label of ``nvidia-smi -q`` with its value, or with the entries below it."""


def list_line(card: Card, index: int) -> str:
    """Return the card's line of ``nvidia-smi -L``."""
    return f"GPU {index}: {card.name} (UUID: {card.uuid})\n"


def table_head(machine: SpoofedMachine) -> str:
    """Return the table down to its first card, without the line that tells the time."""
    versions = (
        f"NVIDIA-SMI {machine.driver_version:<22} Driver Version: {machine.driver_version:<14} "
        f"CUDA Version: {machine.cuda_version:<8}"
    )
    return "".join(
        [
            _rule("-", "+"),
            _row(versions, width=_TABLE_WIDTH),
            f"{'+' if is_recent(machine) else '|'}{_columns('-', '+')}+\n",
            _cells(f"{'GPU  Name':<26}Persistence-M", "Bus-Id          Disp.A", _HEADINGS[0]),
            _cells(f"{'Fan  Temp   Perf':<26}Pwr:Usage/Cap", f"{'Memory-Usage':>22}", _HEADINGS[1]),
            _cells("", "", _HEADINGS[2]),
            f"|{_columns('=', '+')}|\n",
        ]
    )


def table_card(card: Card, index: int) -> str:
    """Return the card's four lines of the table."""
    persistence = "On" if card.persistence_mode else "Off"
    display = "On" if card.display_active else "Off"
    perf = "P0" if card.ecc else "P8"
    fan = " 0%" if card.fan else _NA
    power = f"{idle_power_w(card):.0f}W / {card.power_limit_w:>4.0f}W"
    memory = f"{card.memory_used_mib}MiB / {card.memory_total_mib:>6}MiB"
    return "".join(
        [
            _cells(
                f"{index:>3}  {card.name[:27]:<27}    {persistence:<3}",
                f"{card.pci_bus_id:>18} {display:>3}",
                "0" if card.ecc else "Off",
            ),
            _cells(
                f"{fan}  {card.temperature_c:>3}C    {perf:<3} {power:>22}",
                f"{memory:>22}",
                f"{'0%':>7} {'Default':>12}",
            ),
            _cells("", "", "Disabled" if card.mig else _NA),
            f"+{_columns('-', '+')}+\n",
        ]
    )


def table_foot(machine: SpoofedMachine) -> str:
    """Return the table's list of processes, of which there are none."""
    recent = is_recent(machine)
    names = f"{'PID':>17}" if recent else f"{'PID':>11}"
    usage = f"Process name{'':{24 if recent else 30}}GPU Memory"
    return "".join(
        [
            "\n" if recent else " " * (_TABLE_WIDTH + 2) + "\n",
            _rule("-", "+"),
            _row("Processes:", width=_TABLE_WIDTH),
            _row(f" GPU   GI   CI{names}   Type   {usage}", width=_TABLE_WIDTH),
            _row(f"       ID   ID{'':47}{'':16}Usage", width=_TABLE_WIDTH),
            _rule("=", "|"),
            _row(" No running processes found", width=_TABLE_WIDTH),
            _rule("-", "+"),
        ]
    )


def _rule(line: str, end: str) -> str:
    return f"{end}{line * _TABLE_WIDTH}{end}\n"


def _row(text: str, *, width: int) -> str:
    return f"| {text[: width - 2]:<{width - 2}} |\n"


def _columns(line: str, joint: str) -> str:
    return joint.join(line * width for width in _COLUMN_WIDTHS)


def _cells(left: str, middle: str, right: str) -> str:
    one, two, three = (width - 2 for width in _COLUMN_WIDTHS)
    return f"| {left:<{one}} | {middle:<{two}} | {right:>{three}} |\n"


def query_card_text(machine: SpoofedMachine, index: int) -> str:
    """Return the card's part of ``nvidia-smi -q``."""
    card = machine.cards[index]
    lines = [f"GPU {card.pci_bus_id}"]
    width = _label_width(machine)
    _text_lines(_query_entries(machine, index), depth=1, lines=lines, width=width)
    return "\n".join(lines) + "\n\n"


def query_card_xml(machine: SpoofedMachine, index: int) -> str:
    """Return the card's ``<gpu>`` element of ``nvidia-smi -q -x``."""
    card = machine.cards[index]
    lines = [f'\t<gpu id="{card.pci_bus_id}">']
    _xml_lines(_query_entries(machine, index), depth=2, lines=lines)
    lines.append("\t</gpu>")
    return "\n".join(lines) + "\n"


def xml_head(machine: SpoofedMachine) -> str:
    """Return what stands before the first element of ``nvidia-smi -q -x``."""
    version = 13 if is_recent(machine) else 12
    return (
        '<?xml version="1.0" ?>\n'
        f'<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v{version}.dtd">\n'
        "<nvidia_smi_log>\n"
    )


XML_FOOT = "</nvidia_smi_log>\n"


def xml_versions(machine: SpoofedMachine) -> str:
    """Return the elements that stand before the first card."""
    return (
        f"\t<driver_version>{machine.driver_version}</driver_version>\n"
        f"\t<cuda_version>{machine.cuda_version}</cuda_version>\n"
    )


def text_versions(machine: SpoofedMachine) -> str:
    """Return the lines of ``nvidia-smi -q`` that name the driver."""
    return (
        f"{label(machine, 'Driver Version')}{machine.driver_version}\n"
        f"{label(machine, 'CUDA Version')}{machine.cuda_version}\n"
    )


def _label_width(machine: SpoofedMachine) -> int:
    return 55 if is_recent(machine) else 50


def label(machine: SpoofedMachine, name: str) -> str:
    """Return a label of ``nvidia-smi -q`` at the margin, up to its value."""
    return f"{name:<{_label_width(machine)}}: "


def _text_lines(entries: Sequence[Entry], *, depth: int, lines: list[str], width: int) -> None:
    indent = "    " * depth
    for name, value in entries:
        shown = indent + _LABELS.get(name, name)
        if isinstance(value, str):
            lines.append(f"{shown:<{width}}: {value}")
        else:
            lines.append(shown)
            _text_lines(value, depth=depth + 1, lines=lines, width=width)


def _xml_lines(entries: Sequence[Entry], *, depth: int, lines: list[str]) -> None:
    indent = "\t" * depth
    for name, value in entries:
        tag = _tag(name)
        if isinstance(value, str):
            bare = value.removeprefix("0x") if name in _BARE else _XML_TEXTS.get(name, value)
            lines.append(f"{indent}<{tag}>{_escape(bare)}</{tag}>")
        else:
            lines.append(f"{indent}<{tag}>")
            _xml_lines(value, depth=depth + 1, lines=lines)
            lines.append(f"{indent}</{tag}>")


_LABELS = {
    "Current MIG": "Current",
    "Pending MIG": "Pending",
    "Current ECC": "Current",
    "Pending ECC": "Pending",
    "Max Link Gen": "Max",
    "Current Link Gen": "Current",
    "Max Link Width": "Max",
    "Current Link Width": "Current",
    "GPU Util": "GPU",
    "Memory Util": "Memory",
    "Encoder Util": "Encoder",
    "Decoder Util": "Decoder",
    "JPEG Util": "JPEG",
    "OFA Util": "OFA",
    "Graphics Clock": "Graphics",
    "SM Clock": "SM",
    "Mem Clock": "Memory",
}
"""What ``-q`` prints instead of the name from which the XML's tag is made."""

_XML_TEXTS = {"Processes": ""}
"""What the XML writes in the place of a text."""

_BARE = frozenset({"Bus", "Device", "Domain", "Device Id", "Sub System Id"})
"""Numbers of the PCI section, which the XML writes without ``0x``."""

_TAGS = {
    "GPU UUID": "uuid",
    "Serial Number": "serial",
    "Bus": "pci_bus",
    "Device": "pci_device",
    "Domain": "pci_domain",
    "Device Id": "pci_device_id",
    "Bus Id": "pci_bus_id",
    "Sub System Id": "pci_sub_system_id",
    "GPU Link Info": "pci_gpu_link_info",
    "PCIe Generation": "pcie_gen",
    "Link Width": "link_widths",
    "GPU Current Temp": "gpu_temp",
}


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _tag(name: str) -> str:
    return _TAGS.get(name) or re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _query_entries(machine: SpoofedMachine, index: int) -> Sequence[Entry]:
    card = machine.cards[index]
    domain, bus, device_function = card.pci_bus_id.split(":")
    switch = {True: "Enabled", False: "Disabled"}
    used, reserved = card.memory_used_mib, card.memory_reserved_mib
    ecc = switch[True] if card.ecc else _NA
    mig = switch[False] if card.mig else _NA
    limit = f"{card.power_limit_w:.2f} W"
    idle = idle_clocks(card)
    return (
        ("Product Name", card.name),
        ("Product Brand", card.brand),
        ("Product Architecture", card.architecture),
        ("Display Mode", display_mode(machine, card)),
        ("Display Active", switch[card.display_active]),
        ("Persistence Mode", switch[card.persistence_mode]),
        ("Addressing Mode", "None"),
        ("MIG Mode", (("Current MIG", mig), ("Pending MIG", mig))),
        ("Accounting Mode", "Disabled"),
        ("Accounting Mode Buffer Size", "4000"),
        ("Serial Number", card.serial or _NA),
        ("GPU UUID", card.uuid),
        ("Minor Number", str(index)),
        ("VBIOS Version", card.vbios_version),
        ("MultiGPU Board", "No"),
        (
            "PCI",
            (
                ("Bus", f"0x{bus}"),
                ("Device", f"0x{device_function.split('.')[0]}"),
                ("Domain", f"0x{int(domain, 16):04X}"),
                ("Device Id", f"0x{card.pci_device_id:08X}"),
                ("Bus Id", card.pci_bus_id),
                ("Sub System Id", f"0x{card.pci_subsystem_id:08X}"),
                (
                    "GPU Link Info",
                    (
                        (
                            "PCIe Generation",
                            (
                                ("Max Link Gen", str(card.pcie_generation)),
                                ("Current Link Gen", str(current_link_generation(card))),
                            ),
                        ),
                        (
                            "Link Width",
                            (
                                ("Max Link Width", f"{card.pcie_width}x"),
                                ("Current Link Width", f"{card.pcie_width}x"),
                            ),
                        ),
                    ),
                ),
            ),
        ),
        ("Fan Speed", "0 %" if card.fan else _NA),
        ("Performance State", "P0" if card.ecc else "P8"),
        (
            "FB Memory Usage",
            (
                ("Total", f"{card.memory_total_mib} MiB"),
                ("Reserved", f"{reserved} MiB"),
                ("Used", f"{used} MiB"),
                ("Free", f"{card.memory_free_mib} MiB"),
            ),
        ),
        (
            "BAR1 Memory Usage",
            (
                ("Total", f"{bar1_mib(card)} MiB"),
                ("Used", "1 MiB"),
                ("Free", f"{bar1_mib(card) - 1} MiB"),
            ),
        ),
        ("Compute Mode", "Default"),
        (
            "Utilization",
            (
                ("GPU Util", "0 %"),
                ("Memory Util", "0 %"),
                ("Encoder Util", "0 %"),
                ("Decoder Util", "0 %"),
                ("JPEG Util", "0 %"),
                ("OFA Util", "0 %"),
            ),
        ),
        ("ECC Mode", (("Current ECC", ecc), ("Pending ECC", ecc))),
        ("Temperature", (("GPU Current Temp", f"{card.temperature_c} C"),)),
        (
            "GPU Power Readings",
            (
                ("Power State", "P0" if card.ecc else "P8"),
                ("Power Draw", f"{idle_power_w(card):.2f} W"),
                ("Current Power Limit", limit),
                ("Default Power Limit", limit),
                ("Max Power Limit", limit),
            ),
        ),
        (
            "Clocks",
            (
                ("Graphics Clock", f"{idle.sm} MHz"),
                ("SM Clock", f"{idle.sm} MHz"),
                ("Mem Clock", f"{idle.memory} MHz"),
            ),
        ),
        (
            "Max Clocks",
            (
                ("Graphics Clock", f"{card.max_sm_clock_mhz} MHz"),
                ("SM Clock", f"{card.max_sm_clock_mhz} MHz"),
                ("Mem Clock", f"{card.max_memory_clock_mhz} MHz"),
            ),
        ),
        ("Processes", "None"),
    )
